//! What the estimate knows of one SELECT.

use std::collections::HashMap;
use std::rc::Rc;

use super::columns::{Columns, Size};
use super::equalities::{Equalities, Joins};

/// The tables of one SELECT.
#[derive(Debug, Default)]
pub(in crate::guard::walk) struct Scope {
    /// By the names that they have there.
    pub(super) tables: HashMap<String, Rc<Columns>>,
    /// Columns with known names. Sizes of columns of one name are added: FULL JOIN .. USING makes one column of two.
    pub(super) named: HashMap<String, Size>,
    /// The largest column whose name is not known.
    pub(super) other: Option<Size>,
    /// Number of tables, also inside of joins with an alias.
    pub(super) count: usize,
    /// The largest column of all.
    pub(super) largest: Option<Size>,
    /// True if the columns of a table are not known.
    pub(super) has_unknown: bool,
    /// Number of sets that the CUBEs of GROUP BY make together; 0 without one.
    pub(super) sets: u64,
    /// Number of columns in these CUBEs.
    pub(super) grouped: u64,
    pub(super) equal: Equalities,
    /// The joins of the sub-queries in FROM and in conditions.
    pub(super) inside: Joins,
}

//! The sizes of expressions, and of the columns of tables and sub-queries.

use std::collections::HashMap;
use std::rc::Rc;

use super::Sizes;
use super::equalities::Joins;
use crate::guard::bounds::MAX_COPIES;
use crate::guard::walk::Walked;

/// Names of columns that are kept of one table or sub-query.
const MAX_NAMES: usize = 200;

/// What one use of a column stands for: the nodes of the expression behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::guard::walk) struct Size {
    /// In another expression. 1 if the query of the column is not moved.
    pub moved: u64,
    /// In a condition. The server also pushes conditions into queries that it does not move.
    pub pushed: u64,
    /// Nesting depth of the costly forms in it.
    pub nesting: usize,
}

pub(super) const COLUMN: Size = Size { moved: 1, pushed: 1, nesting: 0 };

impl Size {
    pub fn max(self, other: Size) -> Size {
        Size {
            moved: self.moved.max(other.moved),
            pushed: self.pushed.max(other.pushed),
            nesting: self.nesting.max(other.nesting),
        }
    }

    pub fn deeper(self) -> Size {
        Size { nesting: self.nesting + 1, ..self }
    }

    pub fn plus(self, other: Size) -> Size {
        Size {
            moved: self.moved.saturating_add(other.moved),
            pushed: self.pushed.saturating_add(other.pushed),
            nesting: self.nesting.max(other.nesting),
        }
    }
}

/// The columns of a table, a CTE or a sub-query.
#[derive(Clone, Debug)]
pub(in crate::guard::walk) struct Columns {
    pub named: HashMap<String, Size>,
    /// The largest column whose name is not known.
    pub other: Size,
    /// All columns together.
    pub row: Size,
    /// Nodes that each reference copies: the whole query of a CTE that is NOT MATERIALIZED, and 0 for everything else.
    pub body: u64,
    /// The joins inside, if the server moves them into the query around.
    pub joins: Joins,
}

impl Columns {
    /// Columns of a table, or of anything that is not moved.
    pub(in crate::guard::walk) fn plain() -> Self {
        Self::all(COLUMN)
    }

    /// A query that refers to a later one of its WITH. Its size is not known yet.
    pub(in crate::guard::walk) fn unknown() -> Self {
        Self::all(Size { moved: MAX_COPIES * 2, pushed: MAX_COPIES * 2, nesting: 0 })
    }

    pub fn all(size: Size) -> Self {
        Columns { named: HashMap::new(), other: size, row: size, body: 0, joins: Joins::default() }
    }

    pub fn largest(&self) -> Size {
        self.named.values().fold(self.other, |largest, size| largest.max(*size))
    }

    /// Adds a column. Of a very wide list only some names are kept.
    pub(in crate::guard::walk) fn add(&mut self, name: Option<String>, size: Size) {
        self.row = self.row.plus(size);
        match name {
            Some(name) if self.named.contains_key(&name) || self.named.len() < MAX_NAMES => {
                let known = self.named.entry(name).or_insert(size);
                *known = known.max(size);
            }
            _ => self.other = self.other.max(size),
        }
    }

    /// Adds the columns of a `*`.
    pub fn extend(&mut self, other: &Columns) {
        let row = self.row.plus(other.row);
        self.other = self.other.max(other.other);
        for (name, size) in &other.named {
            self.add(Some(name.clone()), *size);
        }
        self.row = row;
    }

    /// The result of a set operation, which is named as the left query. A condition on a column is copied to both queries, and
    /// each column may be the largest of the right one.
    pub(in crate::guard::walk) fn united(mut self, right: &Columns) -> Self {
        let largest = right.largest();
        self.other = self.other.plus(largest);
        self.named.values_mut().for_each(|size| *size = size.plus(largest));
        self.row = self.row.plus(right.row);
        self.joins = Joins::default();
        self
    }

    /// Columns of a query that PostgreSQL keeps apart. The nesting in their values stays.
    pub(in crate::guard::walk) fn kept_apart(&self) -> Self {
        Self::all(Size { nesting: self.row.nesting, ..COLUMN })
    }

    /// Columns of a query that PostgreSQL does not move. What a condition on them costs stays, because the server pushes it
    /// into the query.
    pub fn grouped(mut self) -> Self {
        for size in self.named.values_mut().chain([&mut self.other, &mut self.row]) {
            size.moved = 1;
        }
        self.joins = Joins::default();
        self
    }

    /// Columns that are named by a list after the alias.
    pub(in crate::guard::walk) fn renamed(self) -> Self {
        Columns { row: self.row, body: self.body, joins: self.joins, ..Self::all(self.largest()) }
    }
}

impl Sizes {
    /// Notes a `*` of a select list, and adds its columns.
    ///
    /// # Errors
    ///
    /// As [`Self::judge`].
    pub(in crate::guard::walk) fn star(&mut self, of: Option<&str>, into: &mut Columns) -> Walked {
        if !self.is_counted {
            return Ok(());
        }
        let tables: Vec<Rc<Columns>> = match of {
            Some(of) => self.tables_called(of).cloned().collect(),
            None => self.scopes.last().into_iter().flat_map(|scope| scope.tables.values().cloned()).collect(),
        };
        for columns in tables {
            self.count(columns.row);
            self.work += columns.named.len();
            into.extend(&columns);
            self.judge()?;
        }
        // A column name of several tables may be one column of a join (USING). Then it has the sum of their sizes.
        let row = into.row;
        let named = self.scopes.last().filter(|_| of.is_none()).map(|scope| scope.named.clone());
        self.work += named.as_ref().map_or(0, |named| named.len());
        named.into_iter().flatten().for_each(|(name, size)| into.add(Some(name), size));
        into.row = row;
        Ok(())
    }
}

//! Columns and expressions that the conditions of a SELECT make equal to each other. PostgreSQL puts them into classes, derives
//! an equality for each pair of a class (`equivclass.c`), and tries all of them in every order of the joins.

use std::collections::HashMap;

use sqlparser::ast::Expr;

use super::{Scope, Sizes};

/// Longest text of an expression that is compared. Longer texts count as different expressions.
const MAX_TEXT: usize = 200;

/// The joins of a SELECT, for [`MAX_EQUALITIES`](crate::guard::bounds::MAX_EQUALITIES).
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::guard::walk) struct Joins {
    /// Number of tables.
    pub tables: u64,
    /// Number of equalities that are derived, and not written.
    pub derived: u64,
    /// Number of equalities that are written, and the largest number of them in one query.
    pub written: u64,
    pub widest: u64,
}

/// Equalities of one query up to which those of the queries inside it are taken for others. With more, all of them may be
/// about the same columns.
const FEW: u64 = 4;

impl Joins {
    pub fn plus(self, other: Joins) -> Joins {
        Joins {
            tables: self.tables + other.tables,
            derived: self.derived.saturating_add(other.derived),
            written: self.written + other.written,
            widest: self.widest.max(other.widest),
        }
    }

    /// What [`MAX_EQUALITIES`](crate::guard::bounds::MAX_EQUALITIES) bounds.
    pub fn cost(self) -> u64 {
        // Classes that all have a column of each table.
        let whole = self.written.saturating_mul(self.tables.saturating_sub(2)) / 2;
        let derived = if self.widest > FEW && self.written > self.widest { whole } else { self.derived };
        derived.saturating_mul(self.tables)
    }
}

/// Classes of expressions that are equal to each other.
#[derive(Debug, Default)]
pub(super) struct Equalities {
    members: HashMap<String, usize>,
    /// For each member another one of its class, or itself.
    parents: Vec<usize>,
    /// Number of members, for a member that is its own parent.
    counts: Vec<u64>,
    derived: u64,
    /// Number of equalities that are written.
    written: u64,
}

/// Equalities between so many members of which all but one are written.
fn derived(members: u64) -> u64 {
    (members.saturating_sub(1)).saturating_mul(members.saturating_sub(2)) / 2
}

impl Equalities {
    fn member(&mut self, text: String) -> usize {
        let next = self.parents.len();
        let at = *self.members.entry(text).or_insert(next);
        if at == next {
            self.parents.push(next);
            self.counts.push(1);
        }
        at
    }

    fn root(&self, mut at: usize) -> usize {
        while let Some(parent) = self.parents.get(at).copied().filter(|parent| *parent != at) {
            at = parent;
        }
        at
    }

    fn join(&mut self, one: String, other: String) {
        self.written += 1;
        let (one, other) = (self.member(one), self.member(other));
        let (one, other) = (self.root(one), self.root(other));
        if one == other {
            return;
        }
        // The smaller class joins the larger one, so that the paths to the roots stay short.
        let count = |at: usize| self.counts.get(at).copied().unwrap_or(1);
        let (small, large) = if count(one) < count(other) { (one, other) } else { (other, one) };
        let (few, many) = (count(small), count(large));
        self.derived = self.derived.saturating_add(derived(few + many) - derived(few) - derived(many));
        self.parents.get_mut(small).into_iter().for_each(|parent| *parent = large);
        self.counts.get_mut(large).into_iter().for_each(|count| *count = few + many);
    }

    /// Notes a column of USING. Each join adds a column to the class.
    pub(super) fn using(&mut self, column: &str) {
        let next = self.parents.len();
        self.join(format!("using {column}"), format!("using {column} {next}"));
    }
}

impl Scope {
    /// The joins of this SELECT and of the sub-queries that are moved into it.
    pub(super) fn joins(&self) -> Joins {
        let written = self.equal.written;
        let own = Joins { tables: self.count as u64, derived: self.equal.derived, written, widest: written };
        self.inside.plus(own)
    }
}

impl Sizes {
    /// Notes that a condition compares two expressions by `=`. Values make no class of columns.
    pub(in crate::guard::walk) fn equal(&mut self, left: &Expr, right: &Expr) {
        let Some(scope) = self.scopes.last_mut().filter(|_| self.is_counted && self.in_condition) else { return };
        match (plain(left), plain(right)) {
            (Expr::Tuple(left), Expr::Tuple(right)) => {
                for (left, right) in left.iter().zip(right) {
                    scope.equal(left, right);
                }
            }
            (left, right) => scope.equal(left, right),
        }
    }
}

impl Scope {
    fn equal(&mut self, left: &Expr, right: &Expr) {
        let is_value = |expr: &Expr| matches!(expr, Expr::Value(_) | Expr::TypedString(_) | Expr::Subquery(_));
        let (left, right) = (plain(left), plain(right));
        if !is_value(left) && !is_value(right) {
            let text = |expr: &Expr| {
                let text = expr.to_string().to_lowercase();
                if text.len() > MAX_TEXT { format!("{} {}", self.equal.parents.len(), text.len()) } else { text }
            };
            let (left, right) = (text(left), text(right));
            self.equal.join(left, right);
        }
    }
}

/// An expression without the parentheses around it.
fn plain(mut expr: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

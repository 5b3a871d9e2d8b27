//! Comparisons of columns with columns. For each pair of joins the planner tries every order in which a merge join could sort
//! by them, which takes most memory, and it compares each column with all that are equal to it (`equivclass.c`).
//!
//! How a comparison is written, and which table its columns belong to, does not matter here: a caller can write both in
//! many ways. A statement with more than [`MANY_COMPARISONS`] is planned without merge joins, see
//! [`crate::guard::Names::comparisons`].

use std::collections::HashMap;

use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::{Scope, Sizes};
use crate::dialect::Dialect;
use crate::guard::Rejection;
use crate::guard::bounds::{MAX_COMPARED, MAX_EQUAL, MAX_WITHIN, WIDE_ROW};
use crate::guard::walk::fold;

/// Longest text of an expression that is compared. Longer texts count as different expressions.
const MAX_TEXT: usize = 200;

/// The joins of a SELECT.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::guard::walk) struct Joins {
    /// Number of tables.
    pub tables: u64,
    /// Number of comparisons of columns.
    pub comparisons: u64,
    /// Number of these comparisons in the sub-queries of conditions.
    pub within: u64,
    /// Number of expressions in the largest class of equal ones.
    pub equal: u64,
}

impl Joins {
    pub fn plus(self, other: Joins) -> Joins {
        Joins {
            tables: self.tables.saturating_add(other.tables),
            comparisons: self.comparisons.saturating_add(other.comparisons),
            within: self.within.saturating_add(other.within),
            equal: self.equal.max(other.equal),
        }
    }

    /// The joins of a sub-query of a condition, whose tables are counted already.
    pub fn of_condition(self) -> Joins {
        Joins { tables: 0, within: self.comparisons, ..self }
    }

    fn are_too_many(self) -> bool {
        self.comparisons.saturating_mul(self.tables) > MAX_COMPARED
            || self.within > MAX_WITHIN
            || self.equal > MAX_EQUAL
    }
}

/// What the conditions of a SELECT compare.
#[derive(Debug, Default)]
pub(super) struct Equalities {
    /// Expressions that are equal to each other, by their texts.
    members: HashMap<String, usize>,
    /// For each member another one of its class, or itself.
    parents: Vec<usize>,
    /// Number of members, for a member that is its own parent.
    counts: Vec<u64>,
    /// Number of members of the largest class.
    largest: u64,
    comparisons: u64,
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

    /// Notes that two expressions are equal.
    fn join(&mut self, one: String, other: String) {
        let (one, other) = (self.member(one), self.member(other));
        let (one, other) = (self.root(one), self.root(other));
        if one == other {
            return;
        }
        // The smaller class joins the larger one, so that the paths to the roots stay short.
        let count = |at: usize| self.counts.get(at).copied().unwrap_or(1);
        let (small, large) = if count(one) < count(other) { (one, other) } else { (other, one) };
        let members = count(small) + count(large);
        self.parents.get_mut(small).into_iter().for_each(|parent| *parent = large);
        self.counts.get_mut(large).into_iter().for_each(|count| *count = members);
        self.largest = self.largest.max(members);
    }

    /// Notes a column of USING. Each join adds a column to the class.
    pub(super) fn using(&mut self, column: &str) {
        self.comparisons += 1;
        let next = self.parents.len();
        self.join(format!("using {column}"), format!("using {column} {next}"));
    }

    /// Notes comparisons of columns that the statement does not name.
    pub(super) fn unnamed(&mut self, comparisons: u64) {
        self.comparisons = self.comparisons.saturating_add(comparisons);
    }
}

impl Scope {
    /// The joins of this SELECT and of the sub-queries that are moved into it.
    pub(super) fn joins(&self) -> Joins {
        self.inside.plus(self.own_joins())
    }

    /// The joins of this SELECT alone.
    fn own_joins(&self) -> Joins {
        let (comparisons, equal) = (self.equal.comparisons, self.equal.largest);
        Joins { tables: self.count as u64, comparisons, within: 0, equal }
    }
}

impl Sizes {
    /// Returns the joins of the SELECT that ends, with those of the sub-queries that are moved into it.
    ///
    /// # Errors
    ///
    /// [`Rejection::ManyComparisons`] with the bound.
    pub(super) fn judge_joins(&mut self) -> Result<Joins, Rejection> {
        let Some(scope) = self.scopes.last().filter(|_| self.is_counted) else { return Ok(Joins::default()) };
        let (joins, own) = (scope.joins(), scope.own_joins());
        // The planner keeps what it made for each SELECT.
        self.joins = self.joins.plus(Joins { tables: 0, ..own });
        self.joins.tables = self.joins.tables.max(joins.tables);
        self.joins.within = self.joins.within.max(joins.within);
        if joins.are_too_many() || self.joins.are_too_many() {
            return Err(Rejection::ManyComparisons { limit: MAX_COMPARED });
        }
        Ok(joins)
    }

    /// Number of comparisons of the statement so far.
    pub(in crate::guard::walk) fn comparisons(&self) -> u64 {
        self.joins.comparisons
    }

    /// Notes that two expressions are compared. `is_equal`: by `=`.
    pub(in crate::guard::walk) fn compared_with(&mut self, left: &Expr, right: &Expr, is_equal: bool) {
        let is_class = is_equal && self.in_condition;
        let Some(scope) = self.scopes.last_mut().filter(|_| self.is_counted) else { return };
        match (items(left), items(right)) {
            (Some(left), Some(right)) => {
                for (left, right) in left.into_iter().zip(right) {
                    scope.compare(left, right, is_class);
                }
            }
            _ => scope.compare(left, right, is_class),
        }
    }

    /// Notes that a value is compared with the columns of a sub-query.
    pub(in crate::guard::walk) fn compared_with_query(&mut self, left: &Expr) {
        let width = items(left).map_or(1, |items| items.into_iter().map(width).sum());
        if let Some(scope) = self.scopes.last_mut().filter(|_| self.is_counted) {
            scope.equal.unnamed(width);
            scope.inside.within = scope.inside.within.saturating_add(width);
        }
    }
}

impl Scope {
    fn compare(&mut self, left: &Expr, right: &Expr, is_class: bool) {
        let (left, right) = (plain(left), plain(right));
        if is_value(left) || is_value(right) {
            return;
        }
        let width = width(left).max(width(right));
        self.equal.unnamed(width);
        if is_class && width == 1 {
            let next = self.equal.parents.len();
            self.equal.join(text(left, next), text(right, next + 1));
        }
    }
}

/// The text of an expression, the same for most spellings of one column. `number` makes a long text different from others.
fn text(expr: &Expr, number: usize) -> String {
    let folded = |name: &sqlparser::ast::Ident| fold(Dialect::Postgresql, &name.value, name.quote_style.is_some());
    let text = match expr {
        Expr::CompoundIdentifier(parts) => {
            let skipped = parts.len().saturating_sub(2);
            parts.iter().skip(skipped).map(folded).collect::<Vec<_>>().join(".")
        }
        Expr::Identifier(name) => folded(name),
        other => other.to_string(),
    };
    if text.len() > MAX_TEXT { format!("{number} {}", text.len()) } else { text }
}

/// The items of a row: `(a, b)` or `ROW(a, b)`.
fn items(expr: &Expr) -> Option<Vec<&Expr>> {
    match plain(expr) {
        Expr::Tuple(items) => Some(items.iter().collect()),
        Expr::Function(function) => {
            let FunctionArguments::List(list) = &function.args else { return None };
            let is_row = function.name.to_string().eq_ignore_ascii_case("row");
            let items = list.args.iter().map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            });
            // `ROW(t.*)` is compared as a whole.
            is_row.then(|| items.collect()).flatten()
        }
        _ => None,
    }
}

/// True for a literal, and for a call or an operator over literals alone.
fn is_value(expr: &Expr) -> bool {
    match plain(expr) {
        Expr::Value(_) | Expr::TypedString(_) | Expr::Interval(_) => true,
        Expr::UnaryOp { expr, .. } | Expr::Cast { expr, .. } => is_value(expr),
        Expr::BinaryOp { left, right, .. } => is_value(left) && is_value(right),
        Expr::Function(function) => match &function.args {
            FunctionArguments::None => true,
            FunctionArguments::Subquery(_) => false,
            FunctionArguments::List(list) => list.args.iter().all(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => is_value(expr),
                _ => false,
            }),
        },
        _ => false,
    }
}

/// Number of columns that an expression in a comparison may stand for.
fn width(expr: &Expr) -> u64 {
    match plain(expr) {
        Expr::QualifiedWildcard(..) | Expr::Wildcard(_) => WIDE_ROW,
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("row") => WIDE_ROW,
        _ => 1,
    }
}

/// An expression without the parentheses around it.
fn plain(mut expr: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

//! Counts the comparisons of columns with columns. For each join, PostgreSQL's planner keeps a path for each order in
//! which a merge join could sort by the compared columns. These paths take most of the planner's memory. The planner
//! also compares each column with all columns that are equal to it (`equivclass.c`).
//!
//! The count does not depend on the tables of the columns, nor on how a column is written, because a caller can write
//! both in many ways. Operators such as `<` make no class, and the planner sorts no table for such operators. But the
//! planner keeps a path for each combination of indexes that it could read for them. So conditions with these operators
//! are counted apart, as `ordered`. A statement with
//! more than [`MANY_COMPARISONS`](crate::guard::bounds::MANY_COMPARISONS) is planned without merge
//! joins, see [`crate::guard::ApprovedSql::is_demanding`].

use std::collections::HashMap;

use sqlparser::ast::{BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::{Scope, Sizes};
use crate::dialect::Dialect;
use crate::guard::Rejection;
use crate::guard::bounds::{
    MAX_COMPARED, MAX_EQUAL, MAX_ORDERED, MAX_OUTER, MAX_WITHIN, USUAL_KEY, USUAL_RANGE, WIDE_ROW,
};
use crate::guard::walk::expressions::compares;
use crate::guard::walk::fold;

/// Maximum bytes of the text of an expression that is compared with other texts. Two longer texts count as different
/// expressions.
const MAX_TEXT: usize = 200;

/// The joins of a SELECT.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::guard::walk) struct Joins {
    /// Number of tables.
    pub tables: u64,
    /// Number of comparisons of columns.
    pub comparisons: u64,
    /// Number of those comparisons that are in the sub-queries of conditions, or that compare a value with such a
    /// sub-query (`IN`, `ANY`).
    pub within: u64,
    /// Number of conditions that compare columns by another operator than `=`, such as `<`.
    pub ordered: u64,
    /// Number of comparisons in the conditions of outer joins, beyond [`USUAL_KEY`] of each. They make no class either.
    pub outer: u64,
    /// Number of expressions that may be in the largest class of equal expressions.
    pub equal: u64,
    /// The sum of `equal` over the sub-queries that are moved into this SELECT.
    pub equal_inside: u64,
}

impl Joins {
    pub fn plus(self, other: Joins) -> Joins {
        Joins {
            tables: self.tables.saturating_add(other.tables),
            comparisons: self.comparisons.saturating_add(other.comparisons),
            within: self.within.saturating_add(other.within),
            ordered: self.ordered.saturating_add(other.ordered),
            outer: self.outer.saturating_add(other.outer),
            equal: self.equal.max(other.equal),
            equal_inside: self.equal_inside.saturating_add(other.equal),
        }
    }

    /// The joins of a SELECT with its sub-queries. `self`: the joins of the sub-queries. `own`: those of the SELECT
    /// alone. If a class of the SELECT contains columns of sub-queries, the classes of these columns become part of it.
    fn around(self, own: Joins) -> Joins {
        let joined = own.equal.saturating_mul(self.equal).min(own.equal.saturating_add(self.equal_inside));
        let equal = own.equal.max(self.equal).max(if own.equal > 0 { joined } else { 0 });
        Joins { equal, ..self.plus(own) }
    }

    /// The joins of a sub-query of a condition, as a part of the SELECT around it. `Sizes::semi_join` counts the
    /// tables, so they are 0 here.
    pub fn of_condition(self) -> Joins {
        Joins { tables: 0, within: self.comparisons, ..self }
    }

    fn are_too_many(self) -> bool {
        self.comparisons.saturating_mul(self.tables) > MAX_COMPARED
            || self.ordered.saturating_mul(self.tables) > MAX_ORDERED
            || self.outer.saturating_mul(self.tables) > MAX_OUTER
            || self.within > MAX_WITHIN
            || self.equal > MAX_EQUAL
    }
}

/// What a SELECT compares. All comparisons are counted. Only those of its conditions make classes of equal expressions.
#[derive(Debug, Default)]
pub(super) struct Equalities {
    /// The number of each compared expression (a member), by its text.
    members: HashMap<String, usize>,
    /// The parent of each member: another member of its class, or the member itself if it is the root of the class.
    parents: Vec<usize>,
    /// For a root, the number of members of its class.
    counts: Vec<u64>,
    /// Number of members of the largest class.
    largest: u64,
    /// Number of comparisons of columns.
    comparisons: u64,
    /// See [`Joins::ordered`].
    ordered: u64,
    /// See [`Joins::outer`].
    outer: u64,
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

    /// Notes a column of USING. Each USING with this name adds one expression to the class of the name.
    pub(super) fn using(&mut self, column: &str) {
        self.comparisons += 1;
        let next = self.parents.len();
        self.join(format!("using {column}"), format!("using {column} {next}"));
    }

    /// Adds comparisons of columns to the count, and none to the classes.
    pub(super) fn add(&mut self, comparisons: u64) {
        self.comparisons = self.comparisons.saturating_add(comparisons);
    }
}

impl Scope {
    /// The joins of this SELECT and of the sub-queries that are moved into it.
    pub(super) fn joins(&self) -> Joins {
        self.inside.around(self.own_joins())
    }

    /// The comparisons of this SELECT alone, without sub-queries. Its tables include those of the sub-queries of its
    /// conditions.
    fn own_joins(&self) -> Joins {
        let (comparisons, equal) = (self.equal.comparisons, self.equal.largest);
        Joins {
            tables: self.count as u64,
            comparisons,
            ordered: self.equal.ordered,
            outer: self.equal.outer,
            equal,
            ..Joins::default()
        }
    }
}

impl Sizes {
    /// Returns the joins of the SELECT that ends, with the joins of the sub-queries that are moved into it.
    ///
    /// # Errors
    ///
    /// [`Rejection::ManyComparisons`] if one of the bounds is passed.
    pub(super) fn judge_joins(&mut self) -> Result<Joins, Rejection> {
        let Some(scope) = self.scopes.last().filter(|_| self.is_counted) else { return Ok(Joins::default()) };
        let joins = scope.joins();
        // A SELECT may have more comparisons than are written, because the server may copy a CTE into it several times.
        // The comparisons of all SELECTs add up, because the planner frees its memory only after the whole statement.
        self.joins = Joins {
            tables: self.joins.tables.max(joins.tables),
            comparisons: self.joins.comparisons.max(joins.comparisons),
            within: self.joins.within.max(joins.within),
            ordered: self.joins.ordered.max(joins.ordered),
            outer: self.joins.outer.max(joins.outer),
            ..self.joins
        };
        let all = Joins {
            comparisons: self.comparisons(),
            within: self.compared.within.max(self.joins.within),
            ordered: self.compared.ordered.max(self.joins.ordered),
            outer: self.compared.outer.max(self.joins.outer),
            ..self.joins
        };
        if joins.are_too_many() || all.are_too_many() {
            return Err(Rejection::ManyComparisons);
        }
        Ok(joins)
    }

    /// Number of comparisons of the statement so far.
    pub(in crate::guard::walk) fn comparisons(&self) -> u64 {
        self.compared.comparisons.max(self.joins.comparisons)
    }

    /// Notes comparisons of columns that the statement does not name.
    pub(super) fn compare_unnamed(&mut self, comparisons: u64) {
        self.compared.comparisons = self.compared.comparisons.saturating_add(comparisons);
        self.scopes.last_mut().into_iter().for_each(|scope| scope.equal.add(comparisons));
    }

    /// Notes a column that USING names.
    pub(in crate::guard::walk) fn using(&mut self, column: &str) {
        self.compared.comparisons += 1;
        self.scopes.last_mut().into_iter().for_each(|scope| scope.equal.using(column));
        let size = self.of_name(column);
        self.count_pushed(size);
    }

    /// Notes that two expressions are compared. `is_equal`: the operator makes them equal, if it is in a
    /// condition.
    pub(in crate::guard::walk) fn compared_with(&mut self, left: &Expr, right: &Expr, is_equal: bool) {
        let is_class = is_equal && self.in_condition;
        let Some(scope) = self.scopes.last_mut().filter(|_| self.is_counted) else { return };
        let before = scope.equal.comparisons;
        match (items(left), items(right)) {
            (Some(left), Some(right)) => {
                for (left, right) in left.into_iter().zip(right) {
                    scope.compare(left, right, is_class);
                }
            }
            _ => scope.compare(left, right, is_class),
        }
        let more = scope.equal.comparisons - before;
        self.compared.comparisons = self.compared.comparisons.saturating_add(more);
    }

    /// Notes that a condition compares two expressions by another operator than `=`.
    pub(in crate::guard::walk) fn ordered_with(&mut self, left: &Expr, right: &Expr) {
        if self.in_condition {
            self.ordered(left, right);
        }
    }

    /// Notes a part of a condition with OR. There `=` makes no class, and is looked up in indexes as `<` is.
    pub(in crate::guard::walk) fn alternative(&mut self, expr: &Expr) {
        match plain(expr) {
            Expr::UnaryOp { expr, .. } => self.alternative(expr),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.alternative(left);
                self.alternative(right);
            }
            Expr::BinaryOp { left, op, right } if compares(op) == Some(true) => self.ordered_with(left, right),
            _ => {}
        }
    }

    /// Notes an expression that is denied. `NOT (a AND b)` is planned as `NOT a OR NOT b`.
    pub(in crate::guard::walk) fn denied(&mut self, expr: &Expr) {
        if let Expr::BinaryOp { left, op: BinaryOperator::And, right } = plain(expr) {
            for part in [left, right] {
                self.alternative(part);
                self.denied(part);
            }
        }
    }

    /// Notes an item of a select list. The server may use a comparison in the list of a sub-query as a condition of the
    /// query around it.
    pub(in crate::guard::walk) fn listed(&mut self, expr: &Expr) {
        if self.scopes.len() < 2 && self.in_cte == 0 {
            return;
        }
        match plain(expr) {
            Expr::UnaryOp { expr, .. } => self.listed(expr),
            Expr::BinaryOp { left, op, right } => match compares(op) {
                Some(false) => self.ordered(left, right),
                _ => {
                    self.listed(left);
                    self.listed(right);
                }
            },
            Expr::Between { expr, low, high, .. } => {
                self.ordered(expr, low);
                self.ordered(expr, high);
            }
            Expr::Case { conditions, else_result, .. } => {
                conditions.iter().for_each(|when| self.listed(&when.result));
                else_result.iter().for_each(|result| self.listed(result));
            }
            Expr::Function(function) => {
                let FunctionArguments::List(list) = &function.args else { return };
                for arg in &list.args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg {
                        self.listed(expr);
                    }
                }
            }
            _ => {}
        }
    }

    fn ordered(&mut self, left: &Expr, right: &Expr) {
        let is_joined = self.is_counted && !is_value(left) && !is_value(right);
        let Some(scope) = self.scopes.last_mut().filter(|_| is_joined) else { return };
        let columns = |expr: &Expr| items(expr).map_or_else(|| width(expr), |items| items.len() as u64);
        let width = columns(left).max(columns(right));
        scope.equal.ordered = scope.equal.ordered.saturating_add(width);
        self.compared.ordered = self.compared.ordered.saturating_add(width);
    }

    /// Number of comparisons of the current SELECT so far: all, and those by another operator than `=`.
    pub(in crate::guard::walk) fn written_here(&self) -> (u64, u64) {
        self.scopes.last().map_or((0, 0), |scope| (scope.equal.comparisons, scope.equal.ordered))
    }

    /// Notes that the comparisons since `before` are those of an outer join. A join by a usual key and range costs nothing.
    pub(in crate::guard::walk) fn outer_since(&mut self, (comparisons, ordered): (u64, u64)) {
        let Some(scope) = self.scopes.last_mut().filter(|_| self.is_counted) else { return };
        let usual = scope.equal.ordered.saturating_sub(ordered).min(USUAL_RANGE);
        scope.equal.ordered -= usual;
        self.compared.ordered = self.compared.ordered.saturating_sub(usual);
        let more = scope.equal.comparisons.saturating_sub(comparisons).saturating_sub(USUAL_KEY);
        scope.equal.outer = scope.equal.outer.saturating_add(more);
        self.compared.outer = self.compared.outer.saturating_add(more);
    }

    /// Notes that a value is compared with the columns of a sub-query.
    pub(in crate::guard::walk) fn compared_with_query(&mut self, left: &Expr) {
        let width = items(left).map_or(1, |items| items.into_iter().map(width).sum());
        if !self.is_counted {
            return;
        }
        self.compare_unnamed(width);
        self.compared.within = self.compared.within.saturating_add(width);
        if let Some(scope) = self.scopes.last_mut() {
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
        self.equal.add(width);
        if is_class && width == 1 {
            let next = self.equal.parents.len();
            self.equal.join(text(column(left), next), text(column(right), next + 1));
        }
    }
}

/// Returns the text of an expression. Most spellings of one column give the same text. A text over [`MAX_TEXT`] is
/// replaced by `number`, so that it differs from all others.
fn text(expr: &Expr, number: usize) -> String {
    let folded = |name: &sqlparser::ast::Ident| fold(Dialect::Postgresql, &name.value, name.quote_style.is_some());
    let text = match expr {
        Expr::CompoundIdentifier(parts) => {
            let skipped = parts.len().saturating_sub(2);
            Some(parts.iter().skip(skipped).map(folded).collect::<Vec<_>>().join("."))
        }
        Expr::Identifier(name) => Some(folded(name)),
        // `(t).c` is `t.c`.
        other => short_text(other).map(|text| text.replace(['(', ')'], "")),
    };
    text.filter(|text| text.len() <= MAX_TEXT).unwrap_or_else(|| format!("{number} long"))
}

/// The part of an expression with which its text begins, if another expression comes first.
fn left_of(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::BinaryOp { left: expr, .. }
        | Expr::IsNull(expr)
        | Expr::IsNotNull(expr)
        | Expr::IsTrue(expr)
        | Expr::IsNotTrue(expr)
        | Expr::IsFalse(expr)
        | Expr::IsNotFalse(expr)
        | Expr::IsDistinctFrom(expr, _)
        | Expr::IsNotDistinctFrom(expr, _)
        | Expr::Cast { expr, .. }
        | Expr::Collate { expr, .. }
        | Expr::AtTimeZone { timestamp: expr, .. }
        | Expr::UnaryOp { expr, .. }
        | Expr::Nested(expr)
        | Expr::Like { expr, .. }
        | Expr::ILike { expr, .. }
        | Expr::InList { expr, .. }
        | Expr::Between { expr, .. } => Some(expr),
        _ => None,
    }
}

/// The SQL of an expression, if it has at most twice [`MAX_TEXT`] bytes. A longer text is not written to its end, and a long
/// chain is not begun: one statement may compare thousands of expressions with the rest of its text.
fn short_text(expr: &Expr) -> Option<String> {
    if std::iter::successors(Some(expr), |expr| left_of(expr)).nth(MAX_TEXT).is_some() {
        return None;
    }
    struct Short(String);
    impl std::fmt::Write for Short {
        fn write_str(&mut self, part: &str) -> std::fmt::Result {
            if self.0.len() + part.len() > 2 * MAX_TEXT {
                return Err(std::fmt::Error);
            }
            self.0.push_str(part);
            Ok(())
        }
    }
    let mut short = Short(String::new());
    std::fmt::Write::write_fmt(&mut short, format_args!("{expr}")).ok()?;
    Some(short.0)
}

/// The only part of an expression that is no value: the column of `(c)::int`, `c + 0` or `CASE WHEN true THEN c END`, and
/// `a + b` of `(a + b) + 0`. An expression with several such parts is returned as it is.
fn column(expr: &Expr) -> &Expr {
    fn one_of<'a>(parts: impl Iterator<Item = &'a Expr>) -> Option<&'a Expr> {
        let mut columns = parts.filter(|part| !is_value(part));
        columns.next().filter(|_| columns.next().is_none())
    }
    let inner = match expr {
        Expr::Nested(inner)
        | Expr::Cast { expr: inner, .. }
        | Expr::UnaryOp { expr: inner, .. }
        | Expr::Collate { expr: inner, .. } => Some(&**inner),
        // A chain such as `c + 0 + 0` is nested to the left.
        Expr::BinaryOp { left, right, .. } if is_value(right) => Some(&**left),
        Expr::BinaryOp { left, right, .. } if is_value(left) => Some(&**right),
        Expr::Case { operand, conditions, else_result, .. } => {
            let results = conditions.iter().flat_map(|when| [&when.condition, &when.result]);
            one_of(operand.as_deref().into_iter().chain(results).chain(else_result.as_deref()))
        }
        Expr::Function(function) => match &function.args {
            FunctionArguments::List(list) => one_of(list.args.iter().filter_map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })),
            _ => None,
        },
        _ => None,
    };
    inner.map_or(expr, column)
}

/// The items of a row: `(a, b)` or `ROW(a, b)`. `None` for any other expression.
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
        Expr::UnaryOp { expr, .. } | Expr::Cast { expr, .. } | Expr::Collate { expr, .. } => is_value(expr),
        // The right side first: the left one may be the rest of a long chain.
        Expr::BinaryOp { left, right, .. } => is_value(right) && is_value(left),
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

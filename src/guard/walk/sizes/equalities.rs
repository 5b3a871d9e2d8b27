//! Columns and expressions that the conditions of a SELECT make equal to each other. PostgreSQL puts them into classes, derives
//! an equality for each pair of a class (`equivclass.c`), and tries all of them in every order of the joins.

use std::collections::HashMap;

use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::{Scope, Sizes};
use crate::guard::Rejection;
use crate::guard::bounds::{MAX_ALL_EQUALITIES, MAX_EQUALITIES, WIDE_ROW};

/// Longest text of an expression that is compared. Longer texts count as different expressions.
const MAX_TEXT: usize = 200;

/// The joins of a SELECT, for [`MAX_EQUALITIES`](crate::guard::bounds::MAX_EQUALITIES).
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::guard::walk) struct Joins {
    /// Number of tables.
    pub tables: u64,
    /// Number of equalities that are derived, and not written, of classes with at most [`SEARCHED`] members.
    pub few: u64,
    /// What larger classes cost.
    pub many: u64,
    /// Number of comparisons that are written.
    pub written: u64,
    /// What the tables cost that are compared most.
    pub dense: u64,
}

/// Number of comparisons for each join up to which the classes are trusted. With more comparisons, each class counts as if
/// it had a column of each table, because one column can be written in many ways.
const FEW: u64 = 3;

/// Number of tables for which the planner tries every order of the joins. It splits more JOINs into groups of so many
/// (`join_collapse_limit`). A longer list in FROM is searched by GEQO, which takes little memory (`geqo_threshold`).
const SEARCHED: u64 = 8;

/// What a derived equality of a class with `members` costs. Measured on 15 and 18: one class of 33 tables and five classes
/// of nine tables take 90 and 56 MB, as much as six of eight tables.
fn cost_of_large_class(members: u64) -> u64 {
    derived(members).saturating_mul(SEARCHED * SEARCHED) / members.max(1)
}

impl Joins {
    pub fn plus(self, other: Joins) -> Joins {
        Joins {
            tables: self.tables + other.tables,
            few: self.few.saturating_add(other.few),
            many: self.many.saturating_add(other.many),
            written: self.written.saturating_add(other.written),
            dense: self.dense.saturating_add(other.dense),
        }
    }

    /// What [`MAX_EQUALITIES`](crate::guard::bounds::MAX_EQUALITIES) bounds.
    pub fn cost(self) -> u64 {
        let classes = self.few.saturating_mul(self.tables.min(SEARCHED)).saturating_add(self.many);
        classes.max(cost_of_dense(self.tables, self.written)).max(self.dense)
    }
}

/// What the conditions of a SELECT compare.
#[derive(Debug, Default)]
pub(super) struct Equalities {
    /// Classes of expressions as they are written.
    exact: Classes,
    /// Classes of the columns in them. Neither is always the larger one: `a + 1` and `a + 2` are two members or one.
    reduced: Classes,
    /// Number of comparisons between two tables, by their names in the SELECT.
    between: HashMap<(String, String), u64>,
    /// Number of comparisons that are written.
    written: u64,
}

/// Classes of expressions that are equal to each other.
#[derive(Debug, Default)]
struct Classes {
    members: HashMap<String, usize>,
    /// For each member another one of its class, or itself.
    parents: Vec<usize>,
    /// Number of members, for a member that is its own parent.
    counts: Vec<u64>,
}

/// Equalities between so many members of which all but one are written.
fn derived(members: u64) -> u64 {
    (members.saturating_sub(1)).saturating_mul(members.saturating_sub(2)) / 2
}

impl Classes {
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
        let (one, other) = (self.member(one), self.member(other));
        let (one, other) = (self.root(one), self.root(other));
        if one == other {
            return;
        }
        // The smaller class joins the larger one, so that the paths to the roots stay short.
        let count = |at: usize| self.counts.get(at).copied().unwrap_or(1);
        let (small, large) = if count(one) < count(other) { (one, other) } else { (other, one) };
        let (few, many) = (count(small), count(large));
        self.parents.get_mut(small).into_iter().for_each(|parent| *parent = large);
        self.counts.get_mut(large).into_iter().for_each(|count| *count = few + many);
    }

    /// The derived equalities of small classes, and what large classes cost.
    fn derived(&self) -> (u64, u64) {
        let (mut few, mut many) = (0_u64, 0_u64);
        for (at, (parent, members)) in self.parents.iter().zip(&self.counts).enumerate() {
            match *members {
                _ if at != *parent => {}
                members if members <= SEARCHED => few = few.saturating_add(derived(members)),
                members => many = many.saturating_add(cost_of_large_class(members)),
            }
        }
        (few, many)
    }
}

impl Equalities {
    fn join(&mut self, one: &Expr, other: &Expr) {
        let next = self.exact.parents.len();
        self.exact.join(text(one, next), text(other, next + 1));
        self.reduced.join(text(column(one), next), text(column(other), next + 1));
    }

    /// Notes that expressions are compared `times` times.
    fn note(&mut self, one: &Expr, other: &Expr, times: u64) {
        self.written = self.written.saturating_add(times);
        for left in qualifiers(one) {
            for right in qualifiers(other) {
                let pair = if left <= right { (left.clone(), right) } else { (right, left.clone()) };
                if pair.0 != pair.1 {
                    *self.between.entry(pair).or_default() += times;
                }
            }
        }
    }

    /// What the tables cost that are compared most, if each comparison between them is in a class of all of them. The table
    /// with the fewest comparisons is taken away again and again, so other tables of the SELECT do not hide them.
    fn dense(&self) -> u64 {
        let mut tables: Vec<&str> = self.between.keys().flat_map(|(one, other)| [one.as_str(), other]).collect();
        tables.sort_unstable();
        tables.dedup();
        let mut cost = 0;
        while tables.len() > 2 {
            let is_left = |table: &String| tables.binary_search(&table.as_str()).is_ok();
            let mut comparisons = 0;
            let mut of_table: HashMap<&str, u64> = HashMap::new();
            for ((one, other), times) in self.between.iter().filter(|((one, other), _)| is_left(one) && is_left(other))
            {
                comparisons += times;
                *of_table.entry(one).or_default() += times;
                *of_table.entry(other).or_default() += times;
            }
            cost = cost.max(cost_of_dense(tables.len() as u64, comparisons));
            let of = |table: &&str| of_table.get(table).copied().unwrap_or(0);
            let least = tables.iter().map(of).min().unwrap_or(0);
            // All tables with the fewest at once, so that a star of many tables takes one step.
            let few: Vec<&str> = tables.iter().copied().filter(|table| of(table) == least).collect();
            let kept = tables.len() - few.len();
            if kept == 0 {
                tables.pop();
            } else {
                tables.retain(|table| !few.contains(table));
            }
        }
        cost
    }

    /// Notes a column of USING. Each join adds a column to the class.
    pub(super) fn using(&mut self, column: &str) {
        self.written += 1;
        let next = self.exact.parents.len();
        for classes in [&mut self.exact, &mut self.reduced] {
            classes.join(format!("using {column}"), format!("using {column} {next}"));
        }
    }
}

/// What so many comparisons of so many tables cost if each of them is in a class of all tables; 0 if there are few.
fn cost_of_dense(tables: u64, comparisons: u64) -> u64 {
    let joins = tables.saturating_sub(1);
    if comparisons <= FEW * joins {
        return 0;
    }
    let of_all = match tables {
        tables if tables <= SEARCHED => derived(tables).saturating_mul(tables),
        tables => cost_of_large_class(tables),
    };
    comparisons.div_ceil(joins.max(1)).saturating_mul(of_all)
}

impl Scope {
    /// The joins of this SELECT and of the sub-queries that are moved into it.
    pub(super) fn joins(&self) -> Joins {
        self.inside.plus(self.own_joins())
    }

    /// The joins of this SELECT alone.
    pub(super) fn own_joins(&self) -> Joins {
        let cost = |(few, many): (u64, u64)| few.saturating_mul(SEARCHED).saturating_add(many);
        let (exact, reduced) = (self.equal.exact.derived(), self.equal.reduced.derived());
        let (few, many) = if cost(exact) < cost(reduced) { reduced } else { exact };
        Joins { tables: self.count as u64, few, many, written: self.equal.written, dense: self.equal.dense() }
    }
}

impl Sizes {
    /// Returns the joins of the SELECT that ends, with those of the sub-queries that are moved into it.
    ///
    /// # Errors
    ///
    /// [`Rejection::ManyEqualities`] with the bound.
    pub(super) fn judge_joins(&mut self) -> Result<Joins, Rejection> {
        let Some(scope) = self.scopes.last().filter(|_| self.is_counted) else { return Ok(Joins::default()) };
        let joins = scope.joins();
        self.equalities = self.equalities.saturating_add(scope.own_joins().cost());
        if joins.cost() > MAX_EQUALITIES || self.equalities > MAX_ALL_EQUALITIES {
            return Err(Rejection::ManyEqualities { limit: MAX_EQUALITIES });
        }
        Ok(joins)
    }

    /// Notes that two expressions are compared. Only in a condition, and by `=`, they form a class.
    pub(in crate::guard::walk) fn compared_with(&mut self, left: &Expr, right: &Expr, is_equal: bool) {
        let is_class = is_equal && self.in_condition;
        let Some(scope) = self.scopes.last_mut().filter(|_| self.is_counted) else { return };
        match (items(left), items(right)) {
            (Some(left), Some(right)) => {
                let all: Vec<(&Expr, &Expr)> = left.into_iter().zip(right).collect();
                for (left, right) in all {
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
            scope.equal.written = scope.equal.written.saturating_add(width);
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
        self.equal.note(left, right, width);
        if is_class && width == 1 {
            self.equal.join(left, right);
        }
    }
}

/// The text of an expression, the same for most spellings of one column. `number` makes a long text different from others.
fn text(expr: &Expr, number: usize) -> String {
    let text = match expr {
        Expr::CompoundIdentifier(parts) => {
            let skipped = parts.len().saturating_sub(2);
            parts.iter().skip(skipped).map(|part| part.value.as_str()).collect::<Vec<_>>().join(".")
        }
        Expr::Identifier(name) => name.value.clone(),
        // `(t).c` is `t.c`.
        other => other.to_string().replace(['"', '(', ')'], ""),
    };
    let text = text.to_lowercase();
    if text.len() > MAX_TEXT { format!("{number} {}", text.len()) } else { text }
}

/// The names before the columns of an expression: `a` and `b` of `a.x + b.y`. An expression without one is its own text.
fn qualifiers(expr: &Expr) -> Vec<String> {
    let text = expr.to_string().to_lowercase().replace(").", ".").replace('"', "");
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$');
    let mut found: Vec<String> = text
        .split(|c| !is_part(c))
        .filter(|name| !name.starts_with(|c: char| c.is_ascii_digit()))
        .filter_map(|name| name.rsplit('.').nth(1).map(str::to_owned))
        .filter(|name| !name.is_empty())
        .collect();
    found.sort_unstable();
    found.dedup();
    if found.is_empty() { vec![text] } else { found }
}

/// The column in an expression that can be nothing but the value of one column, such as `(c)::int` or `CASE WHEN true THEN c
/// END`. Any other expression is returned as it is.
fn column(expr: &Expr) -> &Expr {
    fn one_of(parts: Vec<&Expr>) -> Option<&Expr> {
        let mut columns = parts.into_iter().map(column).filter(|part| !is_value(part));
        columns.next().filter(|_| columns.next().is_none())
    }
    let inner = match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } | Expr::UnaryOp { expr: inner, .. } => Some(column(inner)),
        Expr::Collate { expr: inner, .. } => Some(column(inner)),
        Expr::BinaryOp { left, right, .. } => one_of(vec![left, right]),
        Expr::Case { operand, conditions, else_result, .. } => {
            let results = conditions.iter().flat_map(|when| [&when.condition, &when.result]);
            one_of(operand.as_deref().into_iter().chain(results).chain(else_result.as_deref()).collect())
        }
        Expr::Function(function) => match &function.args {
            FunctionArguments::List(list) => one_of(
                list.args
                    .iter()
                    .filter_map(|arg| match arg {
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                        _ => None,
                    })
                    .collect(),
            ),
            _ => None,
        },
        _ => None,
    };
    inner.unwrap_or(expr)
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

//! The part of the walk that estimates how large a statement becomes when PostgreSQL moves sub-queries into the queries
//! around them. It then replaces each use of a column by the expression behind it
//! (`pull_up_subqueries` in `prepjointree.c`). In a chain of sub-queries in which each uses a column of the one before
//! twice, the size doubles with each of them. The planner does not heed a cancel while it copies.
//!
//! The estimate is never too low for a statement that PostgreSQL accepts. It is too high where PostgreSQL keeps a sub-query apart.

use std::collections::HashMap;
use std::rc::Rc;

use sqlparser::ast::{Expr, Fetch, Function, Ident, LimitClause, ObjectName, Query};

use super::{Walk, Walked};
use crate::dialect::Dialect;
use crate::guard::Rejection;
use crate::guard::bounds::{COSTLY, MAX_COPIES, MAX_COSTLY_NESTING};

/// What one use of a column stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// Columns and literals in the expression behind it.
    leaves: u64,
    /// Nesting depth of the forms of [`COSTLY`] in it.
    nesting: usize,
}

/// Aggregates of PostgreSQL.
const AGGREGATES: [&str; 30] = [
    "any_value",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "every",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "max",
    "min",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "regr_slope",
    "regr_intercept",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "variance",
];

/// Functions of PostgreSQL 15 and 18 that take a whole row (`pg_proc`).
const OF_ROWS: [&str; 13] = [
    "concat",
    "hash_record",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "num_nonnulls",
    "num_nulls",
    "quote_literal",
    "quote_nullable",
    "row_to_json",
    "to_json",
    "to_jsonb",
];

/// Names of columns that are kept of one table or sub-query.
const MAX_NAMES: usize = 200;

const COLUMN: Size = Size { leaves: 1, nesting: 0 };

impl Size {
    fn max(self, other: Size) -> Size {
        Size { leaves: self.leaves.max(other.leaves), nesting: self.nesting.max(other.nesting) }
    }

    fn deeper(self) -> Size {
        Size { nesting: self.nesting + 1, ..self }
    }

    fn plus(self, other: Size) -> Size {
        Size { leaves: self.leaves.saturating_add(other.leaves), nesting: self.nesting.max(other.nesting) }
    }
}

/// The columns of a table, a CTE or a sub-query.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    named: HashMap<String, Size>,
    /// The largest column whose name is not known.
    other: Size,
    /// All columns together.
    row: Size,
    /// Columns and literals that each reference to a CTE copies: all of its query if it is NOT MATERIALIZED.
    body: u64,
}

impl Columns {
    /// Columns of a table, or of anything that is not moved.
    pub(super) fn plain() -> Self {
        Self::all(COLUMN)
    }

    /// A query that refers to a later one of its WITH. Its size is not known yet.
    pub(super) fn unknown() -> Self {
        Self::all(Size { leaves: MAX_COPIES + 2, nesting: 0 })
    }

    fn all(size: Size) -> Self {
        Columns { named: HashMap::new(), other: size, row: size, body: 0 }
    }

    fn largest(&self) -> Size {
        self.named.values().fold(self.other, |largest, size| largest.max(*size))
    }

    /// Adds a column. Of a very wide list only some names are kept.
    pub(super) fn add(&mut self, name: Option<String>, size: Size) {
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
    fn extend(&mut self, other: &Columns) {
        let row = self.row.plus(other.row);
        self.other = self.other.max(other.other);
        for (name, size) in &other.named {
            self.add(Some(name.clone()), *size);
        }
        self.row = row;
    }

    /// The result of a set operation, which is named as the left query. A condition on a column is copied to both queries, and
    /// each column may be the largest of the right one.
    pub(super) fn united(mut self, right: &Columns) -> Self {
        let largest = right.largest();
        self.other = self.other.plus(largest);
        self.named.values_mut().for_each(|size| *size = size.plus(largest));
        self.row = self.row.plus(right.row);
        self
    }

    /// Columns of a query that PostgreSQL keeps apart. The nesting in their values stays.
    pub(super) fn kept_apart(&self) -> Self {
        Self::all(Size { leaves: 1, nesting: self.row.nesting })
    }

    /// Columns that are named by a list after the alias.
    pub(super) fn renamed(self) -> Self {
        Columns { row: self.row, body: self.body, ..Self::all(self.largest()) }
    }
}

/// The tables of one SELECT.
#[derive(Debug, Default)]
struct Scope {
    /// By the names that they have there.
    tables: HashMap<String, Rc<Columns>>,
    /// All columns whose names are known. Several of one name count as their sum: FULL JOIN .. USING makes one column of two.
    named: HashMap<String, Size>,
    /// The largest column whose name is not known.
    other: Option<Size>,
}

/// The state of the estimate.
#[derive(Debug)]
pub(super) struct Sizes {
    /// Columns and literals so far, and the sum of their sizes.
    uses: u64,
    leaves: u64,
    /// Each enclosing SELECT.
    scopes: Vec<Scope>,
    ctes: HashMap<String, Rc<Columns>>,
    /// The columns of the query that was walked last.
    pub(super) result: Columns,
    /// Costly forms around the current expression, and the deepest nesting of them in it.
    open: usize,
    nesting: usize,
    /// True if the current expression has an aggregate or a window function. Such an expression is not moved.
    is_fixed: bool,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes {
            uses: 0,
            leaves: 0,
            scopes: Vec::new(),
            ctes: HashMap::new(),
            result: Columns::plain(),
            open: 0,
            nesting: 0,
            is_fixed: false,
        }
    }
}

impl Sizes {
    /// The number of SELECTs that are open.
    pub(super) fn depth(&self) -> usize {
        self.scopes.len()
    }

    pub(super) fn open_select(&mut self) {
        self.scopes.push(Scope::default());
    }

    /// Forgets the tables of SELECTs that ended.
    pub(super) fn close_to(&mut self, depth: usize) {
        self.scopes.truncate(depth);
    }

    /// Adds a table, a sub-query or a function to the current SELECT. `has_names`: its alias names the columns.
    pub(super) fn range(&mut self, name: Option<String>, columns: Rc<Columns>, has_names: bool) {
        let Some(scope) = self.scopes.last_mut() else { return };
        let columns = if has_names { Rc::new(columns.as_ref().clone().renamed()) } else { columns };
        self.leaves = self.leaves.saturating_add(columns.body);
        for (name, size) in &columns.named {
            scope.named.entry(name.clone()).and_modify(|sum| *sum = sum.plus(*size)).or_insert(*size);
        }
        scope.other = Some(scope.other.unwrap_or(COLUMN).max(columns.other));
        scope.tables.insert(name.unwrap_or_default(), columns);
    }

    /// The columns of a table by its name without a schema: those of a CTE, if one has this name.
    pub(super) fn table(&self, name: &str) -> Rc<Columns> {
        self.ctes.get(name).cloned().unwrap_or_else(|| Rc::new(Columns::plain()))
    }

    /// Records a CTE. Where several have one name, each counts as the largest.
    pub(super) fn cte(&mut self, name: &str, mut columns: Columns) {
        if let Some(known) = self.ctes.get(name) {
            columns.extend(known);
            columns.body = columns.body.max(known.body);
        }
        self.ctes.insert(name.to_owned(), Rc::new(columns));
    }

    /// Records that each reference to the query since `before` copies it.
    pub(super) fn copied_by_each(&self, before: u64, columns: &mut Columns) {
        columns.body = self.leaves.saturating_sub(before);
    }

    /// The sum of all sizes so far.
    pub(super) fn total(&self) -> u64 {
        self.leaves
    }

    /// Replaces what is known of a CTE, and returns it.
    pub(super) fn replace_cte(&mut self, name: &str, columns: Option<Rc<Columns>>) -> Option<Rc<Columns>> {
        match columns {
            Some(columns) => self.ctes.insert(name.to_owned(), columns),
            None => self.ctes.remove(name),
        }
    }

    /// Notes a use of a column.
    pub(super) fn used(&mut self, table: Option<&str>, column: &str) {
        let size = match table {
            Some(table) => match (self.find(table), self.find(table).and_then(|table| table.named.get(column))) {
                (Some(_), Some(size)) => *size,
                // If there is no such column, the server calls the function with the whole row.
                (Some(columns), None) if OF_ROWS.contains(&column) => columns.row.deeper(),
                (Some(columns), None) => columns.other,
                (None, _) => self.largest(),
            },
            None => self.of_name(column),
        };
        self.count(size);
    }

    pub(super) fn literal(&mut self) {
        self.count(COLUMN);
    }

    /// Notes a `*` of a select list, and adds its columns.
    pub(super) fn star(&mut self, of: Option<&str>, into: &mut Columns) {
        let Some(scope) = self.scopes.last() else { return };
        let tables = scope.tables.iter().filter(|(name, _)| of.is_none_or(|of| of == name.as_str()));
        let tables: Vec<Rc<Columns>> = tables.map(|(_, columns)| columns.clone()).collect();
        let named = scope.named.clone();
        for columns in tables {
            self.count(columns.row);
            into.extend(&columns);
        }
        // Where tables share a name, it is the column of a join.
        let row = into.row;
        named.into_iter().filter(|_| of.is_none()).for_each(|(name, size)| into.add(Some(name), size));
        into.row = row;
    }

    /// Notes `t.*` as a value.
    pub(super) fn row_of(&mut self, table: &str) {
        let row = self.find(table).map(|columns| columns.row);
        self.count(row.unwrap_or_else(|| self.largest()));
    }

    /// All columns of the current SELECT.
    pub(super) fn current(&self) -> Columns {
        let mut all = Columns::plain();
        self.scopes.last().iter().flat_map(|scope| scope.tables.values()).for_each(|columns| all.extend(columns));
        all
    }

    /// Notes an aggregate or a window function.
    pub(super) fn fix(&mut self) {
        self.is_fixed = true;
    }

    fn count(&mut self, size: Size) {
        self.uses += 1;
        self.leaves = self.leaves.saturating_add(size.leaves);
        self.nesting = self.nesting.max(self.open + size.nesting);
    }

    fn find(&self, table: &str) -> Option<&Rc<Columns>> {
        self.scopes.iter().rev().find_map(|scope| scope.tables.get(table))
    }

    /// The size of a column by its name alone. The name of a table means its whole row.
    fn of_name(&self, column: &str) -> Size {
        let mut largest = COLUMN;
        for scope in self.scopes.iter().rev() {
            largest = largest.max(scope.other.unwrap_or(COLUMN));
            if let Some(table) = scope.tables.get(column) {
                largest = largest.max(table.row);
            }
            if let Some(sum) = scope.named.get(column) {
                return largest.max(*sum);
            }
        }
        largest
    }

    fn largest(&self) -> Size {
        let tables = self.scopes.iter().flat_map(|scope| scope.tables.values());
        tables.fold(COLUMN, |largest, columns| largest.max(columns.largest()))
    }
}

impl Walk<'_> {
    /// Walks one item of a select list and returns its size.
    pub(super) fn measured(&mut self, walk: impl FnOnce(&mut Self) -> Walked) -> Result<Size, Rejection> {
        let (before, nesting) = (self.sizes.leaves, std::mem::take(&mut self.sizes.nesting));
        let (is_fixed, open) = (std::mem::take(&mut self.sizes.is_fixed), std::mem::take(&mut self.sizes.open));
        walk(self)?;
        let leaves = if self.sizes.is_fixed { 1 } else { self.sizes.leaves.saturating_sub(before).max(1) };
        let size = Size { leaves, nesting: self.sizes.nesting };
        self.sizes.nesting = nesting.max(open + size.nesting);
        (self.sizes.is_fixed, self.sizes.open) = (is_fixed, open);
        Ok(size)
    }

    /// Walks an operand that the server copies `copies` times.
    pub(super) fn copied(&mut self, expr: &Expr, copies: usize) -> Walked {
        let before = self.sizes.leaves;
        self.expr(expr)?;
        let size = self.sizes.leaves.saturating_sub(before);
        let more = size.saturating_mul((copies as u64).saturating_sub(1));
        self.sizes.leaves = self.sizes.leaves.saturating_add(more);
        Ok(())
    }

    /// Walks the parts of a form that doubles the quotes of the texts in it.
    pub(super) fn costly(&mut self, is_costly: bool, walk: impl FnOnce(&mut Self) -> Walked) -> Walked {
        let open = self.sizes.open;
        self.sizes.open += usize::from(is_costly);
        let walked = walk(self);
        self.sizes.open = open;
        walked
    }

    /// True for a function of [`COSTLY`].
    pub(super) fn is_costly(&self, name: &ObjectName) -> bool {
        self.bare_name(name).is_some_and(|name| COSTLY.contains(&name.as_str()))
    }

    /// True for an aggregate of PostgreSQL or a window function.
    pub(super) fn is_fixed(&self, function: &Function) -> bool {
        let is_known = || self.bare_name(&function.name).is_some_and(|name| AGGREGATES.contains(&name.as_str()));
        function.over.is_some() || is_known()
    }

    fn bare_name(&self, name: &ObjectName) -> Option<String> {
        match self.parts(name).ok()?.as_slice() {
            [bare] => Some(bare.clone()),
            [schema, bare] if schema == "pg_catalog" => Some(bare.clone()),
            _ => None,
        }
    }

    /// The name that PostgreSQL gives to a column without an alias, if it is the name of another column.
    pub(super) fn column_name(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Identifier(name) => Some(self.fold(name)),
            Expr::CompoundIdentifier(parts) => parts.last().map(|name| self.fold(name)),
            _ => None,
        }
    }

    /// Notes the columns that `alias.column.field` may mean.
    pub(super) fn use_parts(&mut self, parts: &[Ident]) {
        for pair in parts.windows(2) {
            if let [table, column] = pair {
                let (table, column) = (self.fold(table), self.fold(column));
                self.sizes.used(Some(&table), &column);
            }
        }
    }

    /// Walks a query whose aggregates say nothing about the expression around it.
    pub(super) fn apart(&mut self, walk: impl FnOnce(&mut Self) -> Walked) -> Walked {
        let is_fixed = self.sizes.is_fixed;
        let walked = walk(self);
        self.sizes.is_fixed = is_fixed;
        walked
    }

    /// True if PostgreSQL keeps the query apart from those around it.
    pub(super) fn is_kept_apart(&self, query: &Query) -> bool {
        let limits = match &query.limit_clause {
            None => false,
            Some(LimitClause::LimitOffset { limit, offset, limit_by: _ }) => limit.is_some() || offset.is_some(),
            Some(LimitClause::OffsetCommaLimit { .. }) => true,
        };
        limits || matches!(&query.fetch, Some(Fetch { quantity: Some(_), .. }))
    }

    /// # Errors
    ///
    /// [`Rejection::ManyCopies`] or [`Rejection::TooDeep`] with the bound.
    pub(super) fn judge_sizes(&self) -> Walked {
        // SQLite has a bound on its memory.
        if self.dialect == Dialect::Sqlite {
            return Ok(());
        }
        if self.sizes.leaves.saturating_sub(self.sizes.uses) > MAX_COPIES {
            return Err(Rejection::ManyCopies { limit: MAX_COPIES });
        }
        if self.sizes.nesting > MAX_COSTLY_NESTING {
            return Err(Rejection::TooDeep { limit: MAX_COSTLY_NESTING });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "sizes_tests.rs"]
mod tests;

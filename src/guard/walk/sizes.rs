//! The part of the walk that estimates how large a statement becomes when PostgreSQL moves sub-queries into the queries
//! around them. The server then replaces each use of a column by the expression behind the column (`pull_up_subqueries`
//! in `prepjointree.c`). If each sub-query of a chain uses a column of the previous one twice, the size doubles with
//! each sub-query. While it copies, the planner does not react to a cancel.
//!
//! It is an estimate. It leaves out views and partitions, and counts as moved some queries that the server keeps apart.

mod columns;
mod equalities;
mod functions;
mod scope;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use sqlparser::ast::{Expr, Fetch, Function, FunctionArg, FunctionArgExpr, FunctionArguments};
use sqlparser::ast::{Ident, LimitClause, ObjectName, Query, Value};

pub(super) use columns::Columns;
use columns::{COLUMN, Size};
use equalities::Joins;
use functions::{AGGREGATES, OF_ROWS};
pub(super) use scope::Scope;

use super::{Walk, Walked};
use crate::dialect::Dialect;
use crate::guard::Rejection;
use crate::guard::bounds::{COSTLY, MAX_COPIES, MAX_COSTLY_NESTING, MAX_TABLES, NATURAL_PAIR, WIDE_ROW};

/// Maximum names of columns that the estimate goes through. Beyond it, the statement is refused.
const MAX_WORK: usize = 1_000_000;

/// Nodes that a table counts as. The server plans each copy of a sub-query separately. A copy with eight tables took
/// about 200 KB for each table (measured on 15 and 18).
const TABLE: u64 = 200;

/// Nodes that a NATURAL JOIN counts as, because it names no columns. Six tables of 104 columns took 350 MB.
const NATURAL: u64 = 21_000;

/// The state of the estimate.
#[derive(Debug)]
pub(super) struct Sizes {
    /// False for SQLite, which bounds its memory.
    is_counted: bool,
    /// True if the plan is shown. Its text repeats the expressions behind columns, even of queries that are kept apart.
    is_plan: bool,
    /// Nodes of the statement as it is written, so far.
    written: u64,
    /// Nodes that it becomes. A use of a column adds its `moved` size, or in a condition or plan its `pushed` size.
    total: u64,
    /// The sums of [`Size::moved`] and [`Size::pushed`].
    moved: u64,
    pushed: u64,
    in_condition: bool,
    /// Number of CTEs around the current query.
    pub(super) in_cte: usize,
    /// Names of columns that the estimate has gone through.
    work: usize,
    /// Number of tables of all SELECTs so far.
    pub(super) all_tables: usize,
    /// True in the list of GROUP BY.
    pub(super) in_group: bool,
    /// The SELECTs around the current place, and the current SELECT as the last one.
    scopes: Vec<Scope>,
    ctes: HashMap<String, Rc<Columns>>,
    /// The columns of the query that was walked last.
    pub(super) result: Columns,
    /// The joins of the SELECT that was walked last, also if it is grouped or limited. The server ignores both in EXISTS.
    last_joins: Joins,
    /// The largest numbers of tables and comparisons of a SELECT so far.
    joins: Joins,
    /// The comparisons that are written so far.
    compared: Joins,
    /// Costly forms around the current expression, and the deepest nesting of them in it.
    open: usize,
    nesting: usize,
    /// True if the current expression has an aggregate of this SELECT, or a window function. Such an expression is not moved.
    is_fixed: bool,
    /// True if an item of the current select list has such an aggregate or window function.
    has_fixed: bool,
    /// Whether the current call uses columns of this SELECT, and whether it uses columns of a SELECT around it.
    uses_own: bool,
    uses_outer: bool,
}

impl Sizes {
    pub(super) fn new(dialect: Dialect, is_plan: bool) -> Self {
        Sizes {
            is_counted: dialect == Dialect::Postgresql,
            is_plan,
            written: 0,
            total: 0,
            moved: 0,
            pushed: 0,
            in_condition: false,
            in_cte: 0,
            work: 0,
            all_tables: 0,
            in_group: false,
            scopes: Vec::new(),
            ctes: HashMap::new(),
            result: Columns::plain(),
            last_joins: Joins::default(),
            joins: Joins::default(),
            compared: Joins::default(),
            open: 0,
            nesting: 0,
            is_fixed: false,
            has_fixed: false,
            uses_own: false,
            uses_outer: false,
        }
    }

    pub(super) fn is_plan(&self) -> bool {
        self.is_plan
    }

    /// True if an item of the current select list has an aggregate or a window function. Forgets it.
    pub(super) fn has_fixed(&mut self) -> bool {
        std::mem::take(&mut self.has_fixed)
    }

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

    /// Hides the tables of the current SELECT from a sub-query in its FROM. With LATERAL they stay visible.
    pub(super) fn hide(&mut self, is_lateral: bool) -> Option<Scope> {
        self.scopes.last_mut().filter(|_| !is_lateral).map(std::mem::take)
    }

    pub(super) fn show_again(&mut self, hidden: Option<Scope>) {
        if let (Some(scope), Some(hidden)) = (self.scopes.last_mut(), hidden) {
            *scope = hidden;
        }
    }

    /// Counts the tables of a sub-query of a condition as tables of this SELECT, because the server joins them: `own` for the
    /// sub-query itself and `tables` in it. 200 times `IN (SELECT ..)` took 400 MB.
    ///
    /// # Errors
    ///
    /// As [`Self::range`].
    pub(super) fn semi_join(&mut self, own: usize, tables: usize) -> Walked {
        let scope = self.scopes.last_mut().filter(|_| self.is_counted && self.in_condition);
        let Some(scope) = scope else { return Ok(()) };
        scope.count += own + tables;
        scope.inside = scope.inside.plus(self.last_joins.of_condition());
        self.compared.within = self.compared.within.saturating_add(self.last_joins.comparisons);
        if scope.count > MAX_TABLES { Err(Rejection::ManyTables { limit: MAX_TABLES }) } else { Ok(()) }
    }

    /// Adds a table, a sub-query or a function to the current SELECT. `has_names`: its alias names the columns.
    ///
    /// # Errors
    ///
    /// [`Rejection::ManyTables`] with the bound.
    pub(super) fn range(&mut self, name: Option<String>, columns: Rc<Columns>, has_names: bool) -> Walked {
        self.copy(columns.body);
        let joins = columns.joins;
        let Some(scope) = self.scopes.last_mut() else { return Ok(()) };
        scope.count += 1;
        scope.inside = scope.inside.plus(joins);
        self.all_tables += 1;
        if scope.count > MAX_TABLES {
            return Err(Rejection::ManyTables { limit: MAX_TABLES });
        }
        if !self.is_counted {
            return Ok(());
        }
        let columns = if has_names { Rc::new(columns.as_ref().clone().renamed()) } else { columns };
        self.work += columns.named.len();
        scope.has_unknown |= columns.named.is_empty();
        scope.largest = Some(scope.largest.unwrap_or(COLUMN).max(columns.largest()));
        for (name, size) in &columns.named {
            scope.named.entry(name.clone()).and_modify(|sum| *sum = sum.plus(*size)).or_insert(*size);
        }
        scope.other = Some(scope.other.unwrap_or(COLUMN).max(columns.other));
        match scope.tables.entry(name.unwrap_or_default()) {
            Entry::Vacant(free) => _ = free.insert(columns),
            Entry::Occupied(mut taken) => {
                self.work += taken.get().named.len() + columns.named.len();
                let mut both = taken.get().as_ref().clone();
                both.extend(&columns);
                taken.insert(Rc::new(both));
            }
        }
        Ok(())
    }

    /// The columns of a table that is named without a schema, or of the CTE of this name.
    pub(super) fn table(&self, name: &str) -> Rc<Columns> {
        self.ctes.get(name).cloned().unwrap_or_else(|| Rc::new(Columns::plain()))
    }

    /// Records a CTE. If several CTEs have the same name, each counts as the largest of them.
    pub(super) fn cte(&mut self, name: &str, mut columns: Columns) {
        if !self.is_counted {
            return;
        }
        if let Some(known) = self.ctes.get(name) {
            columns.extend(known);
            columns.body = columns.body.max(known.body);
        }
        self.ctes.insert(name.to_owned(), Rc::new(columns));
    }

    /// Records that each reference copies the whole query. `before` is [`Self::total`] from before the query.
    pub(super) fn copied_by_each(&self, before: u64, columns: &mut Columns) {
        columns.body = self.total.saturating_sub(before);
    }

    /// The sum of all sizes so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Replaces the columns of a CTE, and returns the old ones.
    pub(super) fn replace_cte(&mut self, name: &str, columns: Option<Rc<Columns>>) -> Option<Rc<Columns>> {
        match columns {
            Some(columns) => self.ctes.insert(name.to_owned(), columns),
            None => self.ctes.remove(name),
        }
    }

    /// Notes a use of a column.
    pub(super) fn used(&mut self, table: Option<&str>, column: &str) {
        if !self.is_counted {
            return;
        }
        let is_own = self.is_own(table, column);
        self.uses_own |= is_own;
        self.uses_outer |= !is_own;
        let size = match table {
            Some(table) => {
                // A sub-query in FROM does not see the tables beside it, so a table further out may be meant.
                let sizes = self.tables_called(table).map(|columns| match columns.named.get(column) {
                    Some(size) => *size,
                    // If there is no such column, the server calls the function of that name with the whole row.
                    None if OF_ROWS.contains(&column) => columns.row.deeper(),
                    None => columns.other,
                });
                sizes.reduce(Size::max).unwrap_or_else(|| self.largest_known())
            }
            None => self.of_name(column),
        };
        self.count(size);
    }

    /// Counts nodes of the statement as it is written.
    pub(super) fn weigh(&mut self, nodes: u64) {
        self.written = self.written.saturating_add(nodes);
        self.copy(nodes);
    }

    /// Notes a table in FROM. `bare` is its name if it has no schema; a CTE may have this name.
    pub(super) fn weigh_table(&mut self, bare: Option<&str>) {
        let is_cte = bare.is_some_and(|name| self.ctes.contains_key(name));
        self.weigh(if is_cte { 1 } else { TABLE });
    }

    /// Adds nodes to all four sums.
    fn copy(&mut self, nodes: u64) {
        for sum in [&mut self.total, &mut self.moved, &mut self.pushed] {
            *sum = sum.saturating_add(nodes);
        }
    }

    /// Counts the sets that a CUBE, ROLLUP or GROUPING SETS makes. Several in one GROUP BY multiply their sets. The server
    /// lists the columns of each set.
    pub(super) fn sets(&mut self, sets: usize, columns: usize) {
        let Some(scope) = self.scopes.last_mut() else { return };
        scope.sets = scope.sets.max(1).saturating_mul(sets.max(1) as u64);
        scope.grouped = scope.grouped.saturating_add(columns as u64);
        let listed = scope.sets.saturating_mul(scope.grouped).saturating_mul(4);
        self.copy(listed);
    }

    /// Notes `t.*` as a value.
    pub(super) fn row_of(&mut self, table: &str) {
        if !self.is_counted {
            return;
        }
        let row = self.tables_called(table).map(|columns| columns.row).reduce(Size::max);
        self.count(row.unwrap_or_else(|| self.largest_known()));
    }

    /// All columns of the current SELECT.
    fn current(&self) -> Columns {
        let mut all = Columns::plain();
        self.scopes.last().iter().flat_map(|scope| scope.tables.values()).for_each(|columns| all.extend(columns));
        all
    }

    /// Notes a condition on a column: of USING or NATURAL, or of IN with a sub-query.
    pub(super) fn count_pushed(&mut self, size: Size) {
        self.count(Size { moved: size.pushed, ..size });
    }

    /// Notes conditions on all columns of the current SELECT.
    pub(super) fn natural(&mut self) {
        self.copy(NATURAL);
        // Two tables have no order of joins to search.
        let is_pair = self.scopes.last().is_some_and(|scope| scope.count <= 2);
        self.compare_unnamed(if is_pair { NATURAL_PAIR } else { WIDE_ROW });
        let tables: Vec<Size> =
            self.scopes.last().iter().flat_map(|scope| scope.tables.values()).map(|columns| columns.row).collect();
        self.work += tables.len();
        tables.into_iter().for_each(|row| self.count_pushed(row));
    }

    /// Ends a join with an alias: adds its tables to the count of the SELECT around it, and returns its columns.
    ///
    /// # Errors
    ///
    /// As [`Self::range`].
    pub(super) fn close_join(&mut self) -> Result<Columns, Rejection> {
        let mut columns = self.current();
        let inside = self.scopes.pop().map_or(0, |scope| {
            columns.joins = Joins { tables: scope.inside.tables, ..scope.joins() };
            scope.count
        });
        if let Some(scope) = self.scopes.last_mut() {
            scope.count += inside;
            if scope.count > MAX_TABLES {
                return Err(Rejection::ManyTables { limit: MAX_TABLES });
            }
        }
        Ok(columns)
    }

    fn count(&mut self, size: Size) {
        self.written += 1;
        self.moved = self.moved.saturating_add(size.moved);
        self.pushed = self.pushed.saturating_add(size.pushed);
        let is_pushed = self.in_condition || self.is_plan;
        self.total = self.total.saturating_add(if is_pushed { size.pushed } else { size.moved });
        self.nesting = self.nesting.max(self.open + size.nesting);
    }

    /// All tables of this name, in this SELECT and around it.
    fn tables_called<'t>(&'t self, table: &'t str) -> impl Iterator<Item = &'t Rc<Columns>> {
        self.scopes.iter().filter_map(move |scope| scope.tables.get(table))
    }

    /// True if a column belongs to the current SELECT, and not to one around it.
    fn is_own(&self, table: Option<&str>, column: &str) -> bool {
        let Some((scope, around)) = self.scopes.split_last() else { return false };
        match table {
            Some(table) => scope.tables.contains_key(table),
            None => {
                let is_alone = around.iter().all(|scope| scope.count == 0);
                scope.named.contains_key(column) || is_alone && scope.has_unknown
            }
        }
    }

    /// The size of a column by its name alone. The name of a table means its whole row.
    fn of_name(&self, column: &str) -> Size {
        let mut largest = COLUMN;
        for scope in &self.scopes {
            largest = largest.max(scope.other.unwrap_or(COLUMN));
            if let Some(table) = scope.tables.get(column) {
                largest = largest.max(table.row);
            }
            if let Some(sum) = scope.named.get(column) {
                largest = largest.max(*sum);
            }
        }
        largest
    }

    /// # Errors
    ///
    /// [`Rejection::ManyCopies`] or [`Rejection::TooDeep`] with the bound.
    pub(super) fn judge(&self) -> Walked {
        let is_large = self.total.saturating_sub(self.written) > MAX_COPIES || self.work > MAX_WORK;
        if self.is_counted && is_large {
            return Err(Rejection::ManyCopies { limit: MAX_COPIES });
        }
        if self.is_counted && self.nesting > MAX_COSTLY_NESTING {
            return Err(Rejection::TooDeep { limit: MAX_COSTLY_NESTING });
        }
        Ok(())
    }

    /// The largest column of all tables here and around.
    fn largest_known(&self) -> Size {
        self.scopes.iter().filter_map(|scope| scope.largest).fold(COLUMN, Size::max)
    }
}

impl Walk<'_> {
    /// Walks one item of a select list and returns its size.
    pub(super) fn measured(&mut self, walk: impl FnOnce(&mut Self) -> Walked) -> Result<Size, Rejection> {
        let (moved, pushed) = (self.sizes.moved, self.sizes.pushed);
        let nesting = std::mem::take(&mut self.sizes.nesting);
        let (is_fixed, open) = (std::mem::take(&mut self.sizes.is_fixed), std::mem::take(&mut self.sizes.open));
        walk(self)?;
        let mut size = Size {
            moved: self.sizes.moved.saturating_sub(moved).max(1),
            pushed: self.sizes.pushed.saturating_sub(pushed).max(1),
            nesting: self.sizes.nesting,
        };
        self.sizes.has_fixed |= self.sizes.is_fixed;
        if self.sizes.is_fixed {
            // The server pushes a condition on an aggregate into HAVING, and not into the queries below. The text of a
            // plan still shows the expressions below.
            size.pushed = if self.sizes.is_plan { size.pushed } else { size.moved };
            size.moved = 1;
        }
        self.sizes.nesting = nesting.max(open + size.nesting);
        (self.sizes.is_fixed, self.sizes.open) = (is_fixed, open);
        Ok(size)
    }

    /// Walks an operand that the server copies `copies` times.
    pub(super) fn copied(&mut self, expr: &Expr, copies: usize) -> Walked {
        let before = [self.sizes.total, self.sizes.moved, self.sizes.pushed];
        self.expr(expr)?;
        let more = (copies as u64).saturating_sub(1);
        let sums = [&mut self.sizes.total, &mut self.sizes.moved, &mut self.sizes.pushed];
        for (sum, before) in sums.into_iter().zip(before) {
            *sum = sum.saturating_add(sum.saturating_sub(before).saturating_mul(more));
        }
        Ok(())
    }

    /// Notes the length of a literal.
    pub(super) fn weigh_value(&mut self, value: &Value) {
        self.sizes.weigh(value.to_string().len() as u64 / 64);
    }

    /// Walks a call of a function.
    pub(super) fn measured_call(&mut self, function: &Function) -> Walked {
        let is_costly = self.is_costly(&function.name);
        let uses = (std::mem::take(&mut self.sizes.uses_own), std::mem::take(&mut self.sizes.uses_outer));
        self.costly(is_costly, |walk| walk.function(function))?;
        // An aggregate whose columns all belong to a SELECT around this one belongs there too.
        let is_outer = self.sizes.uses_outer && !self.sizes.uses_own;
        if function.over.is_some() || self.is_aggregate(&function.name) && !is_outer {
            self.sizes.is_fixed = true;
        }
        self.sizes.uses_own |= uses.0;
        self.sizes.uses_outer |= uses.1;
        let name = self.bare_name(&function.name);
        if let (true, FunctionArguments::List(list), Some(name @ ("cube" | "rollup"))) =
            (self.sizes.in_group, &function.args, name.as_deref())
        {
            let columns = list.args.iter().map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Tuple(columns))) => columns.len(),
                _ => 1,
            });
            let elements = list.args.len();
            self.sizes.sets(if name == "cube" { 1 << elements.min(40) } else { elements + 1 }, columns.sum());
        }
        Ok(())
    }

    /// Walks a condition: WHERE, HAVING or ON.
    pub(super) fn condition(&mut self, expr: Option<&Expr>) -> Walked {
        let outside = std::mem::replace(&mut self.sizes.in_condition, true);
        let walked = self.maybe(expr);
        self.sizes.in_condition = outside;
        walked
    }

    /// Notes that a value is compared with a column of the query that was walked last.
    pub(super) fn compared(&mut self) {
        let largest = self.sizes.result.largest();
        self.sizes.count_pushed(largest);
    }

    /// Stores a SELECT's columns. `is_grouped`: GROUP BY, DISTINCT, or an aggregate or window function in the list.
    ///
    /// # Errors
    ///
    /// [`Rejection::ManyComparisons`] with the bound.
    pub(super) fn finish_select(&mut self, mut columns: Columns, is_grouped: bool) -> Walked {
        let joins = self.sizes.judge_joins()?;
        columns.joins = joins;
        self.sizes.last_joins = joins;
        self.sizes.result = if is_grouped && !self.sizes.is_plan { columns.grouped() } else { columns };
        Ok(())
    }

    /// Walks the parts of a form. `is_costly`: it is a form of [`MAX_COSTLY_NESTING`].
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

    fn is_aggregate(&self, name: &ObjectName) -> bool {
        self.bare_name(name).is_some_and(|name| AGGREGATES.contains(&name.as_str()))
    }

    fn bare_name(&self, name: &ObjectName) -> Option<String> {
        match self.parts(name).ok()?.as_slice() {
            [bare] => Some(bare.clone()),
            [schema, bare] if schema == "pg_catalog" => Some(bare.clone()),
            _ => None,
        }
    }

    /// The name of a select item without an alias. `None` if the item is not a column.
    pub(super) fn column_name(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Identifier(name) => Some(self.fold(name)),
            Expr::CompoundIdentifier(parts) => parts.last().map(|name| self.fold(name)),
            _ => None,
        }
    }

    /// Notes the columns that `alias.column.field` may mean.
    pub(super) fn use_parts(&mut self, parts: &[Ident]) {
        for (at, pair) in parts.windows(2).enumerate() {
            let [table, column] = pair else { continue };
            let (table, column) = (self.fold(table), self.fold(column));
            // `schema.table.column`: the schema is no table.
            if at + 2 == parts.len() || self.sizes.tables_called(&table).next().is_some() {
                self.sizes.used(Some(&table), &column);
            }
        }
    }

    /// Walks a query. Its aggregates and conditions do not count for the query around it.
    pub(super) fn as_query(&mut self, walk: impl FnOnce(&mut Self) -> Walked) -> Walked {
        let (is_fixed, has_fixed) = (self.sizes.is_fixed, std::mem::take(&mut self.sizes.has_fixed));
        let in_condition = std::mem::take(&mut self.sizes.in_condition);
        let walked = walk(self);
        (self.sizes.is_fixed, self.sizes.has_fixed) = (is_fixed, has_fixed);
        self.sizes.in_condition = in_condition;
        walked?;
        self.sizes.judge()
    }

    /// True if PostgreSQL does not move the query, because of LIMIT, OFFSET or FETCH. Always false for a plan.
    pub(super) fn is_kept_apart(&self, query: &Query) -> bool {
        if self.sizes.is_plan {
            return false;
        }
        let limits = match &query.limit_clause {
            None => false,
            Some(LimitClause::LimitOffset { limit, offset, limit_by: _ }) => limit.is_some() || offset.is_some(),
            Some(LimitClause::OffsetCommaLimit { .. }) => true,
        };
        limits || matches!(&query.fetch, Some(Fetch { quantity: Some(_), .. }))
    }
}

#[cfg(test)]
#[path = "sizes_tests.rs"]
mod tests;

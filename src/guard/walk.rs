//! The walk over a parsed statement: every query, table, function, operator and type, at every position.
//!
//! Structs that can contain a name are matched field by field. In the checks, enums are matched without a wildcard,
//! unless the wildcard refuses. So if a new version of the parser adds something, either the checks no longer compile, or
//! they refuse it. The code that only records uses of columns also has wildcards that do not refuse. Most syntax that
//! neither PostgreSQL nor SQLite has is refused. Pure.

mod expressions;
mod sizes;
mod tables;
mod types;
mod uses;

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use sqlparser::ast::*;
use sqlparser::tokenizer::Location;

use super::classify::{StatementClass, classify};
use super::columns::ColumnUses;
use super::{Names, Rejection, relations};
use crate::dialect::Dialect;
use sizes::{Columns, Sizes};

/// Number of columns that a row is assumed to have in `(row).*`.
const COLUMNS_OF_ROW: usize = 20;

type Walked = Result<(), Rejection>;

/// Maximum number of queries that the database may make of one statement when it copies the bodies of CTEs to their
/// references. If each CTE names the previous CTE twice, the number doubles with each CTE.
pub(super) const MAX_EXPANSIONS: u64 = 1_000;

/// Start locations of the identifiers whose meaning the walk knows: a recorded use of a column, or the name of
/// something that is no column.
pub(super) type Understood = BTreeSet<Location>;

/// Returns the names of the statement and the locations that the walk understood. `is_plan` is true if the statement is
/// only planned and not run.
///
/// # Errors
///
/// Why the statement is refused.
pub(super) fn check(
    sql: &str,
    statement: &Statement,
    dialect: Dialect,
    is_plan: bool,
) -> Result<(Names, Understood), Rejection> {
    let mut walk = Walk {
        sql,
        dialect,
        tables: Vec::new(),
        relations: BTreeSet::new(),
        ctes: BTreeSet::new(),
        scopes: Vec::new(),
        functions: BTreeSet::new(),
        unknown: BTreeSet::new(),
        types: BTreeSet::new(),
        cast_types: BTreeSet::new(),
        reads: BTreeSet::new(),
        uses: ColumnUses::default(),
        understood: Understood::new(),
        expansions: 1,
        weights: HashMap::new(),
        copies_ctes: dialect == Dialect::Sqlite,
        level: 0,
        fields: BTreeSet::new(),
        sizes: Sizes::new(dialect, is_plan),
    };
    match classify(statement) {
        StatementClass::Query(query) => {
            walk.query(query)?;
        }
        StatementClass::Write(what) => return Err(Rejection::Write { what }),
        StatementClass::Other(what) => return Err(Rejection::clause(what)),
    }
    let names = Names {
        relations: walk.relations.difference(&walk.ctes).cloned().collect(),
        functions: walk.functions.into_iter().collect(),
        fields: walk.fields.into_iter().collect(),
        operators: Vec::new(),
        unknown: walk.unknown.into_iter().collect(),
        types: walk.types.into_iter().collect(),
        cast_types: walk.cast_types.into_iter().collect(),
        qualified_types: Vec::new(),
        reads: walk.reads.into_iter().collect(),
        calls: Vec::new(),
        tables: walk.tables,
        has_bare_tables: false,
        beyond_ascii: false,
        uses: Some(walk.uses),
        comparisons: walk.sizes.comparisons(),
    };
    Ok((names, walk.understood))
}

/// A name as the database folds it. PostgreSQL folds the ASCII letters of an unquoted name, and cuts every name at 63
/// bytes. SQLite compares all names without case.
pub(super) fn fold(dialect: Dialect, name: &str, is_quoted: bool) -> String {
    match dialect {
        Dialect::Sqlite => name.to_ascii_lowercase(),
        Dialect::Postgresql => {
            let name = name.get(..name.floor_char_boundary(63)).unwrap_or(name);
            if is_quoted { name.to_owned() } else { name.to_ascii_lowercase() }
        }
    }
}

/// Refuses object-identifier types that look up secrets or functions: `regproc`, `regrole` and similar ones.
pub(super) fn object_type_refusal(name: &str) -> Walked {
    let bare = name.strip_prefix('_').unwrap_or(name);
    match bare {
        "regproc" | "regprocedure" | "regoper" | "regoperator" | "regrole" => {
            Err(Rejection::clause(format!("a cast to {bare}")))
        }
        _ => Ok(()),
    }
}

/// Refuses a text that names, as a `regclass`, a relation that may not be read.
pub(super) fn regclass_refusal(text: &str) -> Walked {
    let folded = text.replace('"', "").to_lowercase();
    let (schema, name) = match folded.split_once('.') {
        Some((schema, name)) => (Some(schema), name),
        None => (None, folded.as_str()),
    };
    match relations::refusal(Dialect::Postgresql, schema, name) {
        Some(reason) => Err(Rejection::Relation { name: text.to_owned(), reason }),
        None => Ok(()),
    }
}

struct Walk<'a> {
    sql: &'a str,
    dialect: Dialect,
    /// Tables named without a schema, with their byte offsets.
    tables: Vec<(usize, String)>,
    relations: BTreeSet<String>,
    /// Names of all CTEs, used only to leave them out of `Names::relations`. A refused relation stays refused if a CTE has
    /// the same name, because the name may still mean the relation in the body of the CTE.
    ctes: BTreeSet<String>,
    /// Names of the CTEs that are visible here. There is one set for each enclosing query or WITH clause.
    scopes: Vec<BTreeSet<String>>,
    functions: BTreeSet<String>,
    /// Functions that only the catalog can judge.
    unknown: BTreeSet<(Option<String>, String)>,
    types: BTreeSet<String>,
    /// Types without a schema in casts.
    cast_types: BTreeSet<String>,
    /// Every relation, including those that a CTE may hide.
    reads: BTreeSet<(Option<String>, String)>,
    uses: ColumnUses,
    understood: Understood,
    /// Number of queries that the current query becomes when CTEs are expanded.
    expansions: u64,
    /// The same number for each CTE, by name.
    weights: HashMap<String, u64>,
    /// Whether the database copies the body of a CTE to each of its references.
    copies_ctes: bool,
    /// Nesting depth of the current query. A set operation counts as a level.
    level: usize,
    /// Last parts of dotted names.
    fields: BTreeSet<String>,
    sizes: Sizes,
}

impl Walk<'_> {
    fn query(&mut self, query: &Query) -> Walked {
        self.level += 1;
        self.scopes.push(BTreeSet::new());
        let depth = self.sizes.depth();
        let walked = self.as_query(|walk| walk.query_inside(query));
        self.sizes.close_to(depth);
        if self.is_kept_apart(query) {
            self.sizes.result = self.sizes.result.kept_apart();
        }
        self.scopes.pop();
        self.level -= 1;
        walked
    }

    fn query_inside(&mut self, query: &Query) -> Walked {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if !locks.is_empty() {
            return Err(Rejection::Write { what: "a locking clause (FOR UPDATE, FOR SHARE)".into() });
        }
        if for_clause.is_some() || settings.is_some() || format_clause.is_some() || !pipe_operators.is_empty() {
            return Err(Rejection::clause("FOR XML/JSON, SETTINGS, FORMAT or a pipe operator"));
        }
        if let Some(With { with_token: _, recursive, cte_tables }) = with {
            // Without RECURSIVE a CTE is visible only after its own query. With RECURSIVE it is visible in all queries
            // of the clause. SQLite does not make this distinction. That does not matter, because no schemas are added
            // to tables on SQLite.
            let all = cte_tables.iter().filter(|_| *recursive).map(|cte| self.fold(&cte.alias.name)).collect();
            // With RECURSIVE, a CTE may refer to a later CTE, whose size is not known yet.
            let mut later: Vec<(String, _)> = Vec::new();
            if *recursive {
                for cte in cte_tables.iter().skip(1) {
                    let name = self.fold(&cte.alias.name);
                    let known = self.sizes.replace_cte(&name, Some(Rc::new(Columns::unknown())));
                    later.push((name, known));
                }
            }
            let mut later = later.into_iter();
            let is_plan = self.sizes.is_plan();
            self.scopes.push(all);
            for (at, Cte { alias, query, from: _, materialized, closing_paren_token: _ }) in
                cte_tables.iter().enumerate()
            {
                if at > 0
                    && let Some((name, known)) = later.next()
                {
                    self.sizes.replace_cte(&name, known);
                }
                self.copies_ctes |= matches!(materialized, Some(CteAsMaterialized::NotMaterialized));
                let name = self.fold(&alias.name);
                self.understand(&alias.name);
                self.uses.derived.insert(name.clone());
                self.ctes.insert(name.clone());
                self.alias(Some(alias))?;
                // SQLite copies the body of a CTE to each reference. PostgreSQL does so if the CTE is NOT MATERIALIZED. So
                // the queries of each body are counted on their own, and the count is added at each reference.
                let outside = std::mem::replace(&mut self.expansions, 1);
                let before = self.sizes.total();
                self.sizes.in_cte += 1;
                self.query(query)?;
                self.sizes.in_cte -= 1;
                let mut columns = self.sizes.result.clone();
                if matches!(materialized, Some(CteAsMaterialized::NotMaterialized)) {
                    self.sizes.copied_by_each(before, &mut columns);
                }
                if matches!(materialized, Some(CteAsMaterialized::Materialized)) && !is_plan {
                    columns = columns.kept_apart();
                }
                if !alias.columns.is_empty() {
                    columns = columns.renamed();
                }
                self.sizes.cte(&name, columns);
                let inside = std::mem::replace(&mut self.expansions, outside);
                self.weights.insert(name.clone(), inside);
                if let Some(scope) = self.scopes.last_mut() {
                    scope.insert(name);
                }
            }
            let visible = self.scopes.pop().unwrap_or_default();
            if let Some(scope) = self.scopes.last_mut() {
                scope.extend(visible);
            }
        }
        self.set_expr(body)?;
        // Sub-queries of ORDER BY and LIMIT have results of their own.
        let result = self.sizes.result.clone();
        if let Some(OrderBy { kind, interpolate }) = order_by {
            if interpolate.is_some() {
                return Err(Rejection::clause("INTERPOLATE"));
            }
            match kind {
                OrderByKind::All(_) => self.uses.by_place = true,
                OrderByKind::Expressions(list) => {
                    self.places(list.iter().map(|order| &order.expr));
                    self.order(list)?;
                }
            }
        }
        match limit_clause {
            None => {}
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) => {
                self.maybe(limit.as_ref())?;
                self.maybe(offset.as_ref().map(|offset| &offset.value))?;
                self.exprs(limit_by)?;
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
                self.expr(offset)?;
                self.expr(limit)?;
            }
        }
        if let Some(Fetch { with_ties: _, percent: _, quantity }) = fetch {
            self.maybe(quantity.as_ref())?;
        }
        self.sizes.result = result;
        Ok(())
    }

    fn set_expr(&mut self, body: &SetExpr) -> Walked {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, op: _, set_quantifier: _, right } => {
                self.level += 1;
                let depth = self.sizes.depth();
                self.set_expr(left)?;
                self.sizes.close_to(depth);
                let columns = self.sizes.result.clone();
                self.set_expr(right)?;
                self.sizes.close_to(depth);
                self.sizes.result = columns.united(&self.sizes.result);
                self.level -= 1;
                Ok(())
            }
            SetExpr::Values(Values { explicit_row: _, value_keyword: _, rows }) => {
                let mut columns = Columns::plain();
                for expr in rows.iter().flat_map(|row| &row.content) {
                    let size = self.measured(|walk| walk.expr(expr))?;
                    columns.add(None, size);
                }
                self.sizes.result = columns;
                Ok(())
            }
            SetExpr::Insert(_) => Err(Rejection::Write { what: "INSERT".into() }),
            SetExpr::Update(_) => Err(Rejection::Write { what: "UPDATE".into() }),
            SetExpr::Delete(_) => Err(Rejection::Write { what: "DELETE".into() }),
            SetExpr::Merge(_) => Err(Rejection::Write { what: "MERGE".into() }),
            // The tree does not say whether the name was quoted, so the name cannot be folded correctly. The second
            // reader alone judges such a statement.
            SetExpr::Table(_) => Err(Rejection::differently()),
        }
    }

    fn select(&mut self, select: &Select) -> Walked {
        let Select {
            select_token: _,
            optimizer_hints: _,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor: _,
        } = select;
        if into.is_some() {
            return Err(Rejection::Write { what: "SELECT INTO".into() });
        }
        let foreign = select_modifiers.is_some()
            || top.is_some()
            || exclude.is_some()
            || !lateral_views.is_empty()
            || prewhere.is_some()
            || !connect_by.is_empty()
            || !cluster_by.is_empty()
            || !distribute_by.is_empty()
            || !sort_by.is_empty()
            || qualify.is_some()
            || value_table_mode.is_some();
        if foreign {
            return Err(Rejection::clause("a clause of another SQL dialect"));
        }
        self.sizes.open_select();
        for table in from {
            self.table_with_joins(table)?;
        }
        match distinct {
            None | Some(Distinct::All) => {}
            // With DISTINCT, the number of rows reveals whether masked values are equal. So DISTINCT in the outermost query
            // counts as grouping by the positions of the columns.
            Some(Distinct::Distinct) => self.uses.by_place |= self.level == 1,
            Some(Distinct::On(list)) => {
                self.places(list.iter());
                self.exprs(list)?;
            }
        }
        let mut columns = Columns::plain();
        let mut list = None;
        for (place, item) in projection.iter().enumerate() {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                self.sizes.listed(expr);
            }
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let size = self.measured(|walk| walk.item(expr, None, place))?;
                    columns.add(self.column_name(expr), size);
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let size = self.measured(|walk| walk.item(expr, Some(alias), place))?;
                    columns.add(Some(self.fold(alias)), size);
                }
                SelectItem::ExprWithAliases { expr, aliases: _ } => {
                    let size = self.measured(|walk| walk.expr(expr))?;
                    columns.add(None, size);
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    self.understand_name(name);
                    let of = self.parts(name)?.pop();
                    self.sizes.star(of.as_deref(), &mut columns)?;
                    self.note_wildcard(of, from, &mut list, place);
                    self.wildcard(options)?;
                }
                SelectItem::Wildcard(options) => {
                    self.sizes.star(None, &mut columns)?;
                    self.note_wildcard(None, from, &mut list, place);
                    self.wildcard(options)?;
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(expr), options) => {
                    // PostgreSQL expands `(row).*` to one copy of the expression for each column of the row.
                    let size = self.measured(|walk| walk.copied(expr, COLUMNS_OF_ROW))?;
                    columns.add(None, size);
                    self.wildcard(options)?;
                }
            }
        }
        self.condition(selection.as_ref())?;
        match group_by {
            GroupByExpr::All(modifiers) => {
                self.uses.by_place = true;
                self.group_modifiers(modifiers)?;
            }
            GroupByExpr::Expressions(list, modifiers) => {
                self.places(list.iter());
                self.sizes.in_group = true;
                let walked = list.iter().try_for_each(|expr| self.alone(expr));
                self.sizes.in_group = false;
                walked?;
                self.group_modifiers(modifiers)?;
            }
        }
        self.condition(having.as_ref())?;
        for NamedWindowDefinition(name, window) in named_window {
            self.understand(name);
            match window {
                NamedWindowExpr::NamedWindow(name) => self.understand(name),
                NamedWindowExpr::WindowSpec(spec) => self.window(spec)?,
            }
        }
        let is_grouped = matches!(distinct, Some(Distinct::Distinct | Distinct::On(_)))
            || self.sizes.has_fixed()
            || !matches!(group_by, GroupByExpr::Expressions(list, _) if list.is_empty());
        self.finish_select(columns, is_grouped)
    }

    fn group_modifiers(&mut self, modifiers: &[GroupByWithModifier]) -> Walked {
        for modifier in modifiers {
            match modifier {
                GroupByWithModifier::Rollup | GroupByWithModifier::Cube | GroupByWithModifier::Totals => {}
                GroupByWithModifier::GroupingSets(expr) => self.expr(expr)?,
            }
        }
        Ok(())
    }

    fn wildcard(&mut self, options: &WildcardAdditionalOptions) -> Walked {
        let WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias: _,
        } = options;
        let foreign = opt_ilike.is_some()
            || opt_exclude.is_some()
            || opt_except.is_some()
            || opt_replace.is_some()
            || opt_rename.is_some();
        if foreign { Err(Rejection::clause("a wildcard with options")) } else { Ok(()) }
    }

    /// The parts of a name, folded as the database folds them.
    fn parts(&self, name: &ObjectName) -> Result<Vec<String>, Rejection> {
        name.0
            .iter()
            .map(|part| match part {
                ObjectNamePart::Identifier(ident) => Ok(self.fold(ident)),
                ObjectNamePart::Function(_) => Err(Rejection::clause("a computed name")),
            })
            .collect()
    }

    fn fold(&self, ident: &Ident) -> String {
        fold(self.dialect, &ident.value, ident.quote_style.is_some())
    }
}

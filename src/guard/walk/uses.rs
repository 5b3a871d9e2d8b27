//! The part of the walk that records how a statement uses columns, for the column rules. It refuses nothing itself.

use sqlparser::ast::*;
use sqlparser::tokenizer::Span;

use super::{Walk, Walked};
use crate::dialect::Dialect;
use crate::guard::columns::{PlainItem, TableName, Wildcard};
use crate::guard::functions;

impl Walk<'_> {
    /// Records that the walk knows the meaning of this identifier. An identifier that the parser made up has no
    /// location and is not recorded.
    pub(super) fn understand(&mut self, name: &Ident) {
        if name.span != Span::empty() {
            self.understood.insert(name.span.start);
        }
    }

    /// Does the same as [`Self::understand`] for each part of a name.
    pub(super) fn understand_name(&mut self, name: &ObjectName) {
        for part in &name.0 {
            if let ObjectNamePart::Identifier(part) = part {
                self.understand(part);
            }
        }
    }

    /// Whether a name at `before` or later is the name of a listed function. For `x.name`, PostgreSQL calls `name(x)`
    /// if `x` has no such field.
    fn may_call(&self, before: usize) -> bool {
        let names = self.uses.uses.get(before..).unwrap_or_default();
        names.iter().any(|name| functions::judge(self.dialect, &name.column) == functions::Judgement::Harmless)
    }

    /// Walks one item of a select list. A column by itself in the outermost list is recorded as a plain item.
    pub(super) fn item(&mut self, expr: &Expr, alias: Option<&Ident>, place: usize) -> Walked {
        let before = self.uses.uses.len();
        self.expr(expr)?;
        if let Some(alias) = alias {
            self.understand(alias);
        }
        self.uses.expands |= self.level == 1 && is_wildcard_in_parentheses(expr);
        let is_plain = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) && self.level == 1;
        if is_plain
            && self.uses.uses.len() == before + 1
            && let Some(name) = self.uses.uses.pop()
        {
            let alias = alias.map(|alias| self.fold(alias));
            self.uses.plain.push(PlainItem { place, name, alias });
        }
        if self.level == 1 && is_part(expr) && !self.may_call(before) {
            let parts = self.uses.uses.get(before..).unwrap_or_default().to_vec();
            self.uses.alone.extend(parts);
        }
        Ok(())
    }

    /// Records a wildcard and the tables that it may cover. `list` is the index of the SELECT's tables in `from_lists`.
    /// It is `None` before the first wildcard of the SELECT, which sets it.
    pub(super) fn note_wildcard(
        &mut self,
        of: Option<String>,
        from: &[TableWithJoins],
        list: &mut Option<usize>,
        place: usize,
    ) {
        let place = (self.level == 1).then_some(place);
        if list.is_none() {
            let mut tables = Vec::new();
            for TableWithJoins { relation, joins } in from {
                self.tables_of(relation, &mut tables);
                for join in joins {
                    self.tables_of(&join.relation, &mut tables);
                }
            }
            *list = Some(self.uses.from_lists.len());
            self.uses.from_lists.push(tables);
        }
        self.uses.wildcards.push(Wildcard { of, from: *list, place });
    }

    fn tables_of(&self, factor: &TableFactor, into: &mut Vec<Option<TableName>>) {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => into.push(self.table_name(name, alias.as_ref())),
            TableFactor::NestedJoin { table_with_joins, alias: _ } => {
                self.tables_of(&table_with_joins.relation, into);
                for join in &table_with_joins.joins {
                    self.tables_of(&join.relation, into);
                }
            }
            // The columns of a sub-query or a function are recorded where the walk reads it.
            _ => into.push(None),
        }
    }

    /// Records the alias of a sub-query or a function in FROM.
    pub(super) fn derived(&mut self, alias: Option<&TableAlias>) {
        if let Some(alias) = alias {
            self.understand(&alias.name);
            let name = self.fold(&alias.name);
            self.uses.derived.insert(name);
        }
    }

    pub(super) fn table_name(&self, name: &ObjectName, alias: Option<&TableAlias>) -> Option<TableName> {
        let mut parts = self.parts(name).ok()?;
        let table = parts.pop()?;
        let known_as = alias.map_or_else(|| table.clone(), |alias| self.fold(&alias.name));
        Some(TableName { schema: self.written_schema(parts.pop()), table, known_as })
    }

    /// SQLite's schema `main` is no part of a table's name.
    pub(super) fn written_schema(&self, schema: Option<String>) -> Option<String> {
        schema.filter(|schema| self.dialect == Dialect::Postgresql || schema != "main")
    }

    /// Records whether the outermost query may sort or group by the position of a column.
    pub(super) fn places<'e>(&mut self, mut list: impl Iterator<Item = &'e Expr>) {
        self.uses.by_place |= self.level == 1 && list.any(is_place);
    }
}

/// Whether an expression is a field or an element of a column's value: `(t.pair).a`, `list[1]`.
fn is_part(expr: &Expr) -> bool {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return false };
    let mut root = root.as_ref();
    while let Expr::Nested(inner) = root {
        root = inner;
    }
    let is_fixed = |access: &AccessExpr| match access {
        AccessExpr::Dot(field) => matches!(field, Expr::Identifier(_)),
        AccessExpr::Subscript(Subscript::Index { index }) => matches!(index, Expr::Value(_)),
        AccessExpr::Subscript(Subscript::Slice { .. }) => false,
    };
    matches!(root, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) && access_chain.iter().all(is_fixed)
}

/// True for `(t.*)`, in any number of parentheses (`findings/postgresql_star_in_parentheses_is_expanded.sh`).
fn is_wildcard_in_parentheses(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_wildcard_in_parentheses(inner),
        Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => true,
        _ => false,
    }
}

fn is_grouping(name: &ObjectName) -> bool {
    let word = name.to_string().to_ascii_lowercase();
    ["rollup", "cube", "sets", "grouping"].contains(&word.as_str())
}

/// Whether an item of ORDER BY or GROUP BY may be a column number.
fn is_place(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, op: _ } | Expr::Collate { expr: inner, collation: _ } => {
            is_place(inner)
        }
        Expr::Tuple(list) => list.iter().any(is_place),
        // The parser reads ROLLUP and CUBE inside of GROUPING SETS as functions.
        Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) if is_grouping(name) => {
            list.args.iter().any(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(inner)) => is_place(inner),
                _ => true,
            })
        }
        Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => sets.iter().flatten().any(is_place),
        _ => false,
    }
}

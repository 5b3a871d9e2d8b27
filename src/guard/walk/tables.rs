//! The part of the walk that reads FROM: tables, joins, functions and sub-queries in it.

use std::rc::Rc;

use sqlparser::ast::*;

use super::sizes::Columns;
use super::{MAX_EXPANSIONS, Walk, Walked};
use crate::dialect::Dialect;
use crate::guard::columns::ColumnName;
use crate::guard::functions::{self, Judgement};
use crate::guard::{Rejection, relations};

impl Walk<'_> {
    pub(super) fn table_with_joins(&mut self, table: &TableWithJoins) -> Walked {
        let TableWithJoins { relation, joins } = table;
        self.table_factor(relation)?;
        for Join { relation, global: _, join_operator } in joins {
            self.table_factor(relation)?;
            let before = self.sizes.written_here();
            match join_operator {
                JoinOperator::Join(constraint)
                | JoinOperator::Inner(constraint)
                | JoinOperator::Left(constraint)
                | JoinOperator::LeftOuter(constraint)
                | JoinOperator::Right(constraint)
                | JoinOperator::RightOuter(constraint)
                | JoinOperator::FullOuter(constraint)
                | JoinOperator::CrossJoin(constraint) => match constraint {
                    JoinConstraint::On(expr) => self.condition(Some(expr))?,
                    JoinConstraint::Using(columns) => {
                        for column in columns {
                            self.understand_name(column);
                            let column = self.parts(column)?.pop().unwrap_or_default();
                            self.sizes.using(&column);
                            self.uses.uses.push(ColumnName { table: None, column });
                        }
                    }
                    JoinConstraint::Natural => {
                        self.uses.renames = true;
                        self.sizes.natural();
                    }
                    JoinConstraint::None => {}
                },
                JoinOperator::Semi(_)
                | JoinOperator::LeftSemi(_)
                | JoinOperator::RightSemi(_)
                | JoinOperator::Anti(_)
                | JoinOperator::LeftAnti(_)
                | JoinOperator::RightAnti(_)
                | JoinOperator::CrossApply
                | JoinOperator::OuterApply
                | JoinOperator::AsOf { .. }
                | JoinOperator::StraightJoin(_)
                | JoinOperator::ArrayJoin
                | JoinOperator::LeftArrayJoin
                | JoinOperator::InnerArrayJoin => return Err(Rejection::clause("a join of another SQL dialect")),
            }
            if !matches!(join_operator, JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_)) {
                self.sizes.outer_since(before);
            }
        }
        Ok(())
    }

    fn table_factor(&mut self, factor: &TableFactor) -> Walked {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality: _,
                partitions,
                json_path,
                sample,
                index_hints: _,
            } => {
                if !with_hints.is_empty() || version.is_some() || !partitions.is_empty() || json_path.is_some() {
                    return Err(Rejection::clause("a table with hints, a version or partitions"));
                }
                self.alias(alias.as_ref())?;
                self.sample(sample.as_ref())?;
                self.understand_name(name);
                // The parser reads `ONLY t` as a table named `only`, and `ONLY (t)` as a function named `only`.
                self.uses.renames |= self.parts(name)?.last().is_some_and(|name| name == "only");
                match args {
                    None => {
                        if let Some(name) = self.table_name(name, alias.as_ref()) {
                            let is_bare = name.schema.is_none();
                            self.sizes.weigh_table(is_bare.then_some(name.table.as_str()));
                            let columns =
                                if is_bare { self.sizes.table(&name.table) } else { Rc::new(Columns::plain()) };
                            self.sizes.range(Some(name.known_as.clone()), columns, has_names(alias.as_ref()))?;
                            self.uses.tables.push(name);
                        }
                        self.uses.renames |= alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
                        if let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() {
                            let start = ident.span.start;
                            let place = crate::guard::byte_offset(self.sql, start.line, start.column);
                            let name = self.fold(ident);
                            if !self.scopes.iter().any(|scope| scope.contains(&name)) {
                                self.tables.extend(place.map(|place| (place, name)));
                            }
                        }
                        self.relation(name)
                    }
                    Some(TableFunctionArgs { args, settings }) => {
                        if settings.is_some() {
                            return Err(Rejection::clause("SETTINGS"));
                        }
                        self.derived(alias.as_ref());
                        self.function_of_from(name, args, alias.as_ref())
                    }
                }
            }
            TableFactor::Derived { lateral, subquery, alias, sample } => {
                self.derived(alias.as_ref());
                self.alias(alias.as_ref())?;
                self.sample(sample.as_ref())?;
                let hidden = self.sizes.hide(*lateral);
                self.query(subquery)?;
                self.sizes.show_again(hidden);
                let (name, columns) = (self.known_as(alias.as_ref()), Rc::new(self.sizes.result.clone()));
                self.sizes.range(name, columns, has_names(alias.as_ref()))
            }
            TableFactor::Function { lateral: _, name, args, with_ordinality: _, alias } => {
                self.derived(alias.as_ref());
                self.alias(alias.as_ref())?;
                self.function_of_from(name, args, alias.as_ref())
            }
            TableFactor::UNNEST { alias, array_exprs, with_offset: _, with_offset_alias: _, with_ordinality: _ } => {
                self.alias(alias.as_ref())?;
                self.plain_range(alias.as_ref())?;
                self.exprs(array_exprs)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                self.alias(alias.as_ref())?;
                // The alias stands for the columns of all tables in the join.
                self.uses.renames |= alias.is_some();
                if alias.is_none() {
                    return self.table_with_joins(table_with_joins);
                }
                // With the alias, the names of the tables in the join are not visible outside.
                self.sizes.open_select();
                self.table_with_joins(table_with_joins)?;
                let columns = Rc::new(self.sizes.close_join()?);
                self.sizes.range(self.known_as(alias.as_ref()), columns, has_names(alias.as_ref()))
            }
            TableFactor::JsonTable { json_expr, json_path: _, columns, alias } => {
                self.alias(alias.as_ref())?;
                self.plain_range(alias.as_ref())?;
                self.json_table_columns(columns)?;
                self.expr(json_expr)
            }
            TableFactor::XmlTable { namespaces, row_expression, passing, columns, alias } => {
                self.alias(alias.as_ref())?;
                self.plain_range(alias.as_ref())?;
                for XmlNamespaceDefinition { uri, name: _ } in namespaces {
                    self.expr(uri)?;
                }
                self.expr(row_expression)?;
                for XmlPassingArgument { expr, alias: _, by_value: _ } in &passing.arguments {
                    self.expr(expr)?;
                }
                for XmlTableColumn { name, option } in columns {
                    self.understand(name);
                    match option {
                        XmlTableColumnOption::ForOrdinality => {}
                        XmlTableColumnOption::NamedInfo { r#type, path, default, nullable: _ } => {
                            self.data_type(r#type)?;
                            self.maybe(path.as_ref())?;
                            self.maybe(default.as_ref())?;
                        }
                    }
                }
                Ok(())
            }
            TableFactor::TableFunction { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::UnpivotExpr { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::SemanticView { .. } => Err(Rejection::clause("a table expression of another SQL dialect")),
        }
    }

    fn json_table_columns(&mut self, columns: &[JsonTableColumn]) -> Walked {
        for column in columns {
            match column {
                JsonTableColumn::Named(named) => {
                    self.understand(&named.name);
                    self.data_type(&named.r#type)?;
                }
                JsonTableColumn::ForOrdinality(name) => self.understand(name),
                JsonTableColumn::Nested(nested) => self.json_table_columns(&nested.columns)?,
            }
        }
        Ok(())
    }

    fn sample(&mut self, sample: Option<&TableSampleKind>) -> Walked {
        let Some(TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) = sample else {
            return Ok(());
        };
        let TableSample { modifier: _, name, quantity, seed: _, bucket, offset } = sample.as_ref();
        if bucket.is_some() || offset.is_some() {
            return Err(Rejection::clause("TABLESAMPLE of another SQL dialect"));
        }
        // Only PostgreSQL's own methods are allowed. A method of an extension is a function that would run.
        match name {
            None | Some(TableSampleMethod::Bernoulli | TableSampleMethod::System) => {}
            Some(TableSampleMethod::Row | TableSampleMethod::Block) => {
                return Err(Rejection::clause("this TABLESAMPLE method"));
            }
        }
        self.maybe(quantity.as_ref().map(|quantity| &quantity.value))
    }

    /// Column definitions of an alias have types: `FROM f() AS t(a some_type)`.
    pub(super) fn alias(&mut self, alias: Option<&TableAlias>) -> Walked {
        if let Some(alias) = alias {
            self.understand(&alias.name);
        }
        for TableAliasColumnDef { name, data_type } in alias.iter().flat_map(|alias| &alias.columns) {
            self.understand(name);
            if let Some(data_type) = data_type {
                self.data_type(data_type)?;
            }
        }
        Ok(())
    }

    fn relation(&mut self, name: &ObjectName) -> Walked {
        let parts = self.parts(name)?;
        match parts.as_slice() {
            [table] => self.relation_name(None, table),
            [schema, table] | [_, schema, table] => self.relation_name(Some(schema), table),
            _ => Err(Rejection::clause("a table name of more than three parts")),
        }
    }

    pub(super) fn relation_name(&mut self, schema: Option<&str>, table: &str) -> Walked {
        let written = schema.map_or_else(|| table.to_owned(), |schema| format!("{schema}.{table}"));
        match relations::refusal(self.dialect, schema, table) {
            Some(reason) => Err(Rejection::Relation { name: written, reason }),
            None => {
                if let (None, Some(weight)) = (schema, self.weights.get(table)) {
                    self.expansions = self.expansions.saturating_add(*weight);
                    if self.copies_ctes && self.expansions > MAX_EXPANSIONS {
                        return Err(Rejection::Statement {
                            what: format!("a WITH whose queries refer to each other more than {MAX_EXPANSIONS} times"),
                            hint: "Refer to each query of the WITH once or a few times.",
                        });
                    }
                }
                self.reads.insert((schema.map(str::to_owned), table.to_owned()));
                self.relations.insert(written);
                Ok(())
            }
        }
    }

    /// Adds an item of FROM whose columns stand for no larger expression, such as UNNEST.
    fn plain_range(&mut self, alias: Option<&TableAlias>) -> Walked {
        self.sizes.range(self.known_as(alias), Rc::new(Columns::plain()), false)
    }

    fn known_as(&self, alias: Option<&TableAlias>) -> Option<String> {
        alias.map(|alias| self.fold(&alias.name))
    }

    fn function_of_from(&mut self, name: &ObjectName, args: &[FunctionArg], alias: Option<&TableAlias>) -> Walked {
        self.table_function(name)?;
        let is_costly = self.is_costly(name);
        let size = self.measured(|walk| walk.costly(is_costly, |walk| walk.args(args)))?;
        let mut columns = Columns::plain();
        columns.add(None, size);
        self.sizes.range(self.known_as(alias), Rc::new(columns.kept_apart()), false)
    }

    /// A function in FROM. On SQLite, `pragma_..` is judged as a relation. So is any other name that is not on the list
    /// of functions and may be a table.
    fn table_function(&mut self, name: &ObjectName) -> Walked {
        if self.dialect == Dialect::Sqlite
            && let [bare] = self.parts(name)?.as_slice()
            && (bare.starts_with("pragma_")
                || functions::judge(self.dialect, bare) != Judgement::Harmless
                    && functions::may_be_table_in_sqlite(bare))
        {
            return self.relation_name(None, bare);
        }
        self.function_name(name)
    }
}

/// True if an alias names the columns too.
fn has_names(alias: Option<&TableAlias>) -> bool {
    alias.is_some_and(|alias| !alias.columns.is_empty())
}

//! Checks a statement against the catalog before it runs: whether its names are harmless, under which path it runs, and
//! which of its columns the rules of the source mask.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};

use super::session::Opened;
use super::statement::{approved, shadowed};
use super::{OWN_PATH, PostgresEngine, catalog_check, column_rules, path_of, plain, sql_error, under_path};
use crate::database::DatabaseError;
use crate::dialect::Dialect;
use crate::guard::{ApprovedSql, Names, QualifiedSql, Rejection, columns};
use crate::quoting;

/// The state to which the look-up is undone, with its settings.
const SAVEPOINT: &str = "SAVEPOINT look_up";
const ROLLBACK: &str = "ROLLBACK TO SAVEPOINT look_up";

/// Limit of one look-up. It takes milliseconds, unless another user's objects make it long. Then the statement is tried
/// without their schemas.
const LOOK_UP_TIMEOUT_MS: u64 = 3_000;

/// A statement that the catalog vouches for.
pub(super) struct Checked {
    pub(super) text: QualifiedSql,
    /// Positions of the columns to be masked.
    pub(super) masked: BTreeSet<usize>,
    /// True if another user can replace an object that the statement reads before it runs.
    pub(super) is_replaceable: bool,
    /// True if the text has a table without a schema. In another transaction its name may mean another table.
    pub(super) has_bare_tables: bool,
    /// The `search_path` under which the statement was checked.
    pub(super) path: String,
    /// Whether calls are written as those of built-ins.
    has_built_ins: bool,
    /// Relations that the caller writes without a schema, each with the schema that the text names. Another user could
    /// otherwise create a relation of that name, in a schema that comes earlier in the path, before the statement runs.
    relations: BTreeMap<String, String>,
    /// Why `path` leaves out schemas of the caller's path; `None` if `path` is the whole path.
    refusal: Option<catalog_check::Refusal>,
}

impl Checked {
    /// Replaces the error of a statement that the server refuses only in its checked form.
    pub(super) fn explain(&mut self, error: DatabaseError) -> DatabaseError {
        match (error, self.refusal.take()) {
            // Undefined function, operator, table or object, or an undefined column that may be a function. A schema
            // that was left out may have it.
            (DatabaseError::Sql { sqlstate: Some(state), message, .. }, Some(refusal))
                if matches!(state.as_str(), "42883" | "42P01" | "42704")
                    || matches!(state.as_str(), "42703" | "42809")
                        && refusal.name.as_ref().is_some_and(|name| message.contains(name.as_str())) =>
            {
                refusal.error
            }
            // The schema that `with_missing` gave.
            (DatabaseError::Sql { sqlstate: Some(state), message, hint, position }, _) if state == "42P01" => {
                let message = message.replacen("\"pg_catalog.", "\"", 1);
                DatabaseError::Sql { sqlstate: Some(state), message, hint, position }
            }
            (error, _) if self.has_built_ins => shadowed(error),
            (error, _) => error,
        }
    }
}

impl PostgresEngine {
    /// Checks a statement against the catalog and returns the text that may run. Afterwards the transaction is under
    /// the path of the result.
    pub(super) async fn look_up(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
    ) -> Result<Checked, DatabaseError> {
        self.look_up_for(connection, opened, approved, None).await
    }

    /// The short look-up of a plain statement. `None` if the whole one has to judge it. Afterwards the transaction is under
    /// the path of the result.
    pub(super) async fn look_up_plain(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
    ) -> Result<Option<Checked>, DatabaseError> {
        self.judge_encoding(approved)?;
        if !self.may_remember() {
            return Ok(None);
        }
        let vouched = &self.settings.vouched;
        let found = plain::look_up(connection, approved.names(), opened, vouched, !self.is_pooled()).await;
        let Some(found) = found.map_err(|error| sql_error(error, None))? else { return Ok(None) };
        #[cfg(debug_assertions)]
        self.assert_plain(connection, opened, approved, &found).await?;
        let relations = with_missing(approved.names(), found);
        Ok(Some(Checked {
            text: approved.qualified(&as_built_in(BTreeSet::new()), &relations),
            masked: BTreeSet::new(),
            is_replaceable: false,
            has_bare_tables: false,
            path: opened.callers_path.clone(),
            has_built_ins: false,
            relations,
            refusal: None,
        }))
    }

    /// The debug form of the program, which most tests run, makes both look-ups and compares them.
    #[cfg(debug_assertions)]
    async fn assert_plain(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
        found: &BTreeMap<String, String>,
    ) -> Result<(), DatabaseError> {
        connection.execute(AssertSqlSafe(under_path(OWN_PATH))).await.map_err(|error| sql_error(error, None))?;
        let whole = self.look_up(connection, opened, approved).await;
        let is_same = whole.as_ref().is_ok_and(|whole| {
            let relations = with_missing(approved.names(), found.clone());
            !whole.is_replaceable && whole.masked.is_empty() && whole.relations == relations && whole.refusal.is_none()
        });
        assert!(is_same, "the short look-up differs for {:?}: {:?}", approved.text(), whole.err());
        Ok(())
    }

    /// As [`PostgresEngine::look_up`]. With the `refusal` of an earlier look-up, only the try that follows it is made.
    async fn look_up_for(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
        refusal: Option<catalog_check::Refusal>,
    ) -> Result<Checked, DatabaseError> {
        self.judge_encoding(approved)?;
        // The look-ups take milliseconds, but compiling them, which the planner chose by its estimate, took two
        // seconds. They read few rows. The hash and merge joins that the planner prefers read whole catalogs: 25 ms
        // with 10,000 tables.
        let settings = self.settings_of_look_up();
        self.execute_both(connection, SAVEPOINT, &settings).await?;
        let vouched = &self.settings.vouched;
        let keep_plan = !self.is_pooled();
        let vouch = match refusal {
            None => catalog_check::vouch(connection, approved.names(), &opened.schemas, vouched, keep_plan).await,
            Some(refusal) => Err(refusal),
        };
        let mut checked = match vouch {
            Ok(harmless) => {
                let has_bare_tables = has_bare_tables(approved.names(), &harmless.relations);
                let relations = with_missing(approved.names(), harmless.relations);
                Checked {
                    has_built_ins: !harmless.shadowed.is_empty(),
                    text: approved.qualified(&as_built_in(harmless.shadowed), &relations),
                    masked: BTreeSet::new(),
                    is_replaceable: harmless.is_replaceable || has_bare_tables,
                    has_bare_tables,
                    path: opened.callers_path.clone(),
                    relations,
                    refusal: None,
                }
            }
            Err(refusal) if refusal.schemas.is_empty() => return Err(refusal.error),
            Err(refusal) => {
                // The look-up itself may have failed.
                self.execute_both(connection, ROLLBACK, &settings).await?;
                self.without(connection, opened, approved, refusal).await?
            }
        };
        checked.masked = self.obey_rules(connection, opened, approved, &checked.relations).await?;
        self.execute_both(connection, ROLLBACK, &opened.settings_of_caller(&checked.path)).await?;
        Ok(checked)
    }

    /// Sends a statement about the savepoint and then another one. pgpool-II sends single statements about transactions to
    /// every server, and a message of several to the primary alone.
    async fn execute_both(
        &self,
        connection: &mut PgConnection,
        savepoint: &'static str,
        then: &str,
    ) -> Result<(), DatabaseError> {
        let own = |error| sql_error(error, None);
        if self.splits_begin() {
            connection.execute(savepoint).await.map_err(own)?;
            connection.execute(AssertSqlSafe(then.to_owned())).await.map_err(own)?;
        } else {
            connection.execute(AssertSqlSafe(format!("{savepoint}; {then}"))).await.map_err(own)?;
        }
        Ok(())
    }

    /// Settings for the look-ups of names. They end with the savepoint. Planning a look-up takes five times as long as
    /// running it, so one plan is kept for all parameters.
    fn settings_of_look_up(&self) -> String {
        let timeout_ms = LOOK_UP_TIMEOUT_MS.min(self.limits.statement_timeout_ms);
        format!(
            "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL jit = off; SET LOCAL enable_mergejoin = off; \
             SET LOCAL enable_hashjoin = off; SET LOCAL statement_timeout = {timeout_ms}"
        )
    }

    /// Makes the server parse the statement, so that the transaction locks its tables and views. Nothing is planned, so
    /// no part of the statement runs. PREPARE is sent as a statement, because the driver would remember a statement
    /// that it prepares itself. No other client of a pooler has the same name.
    async fn hold(&self, connection: &mut PgConnection, checked: &mut Checked) -> Result<(), DatabaseError> {
        let name = format!("tudb_{}", uuid::Uuid::now_v7().simple());
        let opening = format!("PREPARE {name} AS ");
        let prepared = sqlx::query(approved(format!("{opening}{}", checked.text.text()))).persistent(false);
        let held = connection.execute(prepared).await;
        held.map_err(|error| sql_error(error, Some((opening.chars().count(), &checked.text))))
            .map_err(|error| checked.explain(error))?;
        let closed = sqlx::query(AssertSqlSafe(format!("DEALLOCATE {name}"))).persistent(false);
        connection.execute(closed).await.map_err(|error| sql_error(error, None))?;
        Ok(())
    }

    /// Repeats the check if another user can replace an object that the statement reads. Before the repetition the
    /// server parses the statement and locks its tables and views, so they can no longer be replaced. Afterwards the
    /// transaction is under the path of the result.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Changing`] if the second result differs, and those of [`PostgresEngine::look_up`].
    pub(super) async fn confirm(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
        checked: &mut Checked,
    ) -> Result<(), DatabaseError> {
        if !checked.is_replaceable {
            return Ok(());
        }
        self.hold(connection, checked).await?;
        connection.execute(AssertSqlSafe(under_path(OWN_PATH))).await.map_err(|error| sql_error(error, None))?;
        let now = self.look_up_for(connection, opened, approved, checked.refusal.take()).await?;
        let is_same =
            now.text.text() == checked.text.text() && now.path == checked.path && now.masked == checked.masked;
        checked.refusal = now.refusal;
        if is_same { Ok(()) } else { Err(DatabaseError::Changing) }
    }

    /// Checks the statement again without the users' schemas in its path. A user who names an operator, a type, a
    /// function or a view like other users' columns must not be able to block every statement.
    ///
    /// Tables and functions of those schemas are written with their schema. If the statement needs anything else of
    /// them, the server does not find it, and the statement is refused for the first reason.
    async fn without(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
        refusal: catalog_check::Refusal,
    ) -> Result<Checked, DatabaseError> {
        let mut names = approved.names().clone();
        // Names that the parser could not read cannot be written with a schema. Some functions reveal the path itself.
        if names.uses.is_none() || tells_of_path(&names) {
            return Err(refusal.error);
        }
        // All schemas of users are left out: names inside texts (`to_tsvector('english', ..)`) are unknown.
        let (without, left): (Vec<String>, Vec<String>) =
            opened.schemas.iter().cloned().partition(|schema| schema != "pg_catalog");
        // Built-ins must come first in the caller's path. Otherwise a name that both have would now mean the built-in.
        let built_ins_first = opened.schemas.first().is_some_and(|schema| schema == "pg_catalog");
        if !built_ins_first || without.iter().any(|schema| !refusal.schemas.contains(schema)) {
            return Err(refusal.error);
        }
        let found = catalog_check::schemas_of(connection, &names, &opened.schemas).await?;
        let is_table = |name: &String| names.tables.iter().any(|(_, site)| site == name);
        // A relation is the first of its name in the path. Among functions of several schemas the server chooses by
        // arguments, so their names stay bare: the server finds a built-in or nothing.
        let tables: BTreeMap<String, String> = found
            .relations
            .into_iter()
            .filter_map(|(name, schemas)| Some((name, schemas.into_iter().next()?)))
            .filter(|(name, schema)| without.contains(schema) && is_table(name))
            .collect();
        let functions: BTreeMap<String, String> = found
            .functions
            .into_iter()
            .filter_map(|(name, schemas)| Some((name, <[String; 1]>::try_from(schemas).ok()?)))
            .filter(|(_, [schema])| without.contains(schema))
            .map(|(name, [schema])| (name, schema))
            .collect();
        for (table, schema) in &tables {
            names.reads.push((Some(schema.clone()), table.clone()));
        }
        for (function, schema) in &functions {
            names.unknown.push((Some(schema.clone()), function.clone()));
        }
        let vouched = &self.settings.vouched;
        match catalog_check::vouch(connection, &names, &left, vouched, !self.is_pooled()).await {
            Ok(harmless) => {
                let mut functions = functions;
                functions.extend(as_built_in(harmless.shadowed));
                Ok(Checked {
                    text: approved.qualified(&functions, &tables),
                    masked: BTreeSet::new(),
                    is_replaceable: true,
                    has_bare_tables: names.has_bare_tables,
                    path: path_of(&left),
                    has_built_ins: !functions.is_empty(),
                    relations: tables,
                    refusal: Some(refusal),
                })
            }
            Err(_) => Err(refusal.error),
        }
    }

    /// Refuses names that this server may fold or cut otherwise than the guard does. In a single-byte encoding the
    /// server folds letters beyond ASCII by its locale, and cuts names by the bytes of that encoding. Source:
    /// `downcase_identifier` in PostgreSQL's `scansup.c`.
    fn judge_encoding(&self, approved: &ApprovedSql) -> Result<(), DatabaseError> {
        let encoding = self.server().map_or("UTF8", |server| server.encoding.as_str());
        if encoding != "UTF8" && approved.names().beyond_ascii {
            return Err(DatabaseError::Ruled(Rejection::names_beyond_ascii(encoding)));
        }
        Ok(())
    }

    /// Refuses a statement that the column rules forbid. Returns the positions of the columns to be masked.
    async fn obey_rules(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
        relations: &BTreeMap<String, String>,
    ) -> Result<BTreeSet<usize>, DatabaseError> {
        let rules = &self.settings.column_rules;
        if rules.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut names = approved.names().clone();
        names.reads.extend(relations.iter().map(|(name, schema)| (Some(schema.clone()), name.clone())));
        let ruled = column_rules::tables(connection, &names, &opened.schemas, rules).await?;
        Ok(columns::judge(approved.names().uses.as_ref(), &ruled)?)
    }
}

/// Types whose text depends on the path.
const PATH_TYPES: [&str; 11] = [
    "regclass",
    "regproc",
    "regprocedure",
    "regoper",
    "regoperator",
    "regtype",
    "regrole",
    "regnamespace",
    "regconfig",
    "regdictionary",
    "regcollation",
];

/// True if a statement calls a function or names a type whose value depends on the path.
fn tells_of_path(names: &Names) -> bool {
    let functions = names.functions.iter().chain(names.unknown.iter().map(|(_, name)| name));
    let mut words = functions.chain(&names.types);
    words.any(|word| {
        PATH_TYPES.contains(&word.as_str())
            || word.starts_with("to_reg")
            || word.starts_with("pg_get_")
            || word.ends_with("_is_visible")
            || matches!(
                word.as_str(),
                "pg_typeof" | "format_type" | "current_schema" | "current_schemas" | "oidvectortypes"
            )
    })
}

/// Whether a statement has a table that is written without a schema. What the second reader alone reads may have tables
/// at places that it does not know, and columns at the places of tables.
fn has_bare_tables(names: &Names, found: &BTreeMap<String, String>) -> bool {
    let placed: BTreeSet<&String> = names.tables.iter().map(|(_, name)| name).collect();
    names.has_bare_tables
        || names.uses.is_none()
            && (found.keys().any(|name| !placed.contains(name)) || placed.iter().any(|name| !found.contains_key(*name)))
}

/// The schemas of the relations that were found, and `pg_catalog` for those that were not, so that they are not found when
/// the statement runs either. The parser reads some reserved words in FROM as relations.
fn with_missing(names: &Names, mut found: BTreeMap<String, String>) -> BTreeMap<String, String> {
    // The second reader alone may take a column for a table.
    if names.uses.is_none() {
        return found;
    }
    for (_, name) in &names.tables {
        if !found.contains_key(name) && !quoting::is_reserved(Dialect::Postgresql, name) {
            found.insert(name.clone(), "pg_catalog".to_owned());
        }
    }
    found
}

/// A function that the guard allows for some arguments, and leaves out of the names. Without a schema, a type of a user could
/// be meant.
const ALWAYS_BUILT_IN: &str = "current_setting";

/// Maps each function, and [`ALWAYS_BUILT_IN`], to the schema `pg_catalog`.
fn as_built_in(mut functions: BTreeSet<String>) -> BTreeMap<String, String> {
    functions.insert(ALWAYS_BUILT_IN.to_owned());
    functions.into_iter().map(|name| (name, "pg_catalog".to_owned())).collect()
}

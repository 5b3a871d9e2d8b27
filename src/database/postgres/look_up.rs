//! Checks a statement against the catalog before it runs: whether its names are harmless, under which `search_path` it
//! runs, and which of its columns the rules of the source mask.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};

use super::session::Opened;
use super::statement::shadowed;
use super::verdict::Refusal;
use super::{
    OWN_PATH, PostgresEngine, SearchPath, catalog_check, column_rules, expansion, left_out, path_of, sql_error,
    under_path,
};
use crate::database::DatabaseError;
use crate::dialect::Dialect;
use crate::guard::forms::Forms;
use crate::guard::{ApprovedSql, Names, QualifiedSql, Rejection, columns};
use crate::quoting;

/// Set before the look-up. [`ROLLBACK`] returns to this savepoint, which also undoes the settings of the look-up.
const SAVEPOINT: &str = "SAVEPOINT look_up";
const ROLLBACK: &str = "ROLLBACK TO SAVEPOINT look_up";

/// Maximum time of one look-up. A look-up takes milliseconds unless the objects of another user make it long. After
/// this time the statement is checked again without the schemas of users.
const LOOK_UP_TIMEOUT_MS: u64 = 3_000;

/// A statement that passed the check.
pub(super) struct Checked {
    pub(super) text: QualifiedSql,
    /// Positions of the columns to be masked.
    pub(super) masked: BTreeSet<usize>,
    /// True if another user may replace an object that the statement reads, after the check and before the statement
    /// runs.
    pub(super) is_replaceable: bool,
    /// True if the statement may mean something else in another transaction. Its text may contain a table without a
    /// schema, or the server may choose an object that another user creates later, such as a cast for a type of theirs.
    pub(super) may_change: bool,
    /// The `search_path` under which the statement was checked.
    pub(super) path: String,
    /// True if the check added `pg_catalog.` to calls of functions; a call of [`ALWAYS_BUILT_IN`] alone does not count.
    /// Always true in a result of `without`.
    has_built_ins: bool,
    /// Relations that the caller writes without a schema, each with the schema that the text adds. Without that schema,
    /// another user could create a relation of the same name in an earlier schema of the path before the statement
    /// runs.
    pub(super) relations: BTreeMap<String, String>,
    /// Why the first check refused the statement, if it was then checked without the schemas of users. `None` if the
    /// first check passed.
    pub(super) refusal: Option<Refusal>,
}

impl Checked {
    /// The result of the short look-up. `found`: see [`super::plain::look_up`].
    pub(super) fn plain(approved: &ApprovedSql, found: BTreeMap<String, String>) -> Self {
        let relations = with_missing(approved.names(), found);
        Checked {
            text: approved.qualified(&as_built_in(BTreeSet::new()), &relations),
            masked: BTreeSet::new(),
            is_replaceable: false,
            may_change: false,
            path: OWN_PATH.to_owned(),
            has_built_ins: false,
            relations,
            refusal: None,
        }
    }

    /// Replaces an error that the check may have caused: by leaving out a schema, or by adding `pg_catalog` to a table
    /// or to a call. Returns every other error unchanged.
    pub(super) fn explain(&mut self, error: DatabaseError) -> DatabaseError {
        match (error, self.refusal.take()) {
            // A schema that was left out may contain the missing function or operator (42883), table (42P01) or other
            // object (42704). For `value.name`, the server reports a missing function as a missing column (42703) or as
            // a wrong type (42809). A server without libxml reports that first (0A000).
            (DatabaseError::Sql { sqlstate: Some(state), message, .. }, Some(refusal))
                if matches!(state.as_str(), "42883" | "42P01" | "42704" | "0A000")
                    || matches!(state.as_str(), "42703" | "42809")
                        && refusal.name.as_ref().is_some_and(|name| message.contains(name.as_str())) =>
            {
                refusal.error
            }
            // `with_missing` added `pg_catalog` to the table. The caller did not write this schema, so the message
            // leaves it out.
            (DatabaseError::Sql { sqlstate: Some(state), message, hint, position, in_function }, _)
                if state == "42P01" =>
            {
                let message = message.replacen("\"pg_catalog.", "\"", 1);
                DatabaseError::Sql { sqlstate: Some(state), message, hint, position, in_function }
            }
            (error, _) if self.has_built_ins => shadowed(error),
            (error, _) => error,
        }
    }
}

impl PostgresEngine {
    /// Checks a statement against the catalog and returns the text that may run. Afterwards `search_path` is the `path`
    /// of the result.
    pub(super) async fn look_up(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
    ) -> Result<Checked, DatabaseError> {
        self.look_up_for(connection, opened, approved, None).await
    }

    /// Runs the short look-up, or the whole look-up if the short one cannot check the statement. Afterwards the
    /// transaction has the `search_path` of the result.
    ///
    /// If the statement needs only tables from the schemas of users, this `search_path` is [`OWN_PATH`]. Then the
    /// server may not find a name that the look-up cannot see, such as a name in a string. [`Self::wants_whole_path`]
    /// recognises the error of this case.
    ///
    /// # Errors
    ///
    /// Those of [`Self::look_up_plain`], [`Self::look_up`], [`Self::confirm`] and [`Self::count_relations`].
    /// [`DatabaseError::Changing`] after a short opening message, if the statement's names are no longer remembered.
    pub(super) async fn judged(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
    ) -> Result<Checked, DatabaseError> {
        match opened.path {
            SearchPath::Own => self.look_for_changes(connection, opened.path).await?,
            // The transaction began for a statement whose names are known, or for a remembered statement.
            SearchPath::OwnForCaller => {
                if let Some(checked) = self.known_plain(opened, approved) {
                    #[cfg(debug_assertions)]
                    self.assert_known(connection, opened, approved, &checked).await?;
                    self.count_relations(connection, approved, &checked).await?;
                    return Ok(checked);
                }
            }
            // TUDB's own queries call functions without a schema, so they must not run under the caller's path.
            SearchPath::Callers => use_own_path(connection).await?,
        }
        if opened.is_short {
            return Err(DatabaseError::Changing);
        }
        if let Some(checked) = self.look_up_plain(connection, opened, approved).await? {
            self.count_relations(connection, approved, &checked).await?;
            return Ok(checked);
        }
        let mut checked = self.look_up(connection, opened, approved).await?;
        self.confirm(connection, opened, approved, &mut checked).await?;
        self.count_relations(connection, approved, &checked).await?;
        Ok(checked)
    }

    /// Refuses a statement that names relations so often that their partitions and views exceed the bound. Afterwards the
    /// transaction is under the path of `checked`.
    async fn count_relations(
        &self,
        connection: &mut PgConnection,
        approved: &ApprovedSql,
        checked: &Checked,
    ) -> Result<(), DatabaseError> {
        let (schemas, names) = relations(approved, checked);
        let times = approved.mentions(&names);
        if times <= FEW_MENTIONS {
            return Ok(());
        }
        use_own_path(connection).await?;
        expansion::check(connection, &schemas, &names, times).await?;
        let back = under_path(&checked.path);
        connection.execute(AssertSqlSafe(back)).await.map(drop).map_err(|error| sql_error(error, None))
    }

    /// True if the statement has to run under the caller's whole path, as far as its text and earlier runs show.
    pub(super) fn is_for_whole_path(&self, approved: &ApprovedSql) -> bool {
        let names = approved.names();
        names.uses.is_none()
            || names_tell_of_path(names)
            || approved.text().to_ascii_lowercase().contains("search_path")
            || self.shapes.needs_whole_path(approved.text())
    }

    /// True if a statement may have failed because it needs a name of a schema that the look-up left out of the path.
    /// Then the statement's text is remembered, so the next look-up keeps the whole path.
    pub(super) fn wants_whole_path(&self, approved: &ApprovedSql, error: &DatabaseError) -> bool {
        let DatabaseError::Sql { sqlstate: Some(state), message, .. } = error else { return false };
        let names = approved.names();
        // The error says that a type, function, operator, relation or schema does not exist. The relations that the
        // statement names were looked up, so a missing relation can only be one that a function looks up.
        let is_own = names.reads.iter().any(|(_, name)| message.contains(name.as_str()));
        let may_be_path = matches!(state.as_str(), "42704" | "42883")
            || matches!(state.as_str(), "42P01" | "3F000")
                && (!is_own || !names.functions.is_empty() || !names.unknown.is_empty());
        may_be_path && !self.is_for_whole_path(approved) && {
            self.shapes.keep_whole_path(approved.text(), self.limits.remembered_shapes);
            true
        }
    }

    /// As [`PostgresEngine::look_up`]. If `refusal` is that of an earlier look-up, only the check of `without` runs.
    async fn look_up_for(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
        refusal: Option<Refusal>,
    ) -> Result<Checked, DatabaseError> {
        self.judge_encoding(approved)?;
        let settings = self.settings_of_look_up();
        self.execute_both(connection, SAVEPOINT, &settings).await?;
        let vouched = &self.settings.vouched;
        let keep_plan = self.may_name();
        let vouch = match refusal {
            None => {
                let forms = Forms::of(approved);
                let (names, schemas) = (approved.names(), &opened.schemas);
                let keeps_path = self.is_for_whole_path(approved);
                catalog_check::vouch(connection, names, schemas, vouched, keep_plan, &forms, keeps_path).await
            }
            Some(refusal) => Err(refusal),
        };
        let mut checked = match vouch {
            Ok(harmless) => {
                let has_bare_tables = has_bare_tables(approved.names(), &harmless.relations);
                let needs_path = harmless.needs_path || self.is_for_whole_path(approved);
                let is_exposed = needs_path && harmless.is_path_open || harmless.is_function_open;
                let relations = with_missing(approved.names(), harmless.relations);
                Checked {
                    has_built_ins: !harmless.shadowed.is_empty(),
                    text: approved.qualified(&as_built_in(harmless.shadowed), &relations),
                    masked: BTreeSet::new(),
                    is_replaceable: harmless.is_replaceable || has_bare_tables || is_exposed,
                    may_change: has_bare_tables || is_exposed || harmless.has_foreign_types,
                    path: if needs_path { opened.callers_path.clone() } else { OWN_PATH.to_owned() },
                    relations,
                    refusal: None,
                }
            }
            Err(refusal) if refusal.schemas.is_empty() => return Err(refusal.error),
            Err(refusal) => {
                // If the look-up itself failed, the server accepts no other statement before this rollback.
                self.execute_both(connection, ROLLBACK, &settings).await?;
                self.without(connection, opened, approved, refusal).await?
            }
        };
        checked.masked = self.obey_rules(connection, opened, approved, &checked.relations).await?;
        self.execute_both(connection, ROLLBACK, &opened.settings_of_caller(&checked.path)).await?;
        Ok(checked)
    }

    /// Sends `savepoint` and then `then`. Behind pgpool-II they are separate messages: pgpool-II sends a message with
    /// one statement about transactions to every server, but a message with several statements only to the primary.
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

    /// Returns the settings for the look-up of names. [`ROLLBACK`] undoes them.
    ///
    /// Planning a look-up takes five times as long as running it, so the server keeps one plan for all parameters. Hash
    /// and merge joins are off, because they read whole catalogs (25 ms with 10,000 tables). A look-up needs only a few
    /// rows.
    fn settings_of_look_up(&self) -> String {
        let timeout_ms = LOOK_UP_TIMEOUT_MS.min(self.limits.statement_timeout_ms);
        format!(
            "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_mergejoin = off; \
             SET LOCAL enable_hashjoin = off; SET LOCAL statement_timeout = {timeout_ms}"
        )
    }

    /// Locks the relations of a statement, so that nobody can replace them. The server must not parse the statement
    /// itself here: it turns literals into values of composite types and arrays while it parses, and runs the checks of
    /// domains in them. So it parses a query that names the relations and nothing else, and does not run it. Unlike
    /// LOCK TABLE, this locks relations of every kind and needs no privilege. PREPARE is sent as an SQL statement under
    /// a unique name, because behind a pooler another client may use the same backend.
    async fn hold(
        &self,
        connection: &mut PgConnection,
        approved: &ApprovedSql,
        checked: &Checked,
    ) -> Result<(), DatabaseError> {
        const FOUND: &str =
            "SELECT DISTINCT format('%I.%I', n.nspname, c.relname) FROM unnest($1::text[], $2::text[]) u(s, n)
            JOIN pg_namespace n ON n.nspname = u.s JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.n
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
              AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1";
        let own = |error| sql_error(error, None);
        let (schemas, names) = relations(approved, checked);
        let times = approved.mentions(&names);
        expansion::check(connection, &schemas, &names, times).await?;
        let found = sqlx::query_scalar::<_, String>(FOUND).bind(schemas.clone()).bind(names.clone()).persistent(false);
        let found = found.fetch_all(&mut *connection).await.map_err(own)?;
        if !found.is_empty() {
            let name = format!("tudb_{}", uuid::Uuid::now_v7().simple());
            let text = format!("PREPARE {name} AS SELECT FROM {}", found.join(", "));
            connection.execute(sqlx::query(AssertSqlSafe(text)).persistent(false)).await.map_err(own)?;
            let closed = sqlx::query(AssertSqlSafe(format!("DEALLOCATE {name}"))).persistent(false);
            connection.execute(closed).await.map_err(own)?;
            // The views are locked now. One of them may have been replaced after it was counted.
            expansion::check(connection, &schemas, &names, times).await?;
        }
        Ok(())
    }

    /// Checks the statement again if another user can replace an object that it reads. Before that check the
    /// transaction locks its relations, so that nobody can replace them. Afterwards `search_path` is the `path` of the
    /// result.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Changing`] if the second check gives another text, path or set of masked columns. The errors of
    /// [`PostgresEngine::look_up`]. The server's error if a lock cannot be taken.
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
        use_own_path(connection).await?;
        self.hold(connection, approved, checked).await?;
        self.look_up_again(connection, opened, approved, checked).await
    }

    /// As [`Self::confirm`], for a statement whose relations the transaction has already locked.
    pub(super) async fn confirm_held(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
        checked: &mut Checked,
    ) -> Result<(), DatabaseError> {
        use_own_path(connection).await?;
        self.look_up_again(connection, opened, approved, checked).await
    }

    /// Makes a new look-up and compares its result with `checked`. The transaction must be under [`OWN_PATH`].
    async fn look_up_again(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
        checked: &mut Checked,
    ) -> Result<(), DatabaseError> {
        let now = self.look_up_for(connection, opened, approved, checked.refusal.take()).await?;
        let is_same =
            now.text.text() == checked.text.text() && now.path == checked.path && now.masked == checked.masked;
        checked.refusal = now.refusal;
        if is_same { Ok(()) } else { Err(DatabaseError::Changing) }
    }

    /// Checks the statement again under a `search_path` without the schemas of users. Without this second check, one
    /// user could block the statements of all others: an operator, a type, a function or a view whose name occurs in
    /// those statements would be enough.
    ///
    /// Tables and functions of the left-out schemas are written with their schemas. If the statement needs another
    /// object of those schemas, the server does not find it. [`Checked::explain`] then returns the error of `refusal`.
    async fn without(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
        refusal: Refusal,
    ) -> Result<Checked, DatabaseError> {
        let mut names = approved.names().clone();
        // If only the second reader could read the statement, the places of its tables and functions are not certain.
        // Some functions and types show the path itself.
        if names.uses.is_none() || names_tell_of_path(&names) {
            return Err(refusal.error);
        }
        // All schemas of users are left out, because names in string literals (`to_tsvector('english', ..)`) are
        // unknown.
        let (without, left): (Vec<String>, Vec<String>) =
            opened.schemas.iter().cloned().partition(|schema| schema != "pg_catalog");
        // `pg_catalog` must be the first schema of the caller's path. Otherwise a name that `pg_catalog` and a schema
        // of a user share would change its meaning: under the new path it means the built-in.
        let built_ins_first = opened.schemas.first().is_some_and(|schema| schema == "pg_catalog");
        if !built_ins_first || without.iter().any(|schema| !refusal.schemas.contains(schema)) {
            return Err(refusal.error);
        }
        let vouched = &self.settings.vouched;
        if refusal.is_partial && left_out::needs_schemas(connection, &names, vouched, &opened.schemas, &without).await?
        {
            return Err(refusal.error);
        }
        let found = left_out::schemas_of(connection, &names, &opened.schemas).await?;
        let is_table = |name: &String| names.tables.iter().any(|(_, site)| site == name);
        // A relation without a schema means the first relation of that name in the path. If several schemas have a
        // function of one name, the server chooses by argument types. So the name of such a function stays without a
        // schema, and the server finds only a built-in, if there is one.
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
        let forms = Forms::of(approved);
        match catalog_check::vouch(connection, &names, &left, vouched, self.may_name(), &forms, false).await {
            Ok(harmless) => {
                let mut functions = functions;
                functions.extend(as_built_in(harmless.shadowed));
                Ok(Checked {
                    text: approved.qualified(&functions, &tables),
                    masked: BTreeSet::new(),
                    is_replaceable: true,
                    may_change: names.has_bare_tables || harmless.has_foreign_types,
                    path: path_of(&left),
                    has_built_ins: !functions.is_empty(),
                    relations: tables,
                    refusal: Some(refusal),
                })
            }
            Err(_) => Err(refusal.error),
        }
    }

    /// Refuses names with characters beyond ASCII if the encoding of the database is not UTF8. The server may then fold
    /// or truncate a name differently than the guard does. In a single-byte encoding the server folds letters beyond
    /// ASCII by its locale. It truncates a name by its bytes in the encoding of the database. Source:
    /// `downcase_identifier` in PostgreSQL's `scansup.c`.
    pub(super) fn judge_encoding(&self, approved: &ApprovedSql) -> Result<(), DatabaseError> {
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

/// Types of object identifiers. The text of a value depends on `search_path`, except for `regrole` and `regnamespace`.
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

/// [`expansion::check`] runs if a statement names one relation more often than this, or if another user can replace an
/// object that the statement reads.
const FEW_MENTIONS: u64 = 25;

/// Schemas and names of the relations that a statement names.
fn relations(approved: &ApprovedSql, checked: &Checked) -> (Vec<String>, Vec<String>) {
    let written = approved.names().reads.iter().filter_map(|(schema, name)| Some((schema.clone()?, name.clone())));
    let bare = checked.relations.iter().map(|(name, schema)| (schema.clone(), name.clone()));
    written.chain(bare).unzip()
}

/// Sets `search_path` to [`OWN_PATH`] until the end of the transaction.
pub(super) async fn use_own_path(connection: &mut PgConnection) -> Result<(), DatabaseError> {
    let set = connection.execute(AssertSqlSafe(under_path(OWN_PATH))).await;
    set.map(drop).map_err(|error| sql_error(error, None))
}

/// True if a statement calls a function or names a type whose value can depend on `search_path`.
fn names_tell_of_path(names: &Names) -> bool {
    let functions = names.functions.iter().chain(names.unknown.iter().map(|(_, name)| name));
    functions.chain(&names.types).any(|word| tells_of_path(word))
}

/// True if the value of this built-in function or type can depend on `search_path`.
pub(super) fn tells_of_path(word: &str) -> bool {
    PATH_TYPES.contains(&word.trim_start_matches('_'))
        || ["to_reg", "pg_get_", "pg_describe_", "pg_input_"].iter().any(|prefix| word.starts_with(prefix))
        || word.ends_with("_is_visible")
        || matches!(
            word,
            "pg_typeof" | "pg_collation_for" | "format_type" | "current_schema" | "current_schemas" | "oidvectortypes"
        )
}

/// True if the checked text may contain a table without a schema. If only the second reader could read the statement,
/// there are two more cases. A relation was found whose name has no known place as a table. Or no relation was found
/// for a name at the place of a table; that name may be a column.
fn has_bare_tables(names: &Names, found: &BTreeMap<String, String>) -> bool {
    let placed: BTreeSet<&String> = names.tables.iter().map(|(_, name)| name).collect();
    names.has_bare_tables
        || names.uses.is_none()
            && (found.keys().any(|name| !placed.contains(name)) || placed.iter().any(|name| !found.contains_key(*name)))
}

/// Adds the schema `pg_catalog` to each table for which no relation was found. So the server does not find a relation
/// that is created after the check. Reserved words get no schema, because the parser reads some of them in FROM as
/// tables.
pub(super) fn with_missing(names: &Names, mut found: BTreeMap<String, String>) -> BTreeMap<String, String> {
    // The second reader may take a column for a table, and a column must not get a schema.
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

/// The guard allows this function for some arguments, and does not list such a call in [`Names`]. Without a schema, the
/// call could be a cast to a user's type of the same name.
const ALWAYS_BUILT_IN: &str = "current_setting";

/// Maps each function, and [`ALWAYS_BUILT_IN`], to the schema `pg_catalog`.
fn as_built_in(mut functions: BTreeSet<String>) -> BTreeMap<String, String> {
    functions.insert(ALWAYS_BUILT_IN.to_owned());
    functions.into_iter().map(|name| (name, "pg_catalog".to_owned())).collect()
}

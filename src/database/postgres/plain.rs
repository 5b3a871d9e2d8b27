//! A short look-up for plain statements: tables of built-in types and enums, and names that no user's object has. For these
//! the whole look-up ([`super::catalog_check`]) would find nothing. Most statements are plain, and the whole look-up takes
//! ten times as long.
//!
//! A plain statement needs nothing from the schemas of users but its tables, and these are written with their schemas. So it
//! runs under [`super::OWN_PATH`]. An object that another user makes after the look-up is then never chosen.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::postgres::PgConnection;
#[cfg(debug_assertions)]
use sqlx::{AssertSqlSafe, Executor};

use super::catalog::own;
use super::catalog_check::{OPERATORS_OF_KEYWORDS, REG_TYPES, Vouched};
use super::look_up::Checked;
#[cfg(debug_assertions)]
use super::look_up::{use_own_path, with_missing};
use super::plain_names::UsersNames;
use super::session::Opened;
use super::shapes::is_large;
#[cfg(debug_assertions)]
use super::{OWN_PATH, catalog};
use super::{PostgresEngine, lossy, sql_error};
use crate::database::DatabaseError;
use crate::guard::{ApprovedSql, Names};

/// $1 functions by bare name and names after a dot; $2 operators, also those of keywords; $3 names of types;
/// $4 and $5 schemas (or NULL) and names of relations; $6 the schemas of the caller's path, in order; $7 the caller's
/// `plan_cache_mode`, or NULL if that is set.
///
/// One row: whether the statement is plain, then names and schemas of the relations that are written without a schema, then
/// the value that only this process knows. If the statement is plain, the query also sets the caller's plan mode.
///
/// Objects that users made have oids from 16384 on. Each condition covers a finding of the whole look-up, or an
/// object that another user can replace. It may cover more. The text of types like `regclass` depends on
/// `search_path`, so a table with such a column is not plain.
/// `OFFSET 0` keeps the planner from reading a whole catalog where a few rows are found by their names.
const PLAIN: &str = "
WITH named AS MATERIALIZED (
    SELECT u.s, u.n, coalesce((SELECT c.oid FROM pg_namespace p JOIN pg_class c ON c.relnamespace = p.oid AND c.relname = u.n
        WHERE p.nspname = u.s),
      (SELECT c.oid FROM unnest($6::text[]) WITH ORDINALITY x(name, place) JOIN pg_namespace p ON p.nspname = x.name
        JOIN pg_class c ON c.relnamespace = p.oid AND c.relname = u.n WHERE u.s IS NULL ORDER BY x.place LIMIT 1)) AS oid
    FROM unnest($4::text[], $5::text[]) u(s, n)),
  base AS MATERIALIZED (SELECT d.datdba FROM pg_database d WHERE d.datname = current_database()),
  found AS MATERIALIZED (SELECT n.n, n.s IS NULL AS is_bare, c.oid, c.relkind, c.relispartition, c.relrowsecurity, c.relowner,
      p.nspowner, p.nspname FROM named n, LATERAL (SELECT * FROM pg_class x WHERE x.oid = n.oid OFFSET 0) c,
      LATERAL (SELECT * FROM pg_namespace x WHERE x.oid = c.relnamespace OFFSET 0) p),
  verdict AS MATERIALIZED (SELECT NOT (
    EXISTS (SELECT 1 FROM named n WHERE n.s IS NOT NULL AND n.oid IS NULL)
    OR EXISTS (SELECT 1 FROM found f WHERE f.relkind NOT IN ('r', 'm') OR f.relispartition OR f.relrowsecurity
      OR f.nspname IN ('pg_catalog', 'information_schema') OR f.nspname LIKE 'pg\\_%'
      OR NOT IS_TRUSTED(f.relowner) OR NOT IS_TRUSTED(f.nspowner)
      OR EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = f.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND (a.attgenerated = 'v' OR a.atttypid = ANY (REG_TYPES) OR a.atttypid >= 16384 AND NOT EXISTS (SELECT 1
          FROM pg_type t WHERE t.oid = a.atttypid AND IS_TRUSTED(t.typowner) AND (t.typtype = 'e'
            OR t.typtype = 'b' AND EXISTS (SELECT 1 FROM pg_type e WHERE e.oid = t.typelem AND e.typtype = 'e')))))
      OR EXISTS (SELECT 1 FROM (SELECT x.indclass, x.indexprs, x.indpred FROM pg_index x WHERE x.indrelid = f.oid OFFSET 0) i
        WHERE 16384 <= ANY (i.indclass::oid[]) OR concat(i.indexprs::text, i.indpred::text) ~ ':(funcid|opfuncid) \\d{5,}'))
    OR EXISTS (SELECT 1 FROM unnest($1::text[]) f(name), LATERAL (SELECT p.oid FROM pg_proc p WHERE p.proname = f.name
      AND p.oid >= 16384 OFFSET 0) p)
    -- The operators of an extension matter to values of its types only.
    OR EXISTS (SELECT 1 FROM pg_operator o WHERE OPERATOR AND o.oprname = ANY ($2))
    -- Enums, and rows and arrays of what is harmless itself.
    OR EXISTS (SELECT 1 FROM unnest($3::text[] || ARRAY(SELECT '_' || x FROM unnest($3::text[]) x)) w(name),
      LATERAL (SELECT x.* FROM pg_type x WHERE x.typname = w.name AND x.oid >= 16384 OFFSET 0) t
      LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typtype = 'b'
      WHERE TYPE)
    OR EXISTS (SELECT 1 FROM pg_cast k JOIN pg_type s ON s.oid = k.castsource JOIN pg_type t ON t.oid = k.casttarget
      WHERE k.oid >= 16384 AND (k.castsource < 16384 AND (k.casttarget < 16384 OR k.castcontext = 'i' OR s.typtype = 'p')
        OR k.casttarget >= 16384 AND (t.typtype <> 'b' OR t.typelem <> 0)
        OR k.castsource >= 16384 AND (s.typtype <> 'b' OR s.typelem <> 0)))
    OR EXISTS (SELECT 1 FROM pg_opclass o WHERE o.oid >= 16384 AND (o.opcdefault AND o.opcintype < 16384
      OR (SELECT t.typtype FROM pg_type t WHERE t.oid = o.opcintype) = 'e')))
    AS is_plain)
SELECT v.is_plain, ARRAY(SELECT f.n FROM found f WHERE f.is_bare ORDER BY f.n),
  ARRAY(SELECT f.nspname::text FROM found f WHERE f.is_bare ORDER BY f.n), MARK,
  CASE WHEN v.is_plain THEN set_config('plan_cache_mode', coalesce($7, current_setting('plan_cache_mode')), true) END
FROM verdict v";

/// The condition for an operator `o` of users that makes a statement not plain.
pub(super) const OPERATOR: &str = "o.oid >= 16384 AND NOT (
      (o.oprleft >= 16384 OR o.oprright >= 16384) AND coalesce((SELECT r.rolsuper FROM pg_roles r WHERE r.oid = o.oprowner), false)
      AND EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_operator'::regclass AND d.objid = o.oid AND d.deptype = 'e'))";

/// The condition for a type `t` of users, with the type `e` of its elements, that makes a statement not plain.
pub(super) const TYPE: &str = "coalesce(e.typtype, t.typtype) NOT IN ('c', 'e') AND coalesce(e.oid, t.oid) >= 16384
        OR EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = coalesce(e.typrelid, t.typrelid) AND a.attnum > 0
          AND a.atttypid >= 16384 AND NOT a.attisdropped)";

/// Whether an owner can replace every object of the database anyway: [`super::catalog_check::TRUSTED`] for one role. The list
/// of all roles takes longer than the rest of the look-up.
fn is_trusted(owner: &str) -> String {
    format!(
        "({owner} = (SELECT datdba FROM base) OR coalesce((SELECT o.rolsuper OR o.rolname = 'pg_database_owner'
        FROM pg_roles o WHERE o.oid = {owner}), false))"
    )
}

/// The text of the look-up, with a value that only this process knows. `mark` has no quote.
pub(super) fn query(mark: &str) -> String {
    let owners = ["f.relowner", "f.nspowner", "t.typowner"];
    let judged = owners
        .iter()
        .fold(PLAIN.to_owned(), |query, owner| query.replace(&format!("IS_TRUSTED({owner})"), &is_trusted(owner)));
    let judged = judged
        .replace("WHERE OPERATOR", &format!("WHERE {OPERATOR}"))
        .replace("WHERE TYPE)", &format!("WHERE {TYPE})"));
    judged.replace("REG_TYPES", REG_TYPES).replace("MARK", &format!("'{mark}'::text"))
}

/// The names of a statement that the short look-up judges.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought<'a>(&'a Names);

impl<'a> Sought<'a> {
    /// `None` if the whole look-up has to judge the statement: it has functions that are not on the list, names that
    /// the parser could not read, tables without a place, or temporary tables.
    pub(super) fn of(names: &'a Names) -> Option<Self> {
        let is_of_session = |(schema, _): &(Option<String>, String)| schema.as_ref().is_some_and(|of| of == "pg_temp");
        let is_judged_whole = !names.unknown.is_empty()
            || names.uses.is_none()
            || names.has_bare_tables
            || names.reads.iter().any(is_of_session);
        (!is_judged_whole).then_some(Sought(names))
    }

    /// Functions by bare name, and names after a dot.
    pub(super) fn functions(self) -> impl Iterator<Item = &'a String> + Clone {
        self.0.functions.iter().chain(&self.0.fields)
    }

    /// Operators, without those of keywords.
    pub(super) fn operators(self) -> impl Iterator<Item = &'a String> + Clone {
        self.0.operators.iter()
    }

    pub(super) fn types(self) -> impl Iterator<Item = &'a String> + Clone {
        self.0.types.iter().chain(self.0.qualified_types.iter().map(|(_, name)| name))
    }

    pub(super) fn relations(self) -> &'a [(Option<String>, String)] {
        &self.0.reads
    }
}

/// Returns the relations of a plain statement that are written without a schema, each with the schema in which it is
/// found. `None` if the whole look-up has to judge the statement.
///
/// `keep_plan` prepares the query by name. That is safe only on a connection that is certainly direct.
///
/// # Errors
///
/// Those of the query.
pub(super) async fn look_up(
    connection: &mut PgConnection,
    sought: Sought<'_>,
    opened: &Opened,
    vouched: &Vouched,
    keep_plan: bool,
) -> Result<Option<BTreeMap<String, String>>, sqlx::Error> {
    let functions: Vec<String> = sought.functions().cloned().collect();
    let operators = sought.operators().map(String::as_str).chain(OPERATORS_OF_KEYWORDS);
    let operators: Vec<String> = operators.map(str::to_owned).collect();
    let (relation_schemas, relations): (Vec<Option<String>>, Vec<String>) = sought.relations().iter().cloned().unzip();
    let types: Vec<String> = sought.types().cloned().collect();
    // The driver remembers a statement's name by its text. The line break makes a text that was never named.
    let query = if keep_plan { vouched.short.clone() } else { format!("{}\n", vouched.short) };
    let row = sqlx::query(own(query))
        .bind(functions)
        .bind(operators)
        .bind(types)
        .bind(relation_schemas)
        .bind(relations)
        .bind(&opened.schemas)
        .bind(&opened.plan_cache_mode)
        .persistent(keep_plan)
        .fetch_one(connection)
        .await?;
    // Behind an undetected pooler the statement's name could stand for another client's statement.
    let is_own = row.try_get::<String, _>(3)? == vouched.mark;
    if !is_own || !row.try_get::<bool, _>(0)? {
        return Ok(None);
    }
    let (found, of) = (lossy::texts(&row, 1)?, lossy::texts(&row, 2)?);
    Ok(Some(found.into_iter().zip(of).collect()))
}

impl PostgresEngine {
    /// Runs the short look-up. Returns `None` if the whole look-up has to check the statement. Otherwise `search_path`
    /// is the `path` of the result afterwards.
    pub(super) async fn look_up_plain(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
    ) -> Result<Option<Checked>, DatabaseError> {
        self.judge_encoding(approved)?;
        let Some(sought) = self.sought(approved) else { return Ok(None) };
        let generation = self.shapes.generation();
        let vouched = &self.settings.vouched;
        let found = look_up(connection, sought, opened, vouched, self.may_name()).await;
        let Some(found) = found.map_err(|error| sql_error(error, None))? else { return Ok(None) };
        #[cfg(debug_assertions)]
        self.assert_plain(connection, opened, approved, &found).await?;
        if !is_large(approved.text()) && self.shapes.keep_plain(&sought, &opened.schemas, &found, generation) {
            let users = UsersNames::read(connection).await.map_err(|error| sql_error(error, None))?;
            self.shapes.keep_users_names(users, generation);
        }
        Ok(Some(Checked::plain(approved, found)))
    }

    /// The names that the short look-up would judge. `None` if the whole look-up has to check the statement.
    fn sought<'a>(&self, approved: &'a ApprovedSql) -> Option<Sought<'a>> {
        Sought::of(approved.names()).filter(|_| self.may_remember() && !self.is_for_whole_path(approved))
    }

    /// True if short look-ups found all names of the statement harmless a short time ago.
    pub(super) fn has_known_names(&self, approved: &ApprovedSql) -> bool {
        self.sought(approved).is_some_and(|sought| self.shapes.has_plain(&sought))
    }

    /// The result of the short look-up, if all names of the statement are known.
    pub(super) fn known_plain(&self, opened: &Opened, approved: &ApprovedSql) -> Option<Checked> {
        if self.shapes.is_due() || self.judge_encoding(approved).is_err() {
            return None;
        }
        let found = self.shapes.plain(&self.sought(approved)?, &opened.schemas)?;
        Some(Checked::plain(approved, found))
    }

    /// Runs the short look-up for a statement of known names, and panics if the result differs although the catalog has
    /// not changed. Only debug builds do this.
    #[cfg(debug_assertions)]
    pub(super) async fn assert_known(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
        checked: &Checked,
    ) -> Result<(), DatabaseError> {
        let own = |error| sql_error(error, None);
        let sought = Sought::of(approved.names()).ok_or(DatabaseError::Changing)?;
        let vouched = &self.settings.vouched;
        let found = look_up(connection, sought, opened, vouched, self.may_name()).await.map_err(own)?;
        match found {
            Some(found) if with_missing(approved.names(), found.clone()) == checked.relations => {
                self.assert_plain(connection, opened, approved, &found).await
            }
            found => {
                let now = catalog::fingerprint(connection).await.map_err(own)?;
                assert!(!self.shapes.is_same(&now), "known names differ for {:?}: {found:?}", approved.text());
                Ok(())
            }
        }
    }

    /// Runs the whole look-up too and panics if its result differs. Only debug builds do this; most tests run a debug
    /// build.
    #[cfg(debug_assertions)]
    async fn assert_plain(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
        found: &BTreeMap<String, String>,
    ) -> Result<(), DatabaseError> {
        use_own_path(connection).await?;
        let whole = self.look_up(connection, opened, approved).await;
        let is_same = whole.as_ref().is_ok_and(|whole| {
            let relations = with_missing(approved.names(), found.clone());
            let is_as_plain = !whole.is_replaceable && !whole.may_change && whole.path == OWN_PATH;
            is_as_plain && whole.masked.is_empty() && whole.relations == relations && whole.refusal.is_none()
        });
        assert!(is_same, "the short look-up differs for {:?}: {:?}", approved.text(), whole.err());
        connection
            .execute(AssertSqlSafe(opened.settings_of_caller(OWN_PATH)))
            .await
            .map_err(|error| sql_error(error, None))?;
        Ok(())
    }
}

//! Checks which objects of this database the names of a statement can mean. The guard cannot decide this without the
//! catalog.
//!
//! PostgreSQL chooses functions, operators and casts by the types of the arguments too, so it may choose a user's
//! object where a built-in is meant. One query therefore looks up every object that the names can reach: functions and
//! operators in the caller's `search_path`, casts, checks of domains, and functions and relations inside views. Each of
//! these objects must be a harmless built-in, belong to an extension that only computes, or be listed in the
//! configuration. `pg_depend` has no rows for built-ins, so the query finds the built-ins inside a view in the
//! expression tree of the view's rule.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::catalog::own;
use super::finding::{Finding, Reach, reach};
use super::lossy::{self, Lossy};
use super::sql_error;
use super::verdict::{Harmless, Refusal, verdict, without_users};
use crate::database::DatabaseError;
use crate::guard::Names;
use crate::guard::forms::{Dotted, Forms};

/// The SQL of the look-up. Comments in the file document its parameters and columns.
const REACHED: &str = include_str!("catalog_check.sql");

/// Operators that the server uses for keywords: IN, BETWEEN, LIKE, NULLIF, CASE .. WHEN, USING, SIMILAR TO.
pub(super) const OPERATORS_OF_KEYWORDS: [&str; 12] =
    ["=", "<>", "<", ">", "<=", ">=", "~~", "~~*", "!~~", "!~~*", "~", "!~"];

/// The objects that the configuration vouches for, and the SQL of the look-ups.
#[derive(Debug)]
pub(super) struct Vouched {
    /// Extensions whose types, functions and operators the configuration vouches for.
    pub(super) extensions: Vec<String>,
    /// Functions, as `schema.name` or with argument types.
    pub(super) functions: Vec<String>,
    /// True if foreign tables may be read. A foreign table can be a view on the other server, and that view can call
    /// functions that change data.
    pub(super) foreign_tables: bool,
    /// True if the source has rules that code of a table's owner could pass: column rules, or no foreign tables. Such code
    /// stands in policies, and in expressions of indexes and statistics. It runs with the rights of TUDB's role.
    pub(super) judges_owners_code: bool,
    /// A value that only this process knows. The look-up returns it in its last row, which proves that the rows are its
    /// own. Behind an undetected pooler, the prepared name of the look-up could stand for a statement of another
    /// client. Without this value, an empty result of that statement would look harmless.
    pub(super) mark: String,
    query: String,
    /// The text of the short look-up.
    pub(super) short: String,
}

impl Vouched {
    /// `has_rules`: the source has column rules.
    pub(super) fn new(functions: Vec<String>, extensions: Vec<String>, foreign_tables: bool, has_rules: bool) -> Self {
        let mark = uuid::Uuid::now_v7().to_string();
        let (path, named) = (OPEN.replace("SCHEMAS", "$11::text[]"), OPEN.replace("SCHEMAS", "$2::text[]"));
        let conditions = format!("{path}, NULL, {named}, {REPLACEABLE}").replace("TRUSTED", TRUSTED);
        let query = format!(
            "{} UNION ALL SELECT '{MARK}', '', '', '', '', '{mark}', NULL, '', '', {conditions}",
            REACHED
                .replace("OWNERS_CODE(r.oid)", &OWNERS_CODE.replace("$oid$", "r.oid"))
                .replace("TRUSTED", TRUSTED)
                .replace("REG_TYPES", REG_TYPES)
        );
        let short = super::plain::query(&mark);
        let judges_owners_code = has_rules || !foreign_tables;
        Vouched { functions, extensions, foreign_tables, judges_owners_code, mark, query, short }
    }
}

/// Maximum number of findings of one statement. A statement with more findings is refused. The look-up also limits the
/// number of operators and functions of each schema.
const MAX_FINDINGS: usize = 6_000;

/// Returns the refusal for a failed look-up. An object of another user can make the look-up fail. Its definition may be
/// too long to be written as text, may not convert to UTF-8, or may take too long to search. After such an error a
/// second check may leave out the schemas of users.
fn unread(error: DatabaseError, schemas: &[String]) -> Refusal {
    let is_about_objects = matches!(&error, DatabaseError::Sql { sqlstate: Some(state), .. }
        if state.starts_with("54") || state.starts_with("22") || matches!(state.as_str(), "53200" | "57014" | "XX000"));
    if !is_about_objects {
        return Refusal::from(error);
    }
    let error = DatabaseError::NotVouched {
        name: "the statement".into(),
        reason: "has the name of an object whose definition cannot be searched",
        hint:
            "Write the tables with their schemas and give columns other names with AS; its administrator can take the \
               object's schema out of the role's search_path."
                .into(),
        is_relation: true,
    };
    Refusal { is_partial: true, ..without_users(error, schemas) }
}

/// Returns the refusal for a statement with more than [`MAX_FINDINGS`] findings.
fn too_much(schemas: &[String]) -> Refusal {
    let error = DatabaseError::NotVouched {
        name: "the statement".into(),
        reason: "reaches more functions than TUDB checks",
        hint: "Read tables rather than views.".into(),
        is_relation: true,
    };
    Refusal { is_partial: true, ..without_users(error, schemas) }
}

/// SQL array: the types whose text depends on `search_path`, and their array types. These are regclass, regproc,
/// regprocedure, regoper, regoperator, regtype, regconfig, regdictionary and regcollation, by their fixed oids in
/// `pg_type.dat`.
pub(in crate::database) const REG_TYPES: &str =
    "'{24,1008,2202,2203,2204,2205,2206,2207,2208,2209,2210,2211,3734,3735,3769,3770,4191,4192}'::oid[]";

/// SQL array: the roles that can replace every object of the database anyway. These are superusers, the database's
/// owner, and the role `pg_database_owner`, which stands for the owner.
pub(super) const TRUSTED: &str =
    "ARRAY(SELECT o.oid FROM pg_roles o WHERE o.rolsuper OR o.rolname = 'pg_database_owner'
    OR o.oid = (SELECT d.datdba FROM pg_database d WHERE d.datname = current_database()))";

/// SQL: the expression trees that a user who is not in `TRUSTED` attached to the relation `$oid$`, as `o(tree)`: policies
/// of reads, for any role, and expressions and conditions of indexes and of statistics. A policy may ask for a setting
/// (`current_setting`, 2077 and 3294), such as the tenant or the claims.
const OWNERS_CODE: &str = "(SELECT x.tree FROM pg_class c, LATERAL (
      SELECT regexp_replace(y.polqual::text, ':funcid (2077|3294) ', '', 'g') AS tree FROM pg_policy y
        WHERE y.polrelid = c.oid AND c.relrowsecurity AND y.polcmd IN ('r', '*')
      UNION ALL SELECT concat(i.indexprs::text, i.indpred::text) FROM pg_index i WHERE i.indrelid = c.oid
      UNION ALL SELECT e.stxexprs::text FROM pg_statistic_ext e WHERE e.stxrelid = c.oid) x
    WHERE c.oid = $oid$ AND c.relowner <> ALL (TRUSTED) AND x.tree <> '') o(tree)";

/// SQL condition: another user can replace a relation or a type that the statement reads, after the check and before
/// the statement runs. It is true if the statement has one of these:
/// - relations that are not tables, partitioned tables or materialized views;
/// - tables with row-level security;
/// - relations if their owner, or the owner of their schema, is not in `TRUSTED`;
/// - column types if their owner is not in `TRUSTED`;
/// - types that the statement writes with a schema, if their owner is not in `TRUSTED`;
/// - names with a schema for which there is no relation and no type yet.
const REPLACEABLE: &str = "(EXISTS (SELECT 1 FROM unnest((SELECT oids FROM reached)) r(oid) JOIN pg_class c ON c.oid = r.oid
      JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind NOT IN ('r', 'p', 'm') OR c.relrowsecurity OR c.relowner <> ALL (TRUSTED) OR n.nspowner <> ALL (TRUSTED))
  OR EXISTS (SELECT 1 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type e ON e.oid = t.typelem
    WHERE a.attrelid = ANY ((SELECT oids FROM reached)::oid[]) AND a.attnum > 0 AND NOT a.attisdropped AND t.oid >= 16384
      AND (t.typowner <> ALL (TRUSTED) OR coalesce(e.typtype, t.typtype) <> 'e' AND EXISTS (SELECT 1 FROM pg_type m
        WHERE m.oid = ANY ((SELECT oids FROM met)::oid[]) AND m.typowner <> ALL (TRUSTED))))
  OR EXISTS (SELECT 1 FROM unnest($12::text[], $13::text[]) u(s, n) JOIN pg_namespace p ON p.nspname = u.s
    JOIN pg_type t ON t.typnamespace = p.oid AND t.typname = u.n WHERE t.typowner <> ALL (TRUSTED))
  OR EXISTS (SELECT 1 FROM unnest($5::text[], $6::text[]) u(s, n) WHERE u.s <> 'pg_temp' AND NOT EXISTS (SELECT 1
      FROM pg_namespace p WHERE p.nspname = u.s AND (
        EXISTS (SELECT 1 FROM pg_class c WHERE c.relnamespace = p.oid AND c.relname = u.n)
        OR EXISTS (SELECT 1 FROM pg_type t WHERE t.typnamespace = p.oid AND t.typname = u.n)))))";

/// SQL condition: somebody who is not in `TRUSTED` can create objects in one of the `SCHEMAS`, or create such a schema.
const OPEN: &str = "EXISTS (SELECT 1 FROM unnest(SCHEMAS) x(name) LEFT JOIN pg_namespace n ON n.nspname = x.name
    WHERE x.name NOT IN ('pg_catalog', 'pg_temp') AND (n.oid IS NULL OR n.nspowner <> ALL (TRUSTED) OR EXISTS (
      SELECT 1 FROM aclexplode(n.nspacl) a WHERE a.privilege_type = 'CREATE' AND a.grantee <> ALL (TRUSTED))))";

/// Value of the first column in the row that carries the mark.
const MARK: &str = "mark";

/// The answer of the look-up.
pub(super) struct Reached {
    /// The objects that the names can mean, and the row with the mark.
    pub(super) findings: Vec<Finding>,
    /// Relations that the statement writes without a schema, each with the schema that contains it.
    pub(super) relations: BTreeMap<String, String>,
    pub(super) needs_path: bool,
    pub(super) has_foreign_types: bool,
}

/// Refuses a statement that could reach code that nobody vouches for. `schemas` are the schemas of the caller's path,
/// in order. `keeps_path` is true if the statement runs under that path, whatever is found. If `keep_plan` is true, the
/// look-up is a named prepared statement. That is safe only on a connection that is certainly direct.
///
/// # Errors
///
/// [`DatabaseError::NotVouched`], naming the first finding that is not harmless. [`DatabaseError::Sql`] if another
/// statement answered the look-up. Otherwise the errors of the query.
pub(super) async fn vouch(
    connection: &mut PgConnection,
    names: &Names,
    schemas: &[String],
    vouched: &Vouched,
    keep_plan: bool,
    forms: &Forms,
    keeps_path: bool,
) -> Result<Harmless, Refusal> {
    if *names == Names::default() {
        return Ok(Harmless { needs_path: true, ..Harmless::default() });
    }
    let reached = look_up(connection, names, schemas, vouched, keep_plan, forms).await?;
    verdict(reached, names, schemas, vouched, forms, keeps_path).map_err(|refusal| *refusal)
}

/// Sends the look-up and reads its rows.
async fn look_up(
    connection: &mut PgConnection,
    names: &Names,
    schemas: &[String],
    vouched: &Vouched,
    keep_plan: bool,
    forms: &Forms,
) -> Result<Reached, Refusal> {
    let mut bare = names.functions.clone();
    let (mut function_schemas, mut qualified) = (Vec::new(), Vec::new());
    for (schema, name) in &names.unknown {
        match schema {
            Some(schema) => {
                function_schemas.push(schema.clone());
                qualified.push(name.clone());
            }
            None => bare.push(name.clone()),
        }
    }
    let operators = names.operators.iter().filter(|name| !OPERATORS_OF_KEYWORDS.contains(&name.as_str()));
    let operators: Vec<String> = operators.cloned().collect();
    let of_keywords: Vec<String> = OPERATORS_OF_KEYWORDS.map(str::to_owned).to_vec();
    let (type_schemas, types): (Vec<String>, Vec<String>) = names.qualified_types.iter().cloned().unzip();
    let (relation_schemas, relations): (Vec<Option<String>>, Vec<String>) = names.reads.iter().cloned().unzip();
    // The driver finds an earlier prepared statement by its text. The line break makes the text different, so the
    // driver cannot use the name of an earlier preparation.
    let query = if keep_plan { vouched.query.clone() } else { format!("{}\n", vouched.query) };
    let rows = sqlx::query(own(query))
        .bind(bare)
        .bind(function_schemas)
        .bind(names.fields.clone())
        .bind(operators)
        .bind(relation_schemas)
        .bind(relations)
        .bind(names.types.clone())
        .bind(of_keywords)
        .bind(qualified)
        .bind(!vouched.foreign_tables)
        .bind(schemas)
        .bind(type_schemas)
        .bind(types)
        .bind(&forms.columns)
        .bind(&forms.called)
        .bind(&forms.called_with_several)
        .bind(forms.literals)
        .bind(dotted(forms, |(schema, _, _)| schema.clone()))
        .bind(dotted(forms, |(_, table, _)| table.clone()))
        .bind(dotted(forms, |(_, _, name)| name.clone()))
        .bind(&forms.converted)
        .bind(&forms.converted_rows)
        .bind(vouched.functions.iter().map(|entry| entry.split('(').next().unwrap_or_default()).collect::<Vec<_>>())
        .bind(names.uses.is_some())
        .bind(names.cast_types.clone())
        .bind(vouched.judges_owners_code)
        .persistent(keep_plan);
    let mut rows = rows.fetch(connection);
    let mut reached =
        Reached { findings: Vec::new(), relations: BTreeMap::new(), needs_path: false, has_foreign_types: false };
    // The look-up can fail because of an object that another user made.
    while let Some(row) = rows.try_next().await.map_err(|error| unread(sql_error(error, None), schemas))? {
        if reached.findings.len() >= MAX_FINDINGS {
            // Read all remaining rows. Otherwise a later error of this query, such as its timeout, would be reported
            // for the next statement.
            while let Ok(Some(_)) = rows.try_next().await {}
            return Err(too_much(schemas));
        }
        let text = |at: usize| lossy::text(&row, at).map_err(DatabaseError::Connection);
        match reach(&text(0)?)? {
            Reach::Found => drop(reached.relations.insert(text(2)?, text(1)?)),
            Reach::ShownByPath => reached.needs_path = true,
            Reach::ForeignTypes => reached.has_foreign_types = true,
            what => reached.findings.push(finding(what, &row)?),
        }
    }
    Ok(reached)
}

/// Reads a row that describes an object, or the row with the mark.
fn finding(what: Reach, row: &PgRow) -> Result<Finding, DatabaseError> {
    let text = |at: usize| lossy::text(row, at).map_err(DatabaseError::Connection);
    let optional = |at: usize| {
        let text: Result<Option<Lossy>, _> = row.try_get(at);
        text.map(|text| text.map(|text| text.0)).map_err(DatabaseError::Connection)
    };
    Ok(Finding {
        what,
        chosen: (text(1)?, text(2)?),
        schema: text(3)?,
        name: text(4)?,
        // NULL for an object that was dropped while the look-up ran.
        identity: optional(5)?.ok_or(DatabaseError::Changing)?,
        extension: optional(6)?,
        volatility: text(7)?,
        language: text(8)?,
        takes_internals: row.try_get(9).map_err(DatabaseError::Connection)?,
        operator_schema: optional(10)?,
        is_shared: row.try_get::<Option<bool>, _>(11).map_err(DatabaseError::Connection)?.unwrap_or(false),
        is_users: row.try_get(12).map_err(DatabaseError::Connection)?,
    })
}

/// Returns one part of each of the names after a dot.
fn dotted<T>(forms: &Forms, part: impl Fn(&Dotted) -> T) -> Vec<T> {
    forms.dotted.iter().map(part).collect()
}

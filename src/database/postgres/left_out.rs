//! What a statement can lose when the schemas of users are left out of its path.

use std::collections::BTreeSet;

use sqlx::postgres::PgConnection;

use super::catalog_check::{OPERATORS_OF_KEYWORDS, Vouched};
use super::sql_error;
use crate::database::DatabaseError;
use crate::guard::Names;

/// The schemas in which the bare names of a statement are found.
pub(super) struct Found {
    /// Relations, each with the schemas of the path that have a relation of that name, in order.
    pub(super) relations: Vec<(String, Vec<String>)>,
    /// Functions, each with the schemas of the path that have a function of that name.
    pub(super) functions: Vec<(String, Vec<String>)>,
}

/// Looks up the bare names of the statement in `schemas`, the caller's path. A function is looked up only if each of
/// its calls can be written with a schema.
pub(super) async fn schemas_of(
    connection: &mut PgConnection,
    names: &Names,
    schemas: &[String],
) -> Result<Found, DatabaseError> {
    const RELATIONS: &str = "SELECT u.name, array_agg(p.name ORDER BY p.place)
        FROM unnest($1::text[]) u(name) CROSS JOIN unnest($2::text[]) WITH ORDINALITY p(name, place)
        JOIN pg_namespace n ON n.nspname = p.name JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.name
        GROUP BY u.name";
    const FUNCTIONS: &str = "SELECT u.name, array_agg(DISTINCT p.name) FROM unnest($1::text[]) u(name)
        CROSS JOIN unnest($2::text[]) p(name) JOIN pg_namespace n ON n.nspname = p.name
        JOIN pg_proc f ON f.pronamespace = n.oid AND f.proname = u.name GROUP BY u.name";
    let failed = |error| sql_error(error, None);
    let bare = names.reads.iter().filter(|(schema, _)| schema.is_none());
    let relations: BTreeSet<String> = bare.map(|(_, name)| name.clone()).collect();
    let relations: Vec<String> = relations.into_iter().collect();
    let relations = sqlx::query_as(RELATIONS).bind(relations).bind(schemas).persistent(false);
    let relations = relations.fetch_all(&mut *connection).await.map_err(failed)?;
    let functions: BTreeSet<String> = names.calls.iter().map(|(_, name)| name.clone()).collect();
    let functions: Vec<String> = functions.into_iter().collect();
    let functions = sqlx::query_as(FUNCTIONS).bind(functions).bind(schemas).persistent(false);
    let functions = functions.fetch_all(connection).await.map_err(failed)?;
    Ok(Found { relations, functions })
}

/// True if the statement may need a harmless operator or function of the schemas `left_out`. Without the operator `=` of
/// `citext`, for example, a comparison would heed case. This query is for statements whose look-up did not see every object
/// of these schemas, so only the names in the statement decide.
///
/// The statement may need the schemas in these cases:
/// - It can have values of a type of an extension or of a user. A user's enums, and domains over built-in types, do not count.
/// - One of the schemas has an operator of these names whose function the configuration lists.
/// - One of the schemas has an extension's operator of these names between built-in types.
/// - One of the schemas has a function with the name of a built-in, and it belongs to an extension or is listed.
pub(super) async fn needs_schemas(
    connection: &mut PgConnection,
    names: &Names,
    vouched: &Vouched,
    schemas: &[String],
    left_out: &[String],
) -> Result<bool, DatabaseError> {
    const NEEDS: &str = "WITH
        path AS (SELECT n.oid, p.place, p.name = ANY ($2) AS is_left FROM unnest($1::text[]) WITH ORDINALITY p(name, place)
          JOIN pg_namespace n ON n.nspname = p.name),
        members AS (SELECT d.classid, d.objid FROM pg_depend d WHERE d.deptype = 'e' AND d.objid >= 16384
          AND d.classid IN ('pg_operator'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass)),
        listed AS (SELECT p.oid FROM unnest($9::text[]) l(entry) JOIN pg_proc p ON p.oid >= 16384
          JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname || '.' || p.proname = split_part(l.entry, '(', 1)),
        -- A bare name means the first relation of that name in the path.
        relations AS (SELECT c.oid FROM unnest($3::text[], $4::text[]) u(s, n) JOIN pg_namespace p ON p.nspname = u.s
            JOIN pg_class c ON c.relnamespace = p.oid AND c.relname = u.n
          UNION SELECT (SELECT c.oid FROM path p JOIN pg_class c ON c.relnamespace = p.oid AND c.relname = u.n
            ORDER BY p.place LIMIT 1) FROM unnest($3::text[], $4::text[]) u(s, n) WHERE u.s IS NULL),
        -- In any schema: a function outside of the path can return a value of such a type.
        functions AS (SELECT p.oid, p.proname, p.pronamespace, p.prorettype, p.proallargtypes FROM pg_proc p
          WHERE p.proname = ANY ($8) AND p.oid >= 16384 AND (p.oid IN (SELECT oid FROM listed)
            OR EXISTS (SELECT 1 FROM members m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid))),
        types AS (SELECT a.atttypid AS oid FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
          UNION SELECT t.oid FROM unnest($5::text[], $6::text[]) u(s, n) JOIN pg_namespace p ON p.nspname = u.s
            JOIN pg_type t ON t.typnamespace = p.oid AND t.typname = u.n
          UNION SELECT unnest(f.prorettype || coalesce(f.proallargtypes, '{}')) FROM functions f)
      SELECT EXISTS (SELECT 1 FROM types x JOIN pg_type t ON t.oid = x.oid
          LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
          WHERE x.oid >= 16384 AND coalesce(e.oid, t.oid) >= 16384 AND (coalesce(e.typtype, t.typtype) NOT IN ('d', 'e')
            OR coalesce(e.typtype, t.typtype) = 'd' AND coalesce(e.typbasetype, t.typbasetype) >= 16384
            OR EXISTS (SELECT 1 FROM members m WHERE m.classid = 'pg_type'::regclass AND m.objid = coalesce(e.oid, t.oid))))
        OR EXISTS (SELECT 1 FROM pg_operator o WHERE o.oprname = ANY ($7)
          AND o.oprnamespace IN (SELECT oid FROM path WHERE is_left) AND (o.oprcode IN (SELECT oid FROM listed)
            OR o.oprleft < 16384 AND o.oprright < 16384 AND EXISTS (SELECT 1 FROM members m
              WHERE m.classid = 'pg_operator'::regclass AND m.objid = o.oid)))
        OR EXISTS (SELECT 1 FROM functions f JOIN pg_proc b ON b.proname = f.proname AND b.oid < 16384
          WHERE f.pronamespace IN (SELECT oid FROM path WHERE is_left))";
    let (relation_schemas, relations): (Vec<Option<String>>, Vec<String>) = names.reads.iter().cloned().unzip();
    let (type_schemas, types): (Vec<String>, Vec<String>) = names.qualified_types.iter().cloned().unzip();
    let mut operators = names.operators.clone();
    operators.extend(OPERATORS_OF_KEYWORDS.map(str::to_owned));
    let functions = names.functions.iter().chain(names.unknown.iter().map(|(_, name)| name)).chain(&names.fields);
    let query = sqlx::query_scalar(NEEDS)
        .bind(schemas)
        .bind(left_out)
        .bind(relation_schemas)
        .bind(relations)
        .bind(type_schemas)
        .bind(types)
        .bind(operators)
        .bind(functions.cloned().collect::<Vec<String>>())
        .bind(&vouched.functions);
    query.persistent(false).fetch_one(connection).await.map_err(|error| sql_error(error, None))
}

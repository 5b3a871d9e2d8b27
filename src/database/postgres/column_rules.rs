//! Finds the tables of a statement that column rules affect, according to the catalog: by name, by inheritance and
//! partitions in both directions, and through views and materialized views of any depth.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row;
use sqlx::postgres::PgConnection;
use sqlx::postgres::types::Oid;

use super::{lossy, sql_error};
use crate::database::DatabaseError;
use crate::guard::columns::{ColumnRules, RuleKind, RuledTable};
use crate::guard::{Names, Rejection, extensions};

/// $1 and $2 schemas and names of relations; $3 the schemas of the caller's path in order; $4 names that may be types.
///
/// One row for each pair of a named relation and a relation that it reaches (itself included). Of the named relation:
/// schema, name, columns in order, generated columns. Of the reached relation: schema, name, whether it is reached
/// through views only, columns that may come through, all columns, generated columns. Last the built-ins that the views
/// and policies call, `tableoid` if they read it, and `regclass` if they show an oid as a name.
///
/// A view that takes a whole row lets every column through. In the tree of a rule a whole row is a variable whose
/// column number is 0. The array type of a table's rows names the table too.
const REACHED: &str = r#"
WITH RECURSIVE
  named AS (
    SELECT c.oid FROM unnest($1::text[], $2::text[]) u(s, n)
      JOIN pg_namespace p ON p.nspname = u.s OR u.s = 'pg_temp' AND p.oid = pg_my_temp_schema()
      JOIN pg_class c ON c.relnamespace = p.oid AND c.relname = u.n
    UNION
    SELECT (SELECT c.oid FROM unnest($3::text[]) WITH ORDINALITY x(name, place) JOIN pg_namespace p ON p.nspname = x.name
        JOIN pg_class c ON c.relnamespace = p.oid AND c.relname = u.n ORDER BY x.place LIMIT 1)
      FROM unnest($1::text[], $2::text[]) u(s, n) WHERE u.s IS NULL
    UNION
    SELECT e.typrelid FROM pg_type t JOIN pg_type e ON e.oid = t.typelem JOIN pg_namespace p ON p.oid = t.typnamespace
      WHERE t.typname = ANY ($4::text[]) AND t.typcategory = 'A' AND e.typrelid <> 0
        AND (p.nspname = ANY ($3::text[]) OR p.nspname = ANY ($1::text[]))),
  reach AS (SELECT oid AS root, oid, false AS viewed FROM named WHERE oid IS NOT NULL
    UNION
    SELECT r.root, x.oid, r.viewed OR x.viewed FROM reach r, LATERAL (
      SELECT m[1]::oid AS oid, true AS viewed FROM pg_class c JOIN pg_rewrite w ON w.ev_class = c.oid,
        LATERAL regexp_matches(w.ev_action::text, ':relid (\d+)', 'g') m
        WHERE c.oid = r.oid AND c.relkind IN ('v', 'm') AND c.relnamespace NOT IN
          ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      UNION ALL SELECT m[1]::oid, true FROM pg_policy y, LATERAL regexp_matches(y.polqual::text, ':relid (\d+)', 'g') m
        WHERE y.polrelid = r.oid
      -- A sequence tells the last value of the column that it belongs to.
      UNION ALL SELECT d.refobjid, true FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
      UNION ALL SELECT i.inhparent, false FROM pg_inherits i WHERE i.inhrelid = r.oid
      UNION ALL SELECT i.inhrelid, false FROM pg_inherits i WHERE i.inhparent = r.oid) x),
  -- What reads on behalf of a relation: the rules of views, and policies of row-level security.
  views AS (SELECT r.root, 'pg_rewrite'::regclass AS class, w.oid AS rule, w.ev_action::text ~ ':varattno 0 ' AS whole,
        w.ev_action::text AS tree
      FROM reach r JOIN pg_class c ON c.oid = r.oid AND c.relkind IN ('v', 'm') JOIN pg_rewrite w ON w.ev_class = c.oid
    UNION ALL SELECT r.root, 'pg_policy'::regclass, y.oid, y.polqual::text ~ ':varattno 0 ', y.polqual::text
      FROM reach r JOIN pg_policy y ON y.polrelid = r.oid AND y.polqual::text ~ ':relid ')
SELECT rn.nspname::text, rc.relname::text,
    (SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}') FROM pg_attribute a
      WHERE a.attrelid = rc.oid AND a.attnum > 0 AND NOT a.attisdropped),
    (SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}') FROM pg_attribute a
      WHERE a.attrelid = rc.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> ''),
    n.nspname::text, c.relname::text, bool_or(r.viewed) AND NOT bool_or(NOT r.viewed),
    (SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}') FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND (bool_or(NOT r.viewed) OR EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
          AND d.objid = rc.oid AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i'))
        OR EXISTS (SELECT 1 FROM views v WHERE v.root = rc.oid AND (v.whole OR EXISTS (
          SELECT 1 FROM pg_depend d JOIN pg_attribute da ON da.attrelid = d.refobjid AND da.attnum = d.refobjsubid
          WHERE d.classid = v.class AND d.objid = v.rule AND d.refclassid = 'pg_class'::regclass
            AND da.attname = a.attname AND (d.refobjid = c.oid
              OR EXISTS (SELECT 1 FROM pg_inherits i WHERE d.refobjid IN (i.inhrelid, i.inhparent)))))))),
    (SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}') FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    (SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}') FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> ''),
    -- Built-ins that the rules of views and policies call, the number of a row's table, and types that spell a number as a
    -- name: those of regproc to regcollation.
    (SELECT coalesce(array_agg(DISTINCT x.name), '{}') FROM views v, LATERAL (
      SELECT p.proname::text AS name FROM regexp_matches(v.tree, ':(?:funcid|opfuncid) (\d+)', 'g') m
        JOIN pg_proc p ON p.oid = m[1]::oid AND p.pronamespace = 'pg_catalog'::regnamespace
      UNION ALL SELECT 'tableoid' WHERE v.tree ~ ':varattno -6 '
      UNION ALL SELECT 'regclass'
        WHERE v.tree ~ ':(?:consttype|resulttype|funcresulttype) (?:24|220[2-6]|3734|3769|4089|4096|4191)[^0-9]') x
      WHERE v.root = rc.oid)
  FROM reach r JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class rc ON rc.oid = r.root JOIN pg_namespace rn ON rn.oid = rc.relnamespace
  GROUP BY rc.oid, rn.nspname, rc.relname, c.oid, n.nspname, c.relname
"#;

/// Returns the tables of a statement that a rule affects.
///
/// # Errors
///
/// [`DatabaseError::Ruled`] for a relation of the catalog, and for a name that tells of the catalog. Otherwise the
/// errors of the query.
pub(super) async fn tables(
    connection: &mut PgConnection,
    names: &Names,
    path: &[String],
    rules: &ColumnRules,
) -> Result<Vec<RuledTable>, DatabaseError> {
    let (schemas, relations): (Vec<Option<String>>, Vec<String>) = names.reads.iter().cloned().unzip();
    let rows = sqlx::query(REACHED)
        .bind(schemas)
        .bind(relations)
        .bind(path)
        .bind(&names.types)
        .persistent(false)
        .fetch_all(connection)
        .await
        .map_err(|error| sql_error(error, None))?;
    if let Some(name) = telling(names) {
        return Err(DatabaseError::Ruled(Rejection::Relation {
            name: name.to_owned(),
            reason: "this source has rules for columns, and it tells of tables, columns or values by their number or name",
        }));
    }
    let mut generated: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let mut found: BTreeMap<(String, String), RuledTable> = BTreeMap::new();
    for row in rows {
        let text = |at: usize| lossy::text(&row, at).map_err(DatabaseError::Connection);
        let list = |at: usize| lossy::texts(&row, at).map_err(DatabaseError::Connection);
        let (schema, table) = (text(0)?, text(1)?);
        let is_catalog = |schema: &str| matches!(schema, "pg_catalog" | "information_schema");
        let inside = list(10)?;
        let tells = inside.iter().any(|name| tells_of_catalog(name) || TELLING_WORDS.contains(&name.as_str()));
        if tells || is_catalog(&schema) || is_catalog(&text(4)?) {
            return Err(DatabaseError::Ruled(Rejection::Relation {
                name: format!("{schema}.{table}"),
                reason: "this source has rules for columns, and the catalog tells names and values of columns",
            }));
        }
        let ruled = found.entry((schema.clone(), table.clone())).or_insert_with(|| RuledTable {
            schema,
            table,
            ..RuledTable::default()
        });
        ruled.columns = list(2)?;
        generated.insert((ruled.schema.clone(), ruled.table.clone()), list(3)?);
        let (schema, table) = (text(4)?, text(5)?);
        let viewed: bool = row.try_get(6).map_err(DatabaseError::Connection)?;
        ruled.whole |= rules.denies_table(&schema, &table);
        // A value that is computed from a ruled column may reveal it, through a view too.
        let has_rule = list(8)?.iter().any(|column| rules.of_column(&schema, &table, column).is_some());
        let computed = if has_rule { list(9)? } else { Vec::new() };
        for column in list(7)? {
            let kind = rules.of_column(&schema, &table, &column);
            match kind.or(computed.contains(&column).then_some(RuleKind::Deny)) {
                Some(_) if viewed => ruled.whole = true,
                Some(RuleKind::Deny) => {
                    ruled.denied.insert(column);
                }
                Some(RuleKind::Mask) => {
                    ruled.masked.insert(column);
                }
                None => {}
            }
        }
    }
    for (name, ruled) in &mut found {
        if !ruled.denied.is_empty() || !ruled.masked.is_empty() {
            // A value that is computed from a ruled column may reveal it.
            ruled.denied.extend(generated.remove(name).unwrap_or_default());
        }
    }
    Ok(found
        .into_values()
        .filter(|table| table.whole || !table.denied.is_empty() || !table.masked.is_empty())
        .collect())
}

/// $1 tables, $2 numbers of columns. Columns: place, schema, table, column.
const ORIGINS: &str = "SELECT u.place - 1, n.nspname::text, c.relname::text, a.attname::text
    FROM unnest($1::oid[], $2::int2[]) WITH ORDINALITY u(oid, number, place)
    JOIN pg_attribute a ON a.attrelid = u.oid AND a.attnum = u.number JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY u.place";

/// Compares the columns that the server says a result has with the positions that will be masked. The guard computes the
/// positions from the text; this finds a mistake in them.
///
/// For each column of the result, `origins` has the table and the column's number there. `None` for a computed value.
///
/// # Errors
///
/// [`DatabaseError::Ruled`] for a ruled column at a position that is not masked. Otherwise the errors of the query.
pub(super) async fn compare(
    connection: &mut PgConnection,
    origins: &[Option<(u32, i16)>],
    masked: &BTreeSet<usize>,
    rules: &ColumnRules,
) -> Result<(), DatabaseError> {
    let (tables, numbers): (Vec<Oid>, Vec<i16>) =
        origins.iter().map(|origin| origin.unwrap_or_default()).map(|(table, number)| (Oid(table), number)).unzip();
    let query = sqlx::query(ORIGINS).bind(tables).bind(numbers).persistent(false);
    for row in query.fetch_all(connection).await.map_err(|error| sql_error(error, None))? {
        let place: i64 = row.try_get(0).map_err(DatabaseError::Connection)?;
        let text = |at: usize| lossy::text(&row, at).map_err(DatabaseError::Connection);
        let (schema, table, column) = (text(1)?, text(2)?, text(3)?);
        let is_masked = usize::try_from(place).is_ok_and(|place| masked.contains(&place));
        if let Some(kind) = rules.of_column(&schema, &table, &column).filter(|_| !is_masked) {
            return Err(DatabaseError::Ruled(Rejection::Column {
                column: format!("{schema}.{table}.{column}"),
                is_denied: kind == RuleKind::Deny,
                allowed: Vec::new(),
            }));
        }
    }
    Ok(())
}

/// Returns the first name of a statement that tells of the catalog without reading it. With rules set such names are
/// refused, because what they tell cannot be judged.
///
/// They are: functions that take a name or an oid, relations of extensions, types that show an oid as a name, and
/// `tableoid`, which shows the partition of a row and so its key.
fn telling(names: &Names) -> Option<&str> {
    let functions = names.functions.iter().chain(names.unknown.iter().map(|(_, name)| name));
    let functions = functions.filter(|name| tells_of_catalog(name) || extensions::tells_of_columns(name));
    let relations = names.reads.iter().map(|(_, name)| name).filter(|name| extensions::tells_of_columns(name));
    // The second reader of a text lists every name among the types.
    let words = names.types.iter().filter(|name| TELLING_WORDS.contains(&name.as_str()));
    functions.chain(relations).chain(words).map(String::as_str).next()
}

const TELLING_WORDS: [&str; 7] =
    ["regclass", "regtype", "regnamespace", "regcollation", "regconfig", "regdictionary", "tableoid"];

/// True if a function takes a name or an oid and shows what exists in the catalog.
fn tells_of_catalog(name: &str) -> bool {
    let prefixes =
        ["pg_get_", "pg_describe_", "pg_identify_", "pg_column_is", "pg_relation_", "pg_index", "to_reg", "has_"];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
        || name.ends_with("_size")
        || name.ends_with("_description")
        || name.ends_with("_is_visible")
        || name.starts_with("pg_partition_")
        || ["format_type", "oidvectortypes", "row_security_active"].contains(&name)
}

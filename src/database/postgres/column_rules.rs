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

/// Its comment describes parameters and rows.
const REACHED: &str = include_str!("column_rules.sql");

/// A table with its columns.
struct Table {
    schema: String,
    name: String,
    columns: Vec<String>,
    generated: Vec<String>,
}

impl Table {
    fn is_of_catalog(&self) -> bool {
        matches!(self.schema.as_str(), "pg_catalog" | "information_schema")
    }
}

/// What the named tables of one inheritance tree reach.
struct Reach {
    /// Tables that are reached by name and inheritance.
    direct: Vec<u32>,
    /// Tables that are reached through views, policies or sequences alone.
    viewed: Vec<u32>,
    /// Columns that come through those, with their table. Table 0 stands for every table.
    through: BTreeSet<(u32, String)>,
    /// True if a view takes whole rows, so that every column comes through.
    whole: bool,
    /// Built-ins that the views and policies call.
    inside: Vec<String>,
}

impl Reach {
    /// Applies the rules to everything that is reached.
    fn judge(&self, tables: &BTreeMap<u32, Table>, rules: &ColumnRules) -> RuledTable {
        let mut ruled = RuledTable::default();
        let reached = self.direct.iter().map(|oid| (oid, false)).chain(self.viewed.iter().map(|oid| (oid, true)));
        for (oid, is_viewed) in reached {
            let Some(table) = tables.get(oid) else { continue };
            let rule = |column: &String| rules.of_column(&table.schema, &table.name, column);
            ruled.whole |= rules.denies_table(&table.schema, &table.name);
            // A value that is computed from a ruled column may reveal it, through a view too.
            let has_rule = table.columns.iter().any(|column| rule(column).is_some());
            for column in &table.columns {
                let is_computed = has_rule && table.generated.contains(column);
                let Some(kind) = rule(column).or(is_computed.then_some(RuleKind::Deny)) else { continue };
                match kind {
                    _ if is_viewed => ruled.whole |= self.lets_through(*oid, column),
                    RuleKind::Deny => _ = ruled.denied.insert(column.clone()),
                    RuleKind::Mask => _ = ruled.masked.insert(column.clone()),
                }
            }
        }
        ruled
    }

    fn lets_through(&self, table: u32, column: &str) -> bool {
        let comes_from = |table| self.through.contains(&(table, column.to_owned()));
        self.whole || comes_from(table) || comes_from(0)
    }
}

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
    let (type_schemas, qualified): (Vec<String>, Vec<String>) = names.qualified_types.iter().cloned().unzip();
    let types: Vec<String> = names.types.iter().chain(&qualified).cloned().collect();
    // Where the parser did not read the statement, each of its words may be a type.
    let cast_types = if names.uses.is_some() { &names.cast_types } else { &names.types };
    let cast_types: Vec<String> = cast_types.iter().chain(&qualified).cloned().collect();
    let rows = sqlx::query(REACHED)
        .bind(schemas)
        .bind(relations)
        .bind(path)
        .bind(types)
        .bind(type_schemas)
        .bind(cast_types)
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
    // With each table, whether it is a partition.
    let mut members: Vec<(u32, Table, bool)> = Vec::new();
    let mut keys: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let mut keyed_by_expression: BTreeSet<u32> = BTreeSet::new();
    let mut tables: BTreeMap<u32, Table> = BTreeMap::new();
    let mut reaches: BTreeMap<u32, Reach> = BTreeMap::new();
    for row in &rows {
        let text = |name| lossy::text(row, name).map_err(DatabaseError::Connection);
        let texts = |name| lossy::texts(row, name).map_err(DatabaseError::Connection);
        let oids = |name| -> Result<Vec<u32>, DatabaseError> {
            let oids: Vec<Oid> = row.try_get(name).map_err(DatabaseError::Connection)?;
            Ok(oids.into_iter().map(|oid| oid.0).collect())
        };
        let Oid(id) = row.try_get("id").map_err(DatabaseError::Connection)?;
        let (kind, list, more) = (text("kind")?, texts("texts")?, texts("more")?);
        let whole: bool = row.try_get("whole").map_err(DatabaseError::Connection)?;
        if kind == "key" {
            keys.entry(id).or_default().extend(list);
            keyed_by_expression.extend(whole.then_some(id));
            continue;
        }
        if kind == "root" {
            let (direct, viewed) = (oids("ids")?, oids("viewed")?);
            let through = oids("tables")?.into_iter().zip(more).collect();
            reaches.insert(id, Reach { direct, viewed, through, whole, inside: list });
            continue;
        }
        let table = Table { schema: text("schema")?, name: text("name")?, columns: list, generated: more };
        if kind == "member" {
            members.push((id, table, whole));
        } else {
            tables.insert(id, table);
        }
    }
    let judged: BTreeMap<u32, RuledTable> =
        reaches.iter().map(|(root, reach)| (*root, reach.judge(&tables, rules))).collect();
    let mut found = Vec::new();
    for (root, table, is_partition) in members {
        let (Some(reach), Some(ruled)) = (reaches.get(&root), judged.get(&root)) else { continue };
        let tells = reach.inside.iter().any(|name| tells_of_catalog(name) || tells_of_type(name));
        let mut reached = reach.direct.iter().chain(&reach.viewed).filter_map(|oid| tables.get(oid));
        if tells || table.is_of_catalog() || reached.any(Table::is_of_catalog) {
            return Err(DatabaseError::Ruled(Rejection::Relation {
                name: format!("{}.{}", table.schema, table.name),
                reason: "this source has rules for columns, and the catalog tells names and values of columns",
            }));
        }
        if !ruled.whole && ruled.denied.is_empty() && ruled.masked.is_empty() {
            continue;
        }
        // That a row stands in a partition tells the values of the partition's key.
        let is_ruled = |column: &String| ruled.denied.contains(column) || ruled.masked.contains(column);
        let shows_key = is_partition
            && (keyed_by_expression.contains(&root) || keys.get(&root).into_iter().flatten().any(is_ruled));
        let whole = ruled.whole || shows_key;
        let mut ruled =
            RuledTable { schema: table.schema, table: table.name, columns: table.columns, whole, ..ruled.clone() };
        if !ruled.denied.is_empty() || !ruled.masked.is_empty() {
            // A value that is computed from a ruled column may reveal it.
            ruled.denied.extend(table.generated);
        }
        found.push(ruled);
    }
    // The catalog returns the tables in any order. A refusal names the first one.
    found.sort_by(|one, other| (&one.schema, &one.table).cmp(&(&other.schema, &other.table)));
    Ok(found)
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
/// `tableoid` and `ctid`, which show the partition of a row and so its key.
fn telling(names: &Names) -> Option<&str> {
    let functions = names.functions.iter().chain(names.unknown.iter().map(|(_, name)| name));
    let functions = functions.filter(|name| tells_of_catalog(name) || extensions::tells_of_columns(name));
    let relations = names.reads.iter().map(|(_, name)| name).filter(|name| extensions::tells_of_columns(name));
    // The second reader of a text lists every name among the types.
    let words = names.types.iter().filter(|name| tells_of_type(name));
    let columns = names.uses.iter().flat_map(|uses| {
        uses.uses.iter().chain(uses.plain.iter().map(|item| &item.name)).map(|name| &name.column).chain(&uses.unread)
    });
    let columns = columns.filter(|name| *name == "ctid");
    functions.chain(relations).chain(words).chain(columns).map(String::as_str).next()
}

const TELLING_WORDS: [&str; 8] =
    ["regclass", "regtype", "regnamespace", "regcollation", "regconfig", "regdictionary", "tableoid", "ctid"];

/// True for [`TELLING_WORDS`] and their array types, whose names begin with `_`.
fn tells_of_type(name: &str) -> bool {
    TELLING_WORDS.contains(&name.strip_prefix('_').unwrap_or(name))
}

/// True if a function takes a name or an oid and shows what exists in the catalog.
fn tells_of_catalog(name: &str) -> bool {
    let prefixes =
        ["pg_get_", "pg_describe_", "pg_identify_", "pg_column_is", "pg_relation_", "pg_index", "to_reg", "has_"];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
        || name.ends_with("_size")
        || name.ends_with("_description")
        || name.ends_with("_is_visible")
        // The values of an enum, which a ruled column may have.
        || matches!(name, "enum_first" | "enum_last" | "enum_range")
        || name.starts_with("pg_partition_")
        || ["format_type", "oidvectortypes", "row_security_active"].contains(&name)
}

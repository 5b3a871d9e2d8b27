//! What SQLite says about its tables, read with literal SQL and bound names.

use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::sql_error;
use crate::database::catalog::{Column, ForeignKey, Reference, Snapshot, TableDescription, TableKind, TableSummary};
use crate::database::{DatabaseError, ListRequest, ListedTable, TablePage};
use crate::error::nearest;

/// Tables and views in name order, without SQLite's own and without the shadow tables of virtual ones.
const NAMES: &str = "SELECT name, type FROM pragma_table_list
    WHERE schema = 'main' AND type IN ('table', 'view', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY name COLLATE BINARY";

const COLUMNS: &str = "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1)
    WHERE hidden <> 1 ORDER BY cid";

const FOREIGN_KEYS: &str = "SELECT id, \"table\", \"from\", \"to\" FROM pragma_foreign_key_list(?1) ORDER BY id, seq";

const UNIQUE: &str = "SELECT l.name AS index_name, i.name AS column_name
    FROM pragma_index_list(?1) AS l, pragma_index_info(l.name) AS i
    WHERE l.\"unique\" AND l.origin = 'u' AND NOT l.partial ORDER BY l.seq DESC, i.seqno";

const REFERENCED_BY: &str = "SELECT m.name AS \"table\", f.id, f.\"from\", f.\"to\"
    FROM sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f
    WHERE m.type = 'table' AND f.\"table\" = ?1 COLLATE NOCASE ORDER BY m.name, f.id, f.seq";

/// Rows of a table as `ANALYZE` has counted them.
const ESTIMATES: &str = "SELECT tbl, max(CAST(stat AS INTEGER)) FROM sqlite_stat1 GROUP BY tbl";

pub(super) async fn list(connection: &mut SqliteConnection, request: &ListRequest) -> Result<TablePage, sqlx::Error> {
    let estimates = estimates(connection).await;
    let mut matching = Vec::new();
    if request.schema.as_deref().is_none_or(|schema| schema == "main") {
        for (name, kind) in names(connection).await? {
            let mut matched = Vec::new();
            if let Some(word) = request.search.as_deref().map(str::to_lowercase) {
                if name.to_lowercase().contains(&word) {
                    matched.push(format!("table {name}"));
                }
                for column in columns(connection, &name, "").await? {
                    if column.name.to_lowercase().contains(&word) {
                        matched.push(format!("column {}", column.name));
                    }
                }
                if matched.is_empty() {
                    continue;
                }
            }
            let rows = estimates.iter().find(|(table, _)| *table == name).map(|(_, rows)| *rows);
            matching.push(TableSummary { name, kind, rows, comment: None, partitions: None, foreign: false, matched });
        }
    }
    let total = matching.len() as u64;
    let mut tables: Vec<ListedTable> = matching
        .into_iter()
        .filter(|table| request.after.as_ref().is_none_or(|after| table.name > *after))
        .map(|summary| ListedTable { cursor: summary.name.clone(), summary })
        .collect();
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let more = tables.len() > limit;
    tables.truncate(limit);
    Ok(TablePage { tables, total, more })
}

pub(super) async fn describe(
    connection: &mut SqliteConnection,
    wanted: &str,
    source_name: &str,
) -> Result<TableDescription, DatabaseError> {
    let names = names(connection).await.map_err(sql_error)?;
    let bare = unquote(wanted);
    let found = names
        .iter()
        .find(|(name, _)| *name == bare)
        .or_else(|| names.iter().find(|(name, _)| name.eq_ignore_ascii_case(&bare)));
    let Some((name, kind)) = found else {
        let near = nearest(&bare, names.iter().map(|(name, _)| name.as_str()), 3);
        return Err(DatabaseError::UnknownTable {
            name: bare.clone(),
            source_name: source_name.to_owned(),
            nearest: near.into_iter().map(str::to_owned).collect(),
        });
    };
    table(connection, name, *kind, true).await.map_err(sql_error)
}

/// `main.name`, `"name"`, `[name]` and `` `name` `` all mean `name`.
fn unquote(wanted: &str) -> String {
    let bare = wanted.trim();
    let bare = bare.strip_prefix("main.").unwrap_or(bare);
    for (open, close) in [('"', '"'), ('`', '`'), ('[', ']')] {
        if let Some(inner) = bare.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)) {
            return inner.replace("\"\"", "\"");
        }
    }
    bare.to_owned()
}

pub(super) async fn snapshot(connection: &mut SqliteConnection, sampled: usize) -> Result<Snapshot, sqlx::Error> {
    let mut snapshot = Snapshot::default();
    for (name, kind) in names(connection).await? {
        let mut table = table(connection, &name, kind, false).await?;
        if kind == TableKind::Table {
            for column in &mut table.columns {
                if column.values.is_empty() && is_text(&column.type_name) {
                    column.values = sample(connection, &name, &column.name, sampled).await?;
                }
            }
        }
        snapshot.tables.push(table);
    }
    Ok(snapshot)
}

/// Rows looked at for the values of a text column.
const SAMPLED_ROWS: i64 = 20_000;

/// The distinct values of a text column when it has at most `most`, in order; none otherwise.
async fn sample(
    connection: &mut SqliteConnection,
    table: &str,
    column: &str,
    most: usize,
) -> Result<Vec<String>, sqlx::Error> {
    let (table, column) = (table.replace('"', "\"\""), column.replace('"', "\"\""));
    // Names from the catalog itself, quoted; a name cannot be bound.
    let text = format!(
        "SELECT DISTINCT v FROM (SELECT \"{column}\" AS v FROM \"{table}\" LIMIT {SAMPLED_ROWS})
         WHERE typeof(v) = 'text' AND length(v) BETWEEN 1 AND 60 ORDER BY v LIMIT {}",
        most + 1
    );
    let values: Vec<String> = sqlx::query_scalar(AssertSqlSafe(text)).persistent(false).fetch_all(connection).await?;
    Ok(if values.len() > most { Vec::new() } else { values })
}

fn is_text(declared: &str) -> bool {
    let declared = declared.to_ascii_uppercase();
    ["CHAR", "TEXT", "CLOB"].iter().any(|word| declared.contains(word))
}

async fn names(connection: &mut SqliteConnection) -> Result<Vec<(String, TableKind)>, sqlx::Error> {
    let rows = sqlx::query(NAMES).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let kind: String = row.try_get(1)?;
            Ok((row.try_get(0)?, if kind == "view" { TableKind::View } else { TableKind::Table }))
        })
        .collect()
}

async fn estimates(connection: &mut SqliteConnection) -> Vec<(String, i64)> {
    // The statistics table is there only after ANALYZE.
    let rows = sqlx::query(ESTIMATES).fetch_all(connection).await.unwrap_or_default();
    rows.iter().filter_map(|row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?))).collect()
}

async fn table(
    connection: &mut SqliteConnection,
    name: &str,
    kind: TableKind,
    whole: bool,
) -> Result<TableDescription, sqlx::Error> {
    let sql: Option<String> = sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE name = ?1")
        .bind(name.to_owned())
        .fetch_optional(&mut *connection)
        .await?
        .flatten();
    let sql = sql.unwrap_or_default();
    let keys = sqlx::query(COLUMNS).bind(name.to_owned()).fetch_all(&mut *connection).await?;
    let mut primary: Vec<(i64, String)> = keys
        .iter()
        .filter_map(|row| Some((row.try_get::<i64, _>("pk").ok()?, row.try_get("name").ok()?)))
        .filter(|(place, _)| *place > 0)
        .collect();
    primary.sort();
    let mut description = TableDescription {
        name: name.to_owned(),
        kin: vec![(String::new(), name.to_owned())],
        kind,
        comment: sql.lines().next().and_then(remark),
        rows: None,
        columns: columns(connection, name, &sql).await?,
        primary_key: primary.into_iter().map(|(_, column)| column).collect(),
        unique: Vec::new(),
        foreign_keys: Vec::new(),
        referenced_by: Vec::new(),
        indexes: Vec::new(),
        checks: Vec::new(),
        definition: None,
        partition_key: None,
        partitions: None,
        row_security: false,
    };
    if kind == TableKind::View {
        description.definition = whole.then(|| sql.clone());
        return Ok(description);
    }
    let mut last = None;
    for row in sqlx::query(FOREIGN_KEYS).bind(name.to_owned()).fetch_all(&mut *connection).await? {
        let (id, references, from): (i64, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        // A key without named columns points at the other table's primary key.
        let to: Option<String> = row.try_get(3)?;
        if last.replace(id) != Some(id) {
            description.foreign_keys.push(ForeignKey { columns: vec![], references, referenced_columns: vec![] });
        }
        if let Some(key) = description.foreign_keys.last_mut() {
            key.columns.push(from);
            key.referenced_columns.extend(to);
        }
    }
    if whole {
        description.rows = estimates(connection).await.into_iter().find(|(table, _)| table == name).map(|(_, n)| n);
        let mut last = None;
        for row in sqlx::query(UNIQUE).bind(name.to_owned()).fetch_all(&mut *connection).await? {
            let (index, column): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
            if last.replace(index.clone()) != Some(index) {
                description.unique.push(Vec::new());
            }
            if let Some(columns) = description.unique.last_mut() {
                columns.extend(column);
            }
        }
        let mut last = None;
        for row in sqlx::query(REFERENCED_BY).bind(name.to_owned()).fetch_all(&mut *connection).await? {
            let (table, id, from): (String, i64, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let to: Option<String> = row.try_get(3)?;
            if last.replace((table.clone(), id)) != Some((table.clone(), id)) {
                description.referenced_by.push(Reference { table, columns: vec![], referenced_columns: vec![] });
            }
            if let Some(reference) = description.referenced_by.last_mut() {
                reference.columns.push(from);
                reference.referenced_columns.extend(to);
            }
        }
        description.indexes = sqlx::query_scalar(
            "SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL ORDER BY name",
        )
        .bind(name.to_owned())
        .fetch_all(&mut *connection)
        .await?;
    }
    Ok(description)
}

/// The columns, with remarks and CHECK lists read from the table's own text when it is given.
pub(super) async fn columns(
    connection: &mut SqliteConnection,
    table: &str,
    sql: &str,
) -> Result<Vec<Column>, sqlx::Error> {
    let rows = sqlx::query(COLUMNS).bind(table.to_owned()).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let name: String = row.try_get("name")?;
            let line =
                sql.lines().skip(1).find(|line| first_word(line).eq_ignore_ascii_case(&name)).unwrap_or_default();
            let hidden: i64 = row.try_get("hidden")?;
            Ok(Column {
                type_name: row.try_get("type")?,
                nullable: !row.try_get::<bool, _>("notnull")? && row.try_get::<i64, _>("pk")? == 0,
                default: row.try_get("dflt_value")?,
                identity: None,
                generated: (hidden > 1).then(|| "generated".to_owned()),
                comment: remark(line),
                values: check_list(line, &name),
                check: None,
                masked: false,
                name,
            })
        })
        .collect()
}

fn first_word(line: &str) -> &str {
    line.trim_start().trim_start_matches(['"', '`', '[']).split(['"', '`', ']', ' ', '\t']).next().unwrap_or_default()
}

/// The text of a `--` remark at a line's end.
fn remark(line: &str) -> Option<String> {
    let (_, remark) = line.split_once("-- ")?;
    Some(remark.trim().to_owned()).filter(|remark| !remark.is_empty())
}

/// The strings of `CHECK (column IN ('a', 'b'))` on the column's own line.
fn check_list(line: &str, column: &str) -> Vec<String> {
    let Some((_, check)) = line.split_once("CHECK") else { return Vec::new() };
    let inner = check.trim_start().trim_start_matches('(').trim_start().trim_start_matches(['"', '`', '[']);
    let Some(rest) =
        inner.get(..column.len()).filter(|head| head.eq_ignore_ascii_case(column)).and(inner.get(column.len()..))
    else {
        return Vec::new();
    };
    let rest = rest.trim_start_matches(['"', '`', ']']).trim_start();
    let Some(list) = rest.strip_prefix("IN").or_else(|| rest.strip_prefix("in")) else { return Vec::new() };
    let Some((list, _)) = list.trim_start().trim_start_matches('(').split_once(')') else { return Vec::new() };
    list.split(',')
        .map(|value| value.trim().strip_prefix('\'').and_then(|value| value.strip_suffix('\'')))
        .map(|value| value.map(|value| value.replace("''", "'")))
        .collect::<Option<Vec<String>>>()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_lists_and_remarks_are_read_from_a_columns_line() {
        let line = "  status TEXT NOT NULL CHECK (status IN ('new', 'paid')), -- where it stands";
        assert_eq!(check_list(line, "status"), ["new", "paid"]);
        assert_eq!(remark(line).as_deref(), Some("where it stands"));
        assert!(check_list("  n INTEGER CHECK (n IN (0, 1))", "n").is_empty());
        assert!(check_list("  n INTEGER CHECK (n > 0)", "n").is_empty());
        assert_eq!(unquote("main.\"a\"\"b\""), "a\"b");
    }
}

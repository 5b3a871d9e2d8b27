//! What SQLite says about its tables, read with literal SQL and bound names.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::created::Created;
use super::sql_error;
use crate::database::catalog::{Column, ForeignKey, Reference, Snapshot, TableDescription, TableKind, TableSummary};
use crate::database::value::cut;
use crate::database::{DatabaseError, ListRequest, ListedTable, TablePage};
use crate::error::nearest;

/// Tables and views in name order, without SQLite's own and without the shadow tables of virtual ones.
const NAMES: &str = "SELECT l.name, l.type, (SELECT s.sql FROM sqlite_schema AS s
      WHERE s.name = l.name AND s.type IN ('table', 'view'))
    FROM pragma_table_list AS l
    WHERE l.schema = 'main' AND l.type IN ('table', 'view', 'virtual') AND l.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

/// Hits of a search that a table shows.
const MATCHES: usize = 20;

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
        for Named { name, kind, created, .. } in names(connection).await? {
            let mut matched = Vec::new();
            if let Some(word) = request.search.as_deref().map(str::to_lowercase) {
                let has = |text: &str| text.to_lowercase().contains(&word);
                if has(&name) {
                    matched.push(format!("table {name}"));
                }
                if !request.names_only && created.comment.as_deref().is_some_and(has) {
                    matched.push("comment".to_owned());
                }
                let columns = if request.names_only {
                    Vec::new()
                } else {
                    readable(columns(connection, &name, &created).await, &mut None)?
                };
                for column in columns {
                    if has(&column.name) || column.comment.as_deref().is_some_and(has) {
                        matched.push(format!("column {}", column.name));
                    }
                }
                if matched.is_empty() {
                    continue;
                }
                matched.truncate(MATCHES);
            }
            let rows = estimates.iter().find(|(table, _)| *table == name).map(|(_, rows)| *rows);
            let comment = created.comment;
            matching.push(TableSummary { name, kind, rows, comment, partitions: None, foreign: false, matched });
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
        .find(|table| table.name == bare)
        .or_else(|| names.iter().find(|table| table.name.eq_ignore_ascii_case(&bare)));
    let Some(found) = found else {
        let near = nearest(&bare, names.iter().map(|table| table.name.as_str()), 3);
        return Err(DatabaseError::UnknownTable {
            name: bare.clone(),
            source_name: source_name.to_owned(),
            nearest: near.into_iter().map(str::to_owned).collect(),
        });
    };
    table(connection, found, true).await.map_err(sql_error)
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
    for named in names(connection).await? {
        let mut table = table(connection, &named, false).await?;
        if named.kind == TableKind::Table {
            for column in &mut table.columns {
                if column.values.is_empty() && is_text(&column.type_name) {
                    let values = sample(connection, &named.name, &column.name, sampled).await;
                    column.values = readable(values, &mut None)?;
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

/// A table or view, with what its CREATE statement says.
struct Named {
    name: String,
    kind: TableKind,
    sql: String,
    created: Created,
}

/// In the order of the names' UTF-8, which is the cursor's too, whatever the encoding of the file.
async fn names(connection: &mut SqliteConnection) -> Result<Vec<Named>, sqlx::Error> {
    let rows = sqlx::query(NAMES).fetch_all(connection).await?;
    let mut names = Vec::with_capacity(rows.len());
    for row in &rows {
        let (name, sql) = (text(row, 0)?, text(row, 2)?);
        let kind = if text(row, 1)? == "view" { TableKind::View } else { TableKind::Table };
        names.push(Named { name, kind, created: Created::read(&sql), sql });
    }
    names.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(names)
}

/// A text of the catalog; what is not UTF-8 in it is replaced, NULL is empty.
fn text(row: &SqliteRow, index: usize) -> Result<String, sqlx::Error> {
    match row.try_get_unchecked::<Option<String>, _>(index) {
        Ok(text) => Ok(text.unwrap_or_default()),
        Err(_) => {
            let bytes: Option<Vec<u8>> = row.try_get_unchecked(index)?;
            Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
        }
    }
}

/// What SQLite says of a table that it cannot read itself (a view over a table that is gone, a module that is not
/// loaded): nothing, and why. A read that was stopped is an error all the same.
fn readable<T: Default>(read: Result<T, sqlx::Error>, problem: &mut Option<String>) -> Result<T, sqlx::Error> {
    const INTERRUPTED: &str = "9";
    match read {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() != Some(INTERRUPTED) => {
            *problem = Some(format!("it cannot be read: {}", cut(error.message(), 200)));
            Ok(T::default())
        }
        other => other,
    }
}

async fn primary_key(connection: &mut SqliteConnection, table: &str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")
        .bind(table.to_owned())
        .fetch_all(connection)
        .await
}

async fn estimates(connection: &mut SqliteConnection) -> Vec<(String, i64)> {
    // The statistics table is there only after ANALYZE.
    let rows = sqlx::query(ESTIMATES).fetch_all(connection).await.unwrap_or_default();
    rows.iter().filter_map(|row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?))).collect()
}

async fn table(connection: &mut SqliteConnection, named: &Named, whole: bool) -> Result<TableDescription, sqlx::Error> {
    let Named { name, kind, sql, created } = named;
    let mut problem = None;
    let keys = sqlx::query(COLUMNS).bind(name.to_owned()).fetch_all(&mut *connection).await;
    let keys = readable(keys, &mut problem)?;
    let mut primary: Vec<(i64, String)> = keys
        .iter()
        .filter_map(|row| Some((row.try_get::<i64, _>("pk").ok()?, row.try_get("name").ok()?)))
        .filter(|(place, _)| *place > 0)
        .collect();
    primary.sort();
    let mut description = TableDescription {
        kin: vec![(String::new(), name.to_owned())],
        comment: created.comment.clone(),
        columns: readable(columns(connection, name, created).await, &mut problem)?,
        primary_key: primary.into_iter().map(|(_, column)| column).collect(),
        checks: if whole { created.checks.clone() } else { Vec::new() },
        ..TableDescription::new(name.to_owned(), *kind)
    };
    if let Some(problem) = problem {
        description.comment = Some(match description.comment {
            Some(comment) => format!("{comment} ({problem})"),
            None => problem,
        });
        description.definition = whole.then(|| sql.clone());
        return Ok(description);
    }
    if *kind == TableKind::View {
        description.definition = whole.then(|| sql.clone());
        return Ok(description);
    }
    let mut last = None;
    for row in sqlx::query(FOREIGN_KEYS).bind(name.to_owned()).fetch_all(&mut *connection).await? {
        let (id, references, from): (i64, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let to: Option<String> = row.try_get(3)?;
        if last.replace(id) != Some(id) {
            description.foreign_keys.push(ForeignKey { columns: vec![], references, referenced_columns: vec![] });
        }
        if let Some(key) = description.foreign_keys.last_mut() {
            key.columns.push(from);
            key.referenced_columns.extend(to);
        }
    }
    for key in &mut description.foreign_keys {
        // A key without named columns points at the other table's primary key.
        if key.referenced_columns.is_empty() {
            key.referenced_columns = primary_key(connection, &key.references).await?;
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
        for reference in &mut description.referenced_by {
            if reference.referenced_columns.is_empty() {
                reference.referenced_columns.clone_from(&description.primary_key);
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

/// The columns, with what the table's own text says of them when it is given.
pub(super) async fn columns(
    connection: &mut SqliteConnection,
    table: &str,
    created: &Created,
) -> Result<Vec<Column>, sqlx::Error> {
    let rows = sqlx::query(COLUMNS).bind(table.to_owned()).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let name = text(row, 0)?;
            let created = created.column(&name);
            let is_generated = row.try_get::<i64, _>("hidden")? > 1;
            Ok(Column {
                nullable: !row.try_get::<bool, _>("notnull")? && row.try_get::<i64, _>("pk")? == 0,
                default: Some(text(row, 3)?).filter(|default| !default.is_empty()).map(Into::into),
                generated: is_generated.then(|| created.generated.unwrap_or_else(|| "generated".to_owned()).into()),
                comment: created.comment.map(Into::into),
                values: created.values,
                check: created.check.map(Into::into),
                ..Column::new(name, text(row, 1)?.into())
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_quoted_in_every_way() {
        assert_eq!(unquote("main.\"a\"\"b\""), "a\"b");
        assert_eq!(unquote("[a b]"), "a b");
    }
}

//! Reads SQLite's catalog with literal SQL. Names are bound, except in the query that samples a column's values.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::created::Created;
use super::handle::{Fault, Handle, Statement, Value};
use super::pipe::ReadError;
use crate::database::catalog::{Column, ForeignKey, Reference, TableDescription, TableKind, TableSummary};
use crate::database::value::cut;
use crate::database::{Hits, ListRequest, ListedTable, TablePage};
use crate::error::nearest;
use crate::quoting;

/// Tables and views, without SQLite's own tables and without the shadow tables of virtual tables. A table whose name
/// has more than 1,000 bytes is left out, because the name is in every list and several times in memory.
const NAMES: &str = "SELECT l.name, l.type, (SELECT CASE WHEN octet_length(s.sql) <= ?1 THEN s.sql END
      FROM sqlite_schema AS s WHERE s.name = l.name AND s.type IN ('table', 'view'))
    FROM pragma_table_list AS l WHERE l.schema = 'main' AND l.type IN ('table', 'view', 'virtual')
      AND octet_length(l.name) <= 1000 AND l.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

/// Maximum bytes of a CREATE statement. Comments and CHECKs are not read from a longer one.
const MAX_CREATED_BYTES: usize = 100_000;
/// Maximum bytes of the CREATE statements of all tables together. After these, comments and CHECKs are not read.
const MAX_ALL_CREATED_BYTES: usize = 16 << 20;

/// Maximum hits of a search that a table shows.
const MATCHES: usize = 20;

const COLUMNS: &str = "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1)
    WHERE hidden <> 1 ORDER BY cid";

const FOREIGN_KEYS: &str =
    "SELECT id, \"table\", \"from\", \"to\", on_delete FROM pragma_foreign_key_list(?1) ORDER BY id, seq";

const UNIQUE: &str = "SELECT l.name AS index_name, i.name AS column_name
    FROM pragma_index_list(?1) AS l, pragma_index_info(l.name) AS i
    WHERE l.\"unique\" AND l.origin = 'u' AND NOT l.partial ORDER BY l.seq DESC, i.seqno";

const REFERENCED_BY: &str = "SELECT m.name AS \"table\", f.id, f.\"from\", f.\"to\"
    FROM sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f
    WHERE m.type = 'table' AND f.\"table\" = ?1 COLLATE NOCASE ORDER BY m.name, f.id, f.seq";

const TRIGGERS: &str =
    "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE ORDER BY name";

const INDEXES: &str = "SELECT sql FROM sqlite_schema
    WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL ORDER BY name";

/// Number of rows of each table, as `ANALYZE` counted them.
const ESTIMATES: &str = "SELECT tbl, max(CAST(stat AS INTEGER)) FROM sqlite_stat1 GROUP BY tbl";

/// Returns the names that follow COLLATE in the schema's CREATE statements, in lower case, without SQLite's own
/// collations.
pub(super) fn collations(handle: &Handle) -> Result<BTreeSet<String>, Fault> {
    let mut found = BTreeSet::new();
    let mut texts = handle.prepare("SELECT sql FROM sqlite_schema WHERE sql LIKE '%collate%'")?;
    while texts.step()? {
        let text = texts.text(0).unwrap_or_default().to_lowercase();
        for rest in text.split("collate").skip(1) {
            let rest = rest.trim_start();
            let name = match rest.chars().next() {
                Some(open @ ('"' | '`' | '\'' | '[')) => {
                    let close = if open == '[' { ']' } else { open };
                    // A doubled quote stands for one.
                    let double = format!("{close}{close}");
                    let inner = rest.get(1..).unwrap_or_default().replace(&double, "\u{0}");
                    inner.split(close).next().unwrap_or_default().replace('\u{0}', &close.to_string())
                }
                _ => rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned(),
            };
            if !name.is_empty() && !["binary", "nocase", "rtrim"].contains(&name.as_str()) {
                found.insert(name);
            }
        }
    }
    Ok(found)
}

pub(super) fn list(handle: &Handle, request: &ListRequest) -> Result<TablePage, ReadError> {
    let estimates = estimates(handle);
    let mut matching = Vec::new();
    let words = request.words();
    for named in names(handle)? {
        let name = &named.name;
        let mut hits = Hits::default();
        if let Some(words) = &words {
            let created = if request.names_only { Created::default() } else { named.created() };
            hits.look(words, &[name], || format!("table {name}"));
            hits.look(words, &[created.comment.as_deref().unwrap_or_default()], || "comment".to_owned());
            let columns =
                if request.names_only { Vec::new() } else { readable(columns(handle, name, &created), &mut None)? };
            for column in columns {
                let texts = [column.name.as_str(), column.comment.as_deref().unwrap_or_default()];
                hits.look(words, &texts, || format!("column {}", column.name));
            }
            hits.matched.truncate(MATCHES);
        }
        matching.push((named, hits));
    }
    if words.is_some() {
        Hits::keep_best(&mut matching);
    }
    let total = matching.len() as u64;
    matching.retain(|(table, _)| request.after.as_ref().is_none_or(|after| table.name > *after));
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let more = matching.len() > limit;
    matching.truncate(limit);
    let tables = matching.into_iter().map(|(named, Hits { matched, .. })| {
        let summary = TableSummary {
            rows: estimates.get(&named.name).copied(),
            comment: named.created().comment,
            name: named.name,
            kind: named.kind,
            partitions: None,
            foreign: false,
            matched,
        };
        ListedTable { cursor: summary.name.clone(), summary }
    });
    let tables = tables.collect();
    Ok(TablePage { tables, total, more })
}

/// Describes one table. `closed` contains the tables that nobody may read, in ASCII lower case.
pub(super) fn describe(
    handle: &Handle,
    wanted: &str,
    closed: &BTreeSet<String>,
) -> Result<TableDescription, ReadError> {
    let mut names = names(handle)?;
    names.retain(|named| !closed.contains(&named.name.to_ascii_lowercase()));
    let bare = unquote(wanted);
    let found = names
        .iter()
        .find(|table| table.name == bare)
        .or_else(|| names.iter().find(|table| table.name.eq_ignore_ascii_case(&bare)));
    let Some(found) = found else {
        let near = nearest(&bare, names.iter().map(|table| table.name.as_str()), 3);
        return Err(ReadError::UnknownTable {
            name: bare.clone(),
            nearest: near.into_iter().map(str::to_owned).collect(),
        });
    };
    Ok(table(handle, found, true)?)
}

/// Removes the schema and the quotes: `main.name`, `"name"`, `[name]` and `` `name` `` all mean `name`.
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

/// Returns a value that changes when the schema does.
pub(super) fn fingerprint(handle: &Handle) -> Result<String, ReadError> {
    let mut hasher = DefaultHasher::new();
    let mut statement = handle.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema")?;
    while statement.step()? {
        [0, 1, 2, 3].map(|column| statement.text(column)).hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Sends all tables except the closed ones, with what a schema context needs. Returns the number of tables that did not
/// fit into `max_bytes`.
pub(super) fn snapshot(
    handle: &Handle,
    closed: &BTreeSet<String>,
    sampled: usize,
    max_bytes: usize,
    send: &mut dyn FnMut(TableDescription),
) -> Result<usize, ReadError> {
    let (mut left_out, mut bytes) = (0, 0);
    let estimates = estimates(handle);
    for named in names(handle)? {
        if closed.contains(&named.name.to_ascii_lowercase()) {
            continue;
        }
        let mut table = table(handle, &named, false)?;
        table.rows = estimates.get(&named.name).copied();
        if named.kind == TableKind::Table {
            for column in &mut table.columns {
                // Values get at most half of the memory, so that they do not displace tables.
                if !column.values.is_empty() || bytes >= max_bytes / 2 {
                    continue;
                }
                let (name, table) = (&column.name, &named.name);
                let sampled = if is_date(&column.type_name) {
                    odd_dates(handle, table, name)
                } else if is_text(&column.type_name) {
                    match sample(handle, table, name, sampled) {
                        Ok((values, true)) if values.is_empty() && is_date(name) => odd_dates(handle, table, name),
                        sampled => sampled,
                    }
                } else if is_integer(&column.type_name) {
                    switch(handle, table, name)
                } else {
                    continue;
                };
                let (values, are_all) = readable(sampled, &mut None)?;
                column.set_values(values, are_all);
            }
        }
        bytes += table.bytes();
        if bytes > max_bytes {
            left_out += 1;
        } else {
            send(table);
        }
    }
    Ok(left_out)
}

/// Maximum rows that are read for the values of a column.
const SAMPLED_ROWS: i64 = 20_000;

/// Returns the distinct texts of up to 60 characters in a column, in order, or none if there are more than `most`. Also
/// returns whether all rows were sampled.
fn sample(handle: &Handle, table: &str, column: &str, most: usize) -> Result<(Vec<String>, bool), Fault> {
    let (table, column) = (quoting::quoted_name(table), quoting::quoted_name(column));
    // A name cannot be bound. These names come from the catalog and are quoted.
    let text = format!(
        "SELECT DISTINCT v FROM (SELECT {column} AS v FROM {table} LIMIT {SAMPLED_ROWS})
         WHERE typeof(v) = 'text' AND length(v) BETWEEN 1 AND 60 ORDER BY v LIMIT {}",
        most + 1
    );
    let mut values = texts(handle.prepare(&text)?, 0)?;
    // In a text that is not UTF-8, this character replaces the invalid bytes. No condition would find such a text.
    values.retain(|value| !value.contains(char::REPLACEMENT_CHARACTER));
    if values.len() > most {
        return Ok((Vec::new(), true));
    }
    Ok((values, are_all_sampled(handle, &table)?))
}

/// Returns up to three values of a column of dates that are not written as in 2026-12-31, and false: there may be more.
/// SQLite has no type for dates, so a column may hold `12/31/2026`, or seconds since 1970.
fn odd_dates(handle: &Handle, table: &str, column: &str) -> Result<(Vec<String>, bool), Fault> {
    let (table, column) = (quoting::quoted_name(table), quoting::quoted_name(column));
    let text = format!(
        "SELECT DISTINCT substr(v, 1, 60) FROM (SELECT {column} AS v FROM {table} LIMIT {SAMPLED_ROWS})
         WHERE v <> '' AND typeof(v) <> 'blob' AND v NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' LIMIT 3"
    );
    Ok((texts(handle.prepare(&text)?, 0)?, false))
}

/// True for a declared type such as `DATE` or `TIMESTAMP`, and for a name such as `start_date`.
fn is_date(text: &str) -> bool {
    let low = text.to_ascii_lowercase();
    low.starts_with("date") || low.contains("_date") || text.ends_with("Date") || low.contains("timestamp")
}

/// True if the table, whose name is quoted, has no more rows than are sampled.
fn are_all_sampled(handle: &Handle, table: &str) -> Result<bool, Fault> {
    let mut beyond = handle.prepare(&format!("SELECT 1 FROM {table} LIMIT 1 OFFSET {SAMPLED_ROWS}"))?;
    Ok(!beyond.step()?)
}

/// Returns 0 and 1 if the sampled rows of an integer column hold both and nothing else, and whether all rows were sampled.
fn switch(handle: &Handle, table: &str, column: &str) -> Result<(Vec<String>, bool), Fault> {
    let (table, column) = (quoting::quoted_name(table), quoting::quoted_name(column));
    // The third value ends the query.
    let text = format!(
        "SELECT DISTINCT v FROM (SELECT {column} AS v FROM {table} LIMIT {SAMPLED_ROWS}) WHERE v IS NOT NULL LIMIT 3"
    );
    let mut values = texts(handle.prepare(&text)?, 0)?;
    values.sort();
    if values != ["0", "1"] {
        return Ok((Vec::new(), true));
    }
    Ok((values, are_all_sampled(handle, &table)?))
}

fn is_integer(declared: &str) -> bool {
    declared.to_ascii_uppercase().contains("INT")
}

fn is_text(declared: &str) -> bool {
    let declared = declared.to_ascii_uppercase();
    ["CHAR", "TEXT", "CLOB"].iter().any(|word| declared.contains(word))
}

/// A table or view, with its CREATE statement.
struct Named {
    name: String,
    kind: TableKind,
    /// A table of a module, such as a full-text index.
    is_virtual: bool,
    sql: String,
}

impl Named {
    /// Parses the CREATE statement at each call: a schema can have thousands of tables, of which few are needed.
    fn created(&self) -> Created {
        Created::read(&self.sql)
    }
}

/// Returns the tables in the order of their names in UTF-8, whatever the encoding of the file. A cursor uses the same
/// order.
fn names(handle: &Handle) -> Result<Vec<Named>, Fault> {
    let mut statement = handle.prepare(NAMES)?;
    statement.bind_integer(i64::try_from(MAX_CREATED_BYTES).unwrap_or(i64::MAX))?;
    let (mut names, mut bytes) = (Vec::new(), 0);
    while statement.step()? {
        let text = |column| statement.text(column).unwrap_or_default();
        let (name, mut sql) = (text(0), text(2));
        bytes += sql.len();
        if bytes > MAX_ALL_CREATED_BYTES {
            sql = String::new();
        }
        let kind = if text(1) == "view" { TableKind::View } else { TableKind::Table };
        let is_virtual = text(1) == "virtual";
        names.push(Named { name, kind, is_virtual, sql });
    }
    names.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(names)
}

/// The whole CREATE text of a table or view.
fn definition(handle: &Handle, name: &str) -> Result<String, Fault> {
    const SQL: &str = "SELECT sql FROM sqlite_schema WHERE name = ?1 AND type IN ('table', 'view')";
    Ok(texts(about(handle, SQL, name)?, 0)?.pop().unwrap_or_default())
}

/// Compiles a statement of TUDB about a table, with the name of the table bound.
fn about<'a>(handle: &'a Handle, sql: &str, table: &str) -> Result<Statement<'a>, Fault> {
    let mut statement = handle.prepare(sql)?;
    statement.bind(table)?;
    Ok(statement)
}

/// Returns one column of every row, without NULLs.
fn texts(mut statement: Statement<'_>, column: usize) -> Result<Vec<String>, Fault> {
    let mut texts = Vec::new();
    while statement.step()? {
        texts.extend(statement.text(column));
    }
    Ok(texts)
}

/// Returns an empty value, and sets `problem`, if SQLite cannot read the table: a view over a missing table, or a
/// module that is not loaded. A read that was stopped remains an error.
fn readable<T: Default>(read: Result<T, Fault>, problem: &mut Option<String>) -> Result<T, Fault> {
    match read {
        Err(fault) if !fault.is_interrupted() && !fault.is_out_of_memory() && !fault.is_no_database() => {
            *problem = Some(format!("it cannot be read: {}", cut(&fault.message, 200)));
            Ok(T::default())
        }
        other => other,
    }
}

fn primary_key(handle: &Handle, table: &str) -> Result<Vec<String>, Fault> {
    texts(about(handle, "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk", table)?, 0)
}

fn estimates(handle: &Handle) -> HashMap<String, i64> {
    let mut estimates = HashMap::new();
    // The statistics table exists only after ANALYZE.
    let Ok(mut statement) = handle.prepare(ESTIMATES) else { return estimates };
    while let Ok(true) = statement.step() {
        if let (Some(table), Value::Integer(rows)) = (statement.text(0), statement.value(1)) {
            estimates.insert(table, rows);
        }
    }
    estimates
}

fn table(handle: &Handle, named: &Named, whole: bool) -> Result<TableDescription, Fault> {
    let Named { name, kind, is_virtual, sql: _ } = named;
    let created = &named.created();
    let mut problem = None;
    let mut primary = readable(key_places(handle, name), &mut problem)?;
    primary.sort();
    let mut description = TableDescription {
        kin: Arc::new(vec![(String::new(), name.to_owned())]),
        comment: created.comment.clone(),
        columns: readable(columns(handle, name, created), &mut problem)?,
        primary_key: primary.into_iter().map(|(_, column)| column).collect(),
        checks: if whole { created.checks.clone() } else { Vec::new() },
        is_virtual: *is_virtual,
        ..TableDescription::new(name.to_owned(), *kind)
    };
    if let Some(problem) = problem {
        description.comment = Some(match description.comment {
            Some(comment) => format!("{comment} ({problem})"),
            None => problem,
        });
        description.definition = if whole { Some(definition(handle, name)?) } else { None };
        return Ok(description);
    }
    if *kind == TableKind::View {
        description.definition = if whole { Some(definition(handle, name)?) } else { None };
        return Ok(description);
    }
    let mut last = None;
    let mut rows = about(handle, FOREIGN_KEYS, name)?;
    while rows.step()? {
        let text = |column| rows.text(column).unwrap_or_default();
        let (id, references, from, to) = (rows.integer(0), text(1), text(2), rows.text(3));
        if last.replace(id) != Some(id) {
            let on_delete = Some(text(4).to_lowercase()).filter(|action| action != "no action");
            description.foreign_keys.push(ForeignKey { references, on_delete, ..ForeignKey::default() });
        }
        if let Some(key) = description.foreign_keys.last_mut() {
            key.columns.push(from);
            key.referenced_columns.extend(to);
        }
    }
    for key in &mut description.foreign_keys {
        // A foreign key without column names refers to the primary key of the other table.
        if key.referenced_columns.is_empty() {
            key.referenced_columns = primary_key(handle, &key.references)?;
            key.to_primary_key = true;
        } else if whole {
            key.to_primary_key = key.referenced_columns == primary_key(handle, &key.references)?;
        }
    }
    if whole {
        description.rows = estimates(handle).get(name).copied();
        let mut last = None;
        let mut rows = about(handle, UNIQUE, name)?;
        while rows.step()? {
            let (index, column) = (rows.text(0).unwrap_or_default(), rows.text(1));
            if last.replace(index.clone()) != Some(index) {
                description.unique.push(Vec::new());
            }
            if let Some(columns) = description.unique.last_mut() {
                columns.extend(column);
            }
        }
        let mut last = None;
        let mut rows = about(handle, REFERENCED_BY, name)?;
        while rows.step()? {
            let text = |column| rows.text(column).unwrap_or_default();
            let (table, id, from, to) = (text(0), rows.integer(1), text(2), rows.text(3));
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
        description.indexes = texts(about(handle, INDEXES, name)?, 0)?;
        description.triggers = texts(about(handle, TRIGGERS, name)?, 0)?;
    }
    Ok(description)
}

/// Returns, for each column of the primary key, its position in the key and its name.
fn key_places(handle: &Handle, table: &str) -> Result<Vec<(i64, String)>, Fault> {
    let _strings = handle.allow_strings_in_double_quotes();
    let mut rows = about(handle, COLUMNS, table)?;
    let mut places = Vec::new();
    while rows.step()? {
        if rows.integer(4) > 0 {
            places.push((rows.integer(4), rows.text(0).unwrap_or_default()));
        }
    }
    Ok(places)
}

/// Returns the columns of a table. `created` adds what the CREATE statement says about them.
pub(super) fn columns(handle: &Handle, table: &str, created: &Created) -> Result<Vec<Column>, Fault> {
    let _strings = handle.allow_strings_in_double_quotes();
    let mut rows = about(handle, COLUMNS, table)?;
    let mut columns = Vec::new();
    while rows.step()? {
        let name = rows.text(0).unwrap_or_default();
        let created = created.column(&name);
        let is_generated = rows.integer(5) > 1;
        columns.push(Column {
            nullable: rows.integer(2) == 0 && rows.integer(4) == 0,
            default: rows.text(3).filter(|default| !default.is_empty()).map(Into::into),
            generated: is_generated.then(|| created.generated.unwrap_or_else(|| "generated".to_owned()).into()),
            comment: created.comment.map(Into::into),
            values: created.values,
            check: created.check.map(Into::into),
            ..Column::new(name, rows.text(1).unwrap_or_default().into())
        });
    }
    Ok(columns)
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

//! The rules of a source (`deny`, `mask`) on a statement, by what SQLite says that it reads.

use std::collections::BTreeSet;

use super::catalog;
use super::created::Created;
use super::handle::{ColumnRead, Handle};
use super::pipe::{ReadError, Reason};
use crate::guard::ApprovedSql;
use crate::guard::columns::{self, ColumnRules, RuleKind, RuledTable};

/// Returns the places of the result's columns that have to be masked.
///
/// # Errors
///
/// The refusal of the first use that a rule forbids.
pub(super) fn judge(
    handle: &Handle,
    sql: &ApprovedSql,
    reads: &[ColumnRead],
    rules: &ColumnRules,
) -> Result<BTreeSet<usize>, ReadError> {
    if rules.is_empty() {
        return Ok(BTreeSet::new());
    }
    let ruled = ruled_tables(handle, sql, reads, rules)?;
    // A denied column that the authorizer saw is refused however it is spelt. What it does not see (columns that two
    // tables are joined by) stands in the text, which is judged with all ruled columns of the tables in it.
    for read in reads {
        let (table, column) = (read.table.to_ascii_lowercase(), read.column.to_ascii_lowercase());
        let found = ruled.iter().find(|ruled| ruled.table == table);
        if let Some(ruled) = found.filter(|ruled| ruled.whole || ruled.denied.contains(&column)) {
            return Err(ruled.refusal(&column).into());
        }
    }
    let uses = sql.names().uses.as_ref();
    let places = columns::judge(uses, &ruled)?;
    // What is masked is found by the text. SQLite knows more spellings of a column than the text's reader does.
    for table in ruled.iter().filter(|table| !table.masked.is_empty()) {
        // The authorizer reports the row's number by the name of its column, whichever name the text has for it.
        let is_number = |name: &str| table.masked.contains(name) && ["rowid", "_rowid_", "oid"].contains(&name);
        let is_written = |column: &str| {
            uses.is_some_and(|uses| {
                let mut names = uses.plain.iter().map(|item| item.name.column.as_str());
                !uses.wildcards.is_empty() || names.any(|name| name == column || is_number(name))
            })
        };
        let mut read = reads.iter().filter(|read| read.table.eq_ignore_ascii_case(&table.table));
        let unaccounted = read.find_map(|read| {
            let column = read.column.to_ascii_lowercase();
            (table.masked.contains(&column) && !is_written(&column)).then_some(column)
        });
        if let Some(column) = unaccounted {
            return Err(table.refusal(&column).into());
        }
        if names_by_string(sql.text()) {
            return Err(table.refusal("*").into());
        }
    }
    Ok(places)
}

/// Whether a string stands behind a dot, where SQLite takes it for a column: `t.'email'`.
fn names_by_string(sql: &str) -> bool {
    let mut rest = sql;
    let mut is_after_dot = false;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            _ if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '\'' if is_after_dot => return true,
            '\'' | '"' | '`' | '[' => {
                let close = if first == '[' { ']' } else { first };
                is_after_dot = false;
                rest.get(1..).and_then(|inner| inner.find(close)).map_or(rest.len(), |end| end + 2)
            }
            _ if first.is_ascii_whitespace() => 1,
            _ => {
                is_after_dot = first == '.';
                first.len_utf8()
            }
        };
        rest = rest.get(skipped..).unwrap_or_default();
    }
    false
}

/// The virtual tables that may show what a ruled table holds: those whose arguments name one (a full-text table over
/// another table's content, the vocabulary of a full-text table), those that a trigger of a ruled table fills, and those
/// that name one of these.
fn closed(handle: &Handle, rules: &ColumnRules) -> Result<BTreeSet<String>, ReadError> {
    let mut statement = handle.prepare(
        "SELECT type, name, tbl_name, sql, rootpage FROM sqlite_schema WHERE type IN ('table', 'view', 'trigger')",
    )?;
    let (mut virtuals, mut others, mut triggers) = (Vec::new(), Vec::new(), Vec::new());
    while statement.step()? {
        let text = |column| plain(&statement.text(column).unwrap_or_default());
        let (kind, name, sql) = (text(0), text(1), text(3));
        match kind.as_str() {
            "trigger" => triggers.push((text(2), sql)),
            "table" if statement.integer(4) == 0 => {
                // What stands after the table's own name.
                let arguments = sql.split_once(" using ").map_or(sql.clone(), |(_, rest)| rest.to_owned());
                virtuals.push((name, arguments));
            }
            "view" => others.push((name, Some(sql))),
            _ => others.push((name, None)),
        }
    }
    if virtuals.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut closed: BTreeSet<String> = BTreeSet::new();
    let mut telling: BTreeSet<String> = others
        .iter()
        .map(|(name, _)| name)
        .chain(virtuals.iter().map(|(name, _)| name))
        .filter(|name| rules.touches("", name))
        .cloned()
        .collect();
    loop {
        let before = telling.len();
        let tells = |text: &str, telling: &BTreeSet<String>| telling.iter().any(|name| names(text, name));
        for (name, sql) in &others {
            if sql.as_ref().is_some_and(|sql| tells(sql, &telling)) {
                telling.insert(name.clone());
            }
        }
        for (name, arguments) in &virtuals {
            let is_filled = triggers.iter().any(|(table, sql)| telling.contains(table) && names(sql, name));
            if is_filled || telling.iter().any(|other| other != name && names(arguments, other)) {
                telling.insert(name.clone());
                closed.insert(name.clone());
            }
        }
        if telling.len() == before {
            return Ok(closed);
        }
    }
}

/// A text in which names stand without quotes and in one case.
fn plain(text: &str) -> String {
    text.replace(['\'', '"', '`', '[', ']'], "").replace(['\n', '\t', '\r'], " ").to_lowercase()
}

/// Whether a [`plain`] text holds a name that is not part of a longer one.
fn names(text: &str, name: &str) -> bool {
    let is_part = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(name).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + name.len()..).and_then(|after| after.chars().next());
        !is_part(before) && !is_part(after)
    })
}

/// The tables of a statement that a rule touches, by the authorizer and by every name in the text.
fn ruled_tables(
    handle: &Handle,
    sql: &ApprovedSql,
    reads: &[ColumnRead],
    rules: &ColumnRules,
) -> Result<Vec<RuledTable>, ReadError> {
    let mut named: BTreeSet<String> = sql.names().reads.iter().map(|(_, name)| name.clone()).collect();
    named.extend(reads.iter().map(|read| read.table.to_ascii_lowercase()));
    let closed = closed(handle, rules)?;
    let mut found = Vec::new();
    for table in named {
        let mut of = closed.iter().filter_map(|closed| table.strip_prefix(closed.as_str()));
        if of.any(|rest| rest.is_empty() || SHADOWS.contains(&rest)) {
            return Err(ReadError::Relation { name: table, reason: Reason::Virtual });
        }
        // Samples of an index's values.
        let is_statistics = table.starts_with("sqlite_stat");
        if is_statistics || rules.denies() && (table.starts_with("sqlite_") || table.starts_with("pragma_")) {
            return Err(ReadError::Relation { name: table, reason: Reason::Catalog });
        }
        let base = SHADOWS.iter().find_map(|ending| table.strip_suffix(ending));
        let is_shadow = base.is_some_and(|base| rules.touches("", base));
        if !is_shadow && !rules.touches("", &table) {
            continue;
        }
        let columns = catalog::columns(handle, &table, &Created::default())?;
        let mut ruled = RuledTable { table, ..RuledTable::default() };
        for column in &columns {
            let name = column.name.to_ascii_lowercase();
            match rules.of_column("", &ruled.table, &name) {
                Some(RuleKind::Deny) => {
                    ruled.denied.insert(name.clone());
                }
                Some(RuleKind::Mask) => {
                    ruled.masked.insert(name.clone());
                    // An integer primary key is the row's number, which has more names.
                    if column.type_name.eq_ignore_ascii_case("integer") {
                        ruled.masked.extend(["rowid", "_rowid_", "oid"].map(str::to_owned));
                    }
                }
                None => {}
            }
            ruled.columns.push(name);
        }
        let has_rule = !ruled.denied.is_empty() || !ruled.masked.is_empty();
        if has_rule {
            // What is computed from a ruled column may tell it.
            let computed = columns.iter().filter(|column| column.generated.is_some());
            ruled.denied.extend(computed.map(|column| column.name.to_ascii_lowercase()));
        }
        let mine = |read: &&ColumnRead| read.table.eq_ignore_ascii_case(&ruled.table);
        // A view in between, or a full-text table's own functions, hide which column is told.
        let hidden = reads.iter().filter(mine).any(|read| {
            let column = read.column.to_ascii_lowercase();
            let is_ruled = ruled.denied.contains(&column) || ruled.masked.contains(&column);
            has_rule && (column == ruled.table || (read.inside.is_some() && is_ruled))
        });
        let exists = !columns.is_empty();
        ruled.whole = (exists && (is_shadow || rules.denies_table("", &ruled.table))) || hidden;
        // A view's own column names say nothing of where they come from: the reads inside of it do.
        let is_read = reads.iter().any(|read| read.table.eq_ignore_ascii_case(&ruled.table) && read.inside.is_none());
        let is_named = sql.names().reads.iter().any(|(_, name)| *name == ruled.table);
        if ruled.whole || (has_rule && (is_read || is_named)) {
            found.push(ruled);
        }
    }
    Ok(found)
}

/// Endings of the tables in which full-text and R-tree tables keep their rows.
const SHADOWS: [&str; 11] =
    ["_content", "_data", "_idx", "_docsize", "_config", "_node", "_rowid", "_parent", "_segments", "_segdir", "_stat"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_behind_a_dot_is_a_column() {
        for sql in ["SELECT t.'email' FROM t", "SELECT t . /* x' */ 'email'", "SELECT 'a.', \"b\".'c'"] {
            assert!(names_by_string(sql), "{sql}");
        }
        for sql in ["SELECT 'a.', 'b'", "SELECT t.email, 'it''s.' -- t.'x'", "SELECT \"t.\" 'x'", "SELECT [a.] 'b', 1."]
        {
            assert!(!names_by_string(sql), "{sql}");
        }
    }

    #[test]
    fn a_name_is_found_whole_and_however_it_is_quoted() {
        assert!(names(&plain("fts5(a, content='My Users', x)"), "my users"));
        assert!(names(&plain("fts5vocab(main, \"users\", row)"), "users"));
        assert!(!names(&plain("fts5(a, content='users_old')"), "users"));
    }
}

//! Applies the rules of a source (`deny`, `mask`) to a statement. SQLite's authorizer reports the columns that the
//! statement reads; the names in the statement's text are checked too.
//!
//! A table is *ruled* if a rule covers the table or one of its columns. A column is ruled if a rule covers the column.

use std::collections::BTreeSet;

use super::catalog;
use super::closed::{self, has_rule};
use super::created::Created;
use super::handle::{ColumnRead, Handle};
use super::pipe::{ReadError, Reason};
use crate::dialect::Dialect;
use crate::guard::columns::{self, ColumnRules, RuleKind, RuledTable};
use crate::guard::{ApprovedSql, Rejection, lexer};

/// Returns the positions of the result's columns that have to be masked.
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
    let uses = sql.names().uses.as_ref();
    // A refusal names a denied column only if the caller has named it.
    let is_named = |column: &str| {
        uses.is_some_and(|uses| {
            let names = uses.plain.iter().map(|item| &item.name).chain(&uses.uses).map(|name| name.column.as_str());
            names.chain(uses.unread.iter().map(String::as_str)).any(|name| name == column)
        })
    };
    // A denied column that the authorizer reports is refused, in whichever form the text contains it. The authorizer
    // does not report the columns by which NATURAL or USING joins two tables. For USING, `columns::judge` compares the
    // names in the text with the ruled columns. It refuses a NATURAL JOIN if the statement has a ruled table.
    for read in reads {
        let (table, column) = (read.table.to_ascii_lowercase(), read.column.to_ascii_lowercase());
        let found = ruled.iter().find(|ruled| ruled.table == table);
        if let Some(ruled) = found.filter(|ruled| ruled.whole || ruled.denied.contains(&column)) {
            return Err(ruled.refusal(if is_named(&column) { &column } else { "*" }).into());
        }
    }
    let places = columns::judge(uses, &ruled)?;
    // The positions of masked columns come from the text. SQLite also accepts spellings of a column that the parser of
    // the text does not recognise. So the statement is refused if SQLite reports a masked column that the text does not
    // name.
    for table in ruled.iter().filter(|table| !table.masked.is_empty()) {
        // If the text names the rowid (`oid`), the authorizer reports the name of the INTEGER PRIMARY KEY column
        // instead. So a name of the rowid in the text counts as a use of the masked column.
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

/// Compares the origins that SQLite itself reports for the columns of a result with the positions that will be masked. The
/// guard computes the positions from the text; this finds a mistake in them.
///
/// # Errors
///
/// The refusal of a ruled column at a position that is not masked.
pub(super) fn compare(
    origins: &[Option<(String, String)>],
    masked: &BTreeSet<usize>,
    rules: &ColumnRules,
) -> Result<(), ReadError> {
    for (place, origin) in origins.iter().enumerate() {
        let Some((table, column)) = origin.as_ref().filter(|_| !masked.contains(&place)) else { continue };
        let is_denied = match rules.of_column("", table, column) {
            None if rules.denies_table("", table) => true,
            None => continue,
            Some(kind) => kind == RuleKind::Deny,
        };
        let column = format!("{}.{}", table.to_ascii_lowercase(), column.to_ascii_lowercase());
        return Err(Rejection::Column { column, is_denied, allowed: Vec::new() }.into());
    }
    Ok(())
}

/// True if a string literal follows a dot. SQLite reads such a literal as a column: `t.'email'`.
fn names_by_string(sql: &str) -> bool {
    let mut rest = sql;
    let mut is_after_dot = false;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            _ if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => {
                rest.get(2..).and_then(|inner| inner.find("*/")).map_or(rest.len(), |end| end + 4)
            }
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

/// Returns the ruled tables among the tables of a statement. The tables of a statement are those that the authorizer
/// reports and those that the text names.
fn ruled_tables(
    handle: &Handle,
    sql: &ApprovedSql,
    reads: &[ColumnRead],
    rules: &ColumnRules,
) -> Result<Vec<RuledTable>, ReadError> {
    let mut named: BTreeSet<String> = sql.names().reads.iter().map(|(_, name)| name.clone()).collect();
    named.extend(reads.iter().map(|read| read.table.to_ascii_lowercase()));
    let closed = closed::of(handle, rules)?;
    let mut found = Vec::new();
    for table in named {
        if let Some(reason) = closed.reason(&table) {
            return Err(ReadError::Relation { name: table, reason });
        }
        // Bytes that are not UTF-8 are reported as this character, so the real name is not known.
        if table.contains(char::REPLACEMENT_CHARACTER) {
            return Err(ReadError::Relation { name: table, reason: Reason::Name });
        }
        // Statistics tables contain samples of the values of an index.
        let is_statistics = table.starts_with("sqlite_stat");
        // CREATE statements in the schema contain values: defaults, CHECK constraints and conditions of indexes.
        // SQLite allows no user's table with this prefix, and `sqlite_version` is a function.
        let is_catalog = table.starts_with("sqlite_") && table != "sqlite_version" || table.starts_with("pragma_");
        if is_statistics || !rules.is_empty() && is_catalog {
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
                    // An INTEGER column may be the primary key and thus the rowid, so the names of the rowid are masked
                    // too. Whether the column is the primary key is not tested.
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
            // A generated column may be computed from a ruled column and reveal its values, so every generated column
            // is denied.
            let computed = columns.iter().filter(|column| column.generated.is_some());
            ruled.denied.extend(computed.map(|column| column.name.to_ascii_lowercase()));
        }
        let mine = |read: &&ColumnRead| read.table.eq_ignore_ascii_case(&ruled.table);
        // In two cases it is unknown which columns of the result contain the ruled column: a view or a CTE reads the
        // ruled column, or the statement reads the hidden column of a full-text table that has the name of the table.
        let hidden = reads.iter().filter(mine).any(|read| {
            let column = read.column.to_ascii_lowercase();
            let is_ruled = ruled.denied.contains(&column) || ruled.masked.contains(&column);
            has_rule && (column == ruled.table || (read.inside.is_some() && is_ruled))
        });
        let exists = !columns.is_empty();
        // In FTS3 and FTS4 a pattern for one column can name another column, and a rank depends on all columns. So no
        // column of a virtual table with a ruled column may be used.
        let is_searched = has_rule && closed.virtual_tables.contains(&ruled.table);
        ruled.whole = (exists && (is_shadow || rules.denies_table("", &ruled.table))) || hidden || is_searched;
        // Reads inside a view or a CTE do not count here. If such a read is of a ruled column, `hidden` is already
        // true. SQLite reports a table of which only rows are counted, or only the rowid is read, without a column and
        // without the view.
        let is_direct = |read: &ColumnRead| read.inside.is_none() && !read.column.is_empty();
        let is_read = reads.iter().any(|read| read.table.eq_ignore_ascii_case(&ruled.table) && is_direct(read));
        let is_named = sql.names().reads.iter().any(|(_, name)| *name == ruled.table);
        if ruled.whole || (has_rule && (is_read || is_named)) {
            found.push(ruled);
        }
    }
    Ok(found)
}

/// Refuses a statement whose plan scans a whole index that contains a ruled column. Rows with equal sort keys could
/// then come in the order of the ruled column. `text` is the wrapped statement.
///
/// # Errors
///
/// [`ReadError::Relation`] with [`Reason::Order`].
pub(super) fn judge_order(
    handle: &Handle,
    sql: &ApprovedSql,
    text: &str,
    reads: &[ColumnRead],
    rules: &ColumnRules,
) -> Result<(), ReadError> {
    const INDEXES: &str =
        "SELECT l.name, i.name, i.cid FROM pragma_index_list(?1) AS l, pragma_index_xinfo(l.name) AS i";
    /// `cid` of a term that is an expression: <https://sqlite.org/pragma.html#pragma_index_info>.
    const EXPRESSION: i64 = -2;
    // A statement that uses no column, such as `SELECT count(*)`, does not depend on the order of rows. A view that picks
    // rows or values by their order does.
    let names_columns = sql
        .names()
        .uses
        .as_ref()
        .is_none_or(|uses| !uses.uses.is_empty() || !uses.plain.is_empty() || !uses.wildcards.is_empty());
    let reads_view = reads.iter().any(|read| read.inside.is_some());
    if rules.is_empty() || !(names_columns || reads_view && a_view_may_pick(handle, reads)?) {
        return Ok(());
    }
    let tables: BTreeSet<String> = reads.iter().map(|read| read.table.to_ascii_lowercase()).collect();
    let mut telling = Vec::new();
    for table in tables.iter().filter(|table| rules.touches("", table)) {
        if !has_rule(handle, rules, table)? {
            continue;
        }
        let columns = catalog::columns(handle, table, &Created::default())?;
        // A generated column may be computed from a ruled column.
        let is_ruled = |name: &str| {
            rules.of_column("", table, name).is_some()
                || columns.iter().any(|column| column.generated.is_some() && column.name.eq_ignore_ascii_case(name))
        };
        let mut indexes = handle.prepare(INDEXES)?;
        indexes.bind(table)?;
        while indexes.step()? {
            let is_telling = indexes.integer(2) == EXPRESSION || indexes.text(1).is_some_and(|name| is_ruled(&name));
            if let Some(index) = indexes.text(0).filter(|_| is_telling) {
                telling.push((format!(" INDEX {index}"), table.clone()));
            }
        }
    }
    if telling.is_empty() {
        return Ok(());
    }
    let mut plan = handle.prepare(&format!("EXPLAIN QUERY PLAN {text}"))?;
    while plan.step()? {
        let detail = plan.text(3).unwrap_or_default();
        // In the plan a condition follows the name of the index: `SEARCH t USING INDEX i (a=?)`. Without a condition
        // SQLite reads the whole index in the order of the index.
        let read = telling.iter().find(|(index, _)| {
            // An alias in the plan may contain the same text, so every occurrence of the text is checked.
            let mut rests =
                detail.match_indices(index.as_str()).filter_map(|(at, found)| detail.get(at + found.len()..));
            rests.any(|rest| rest.is_empty() || rest.starts_with(' ') && !rest.starts_with(" ("))
        });
        if let Some((_, table)) = read {
            return Err(ReadError::Relation { name: table.clone(), reason: Reason::Order });
        }
    }
    Ok(())
}

/// Whether a view that the statement reads, also inside other views, may pick rows or values by the order of rows: with
/// LIMIT, a window, groups (a column that is not grouped has the value of any row), a sub-query (whose first row counts),
/// `max` and `min` (beside which another column has the value of their row), or an aggregate that joins values.
fn a_view_may_pick(handle: &Handle, reads: &[ColumnRead]) -> Result<bool, ReadError> {
    const TEXT: &str = "SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?1 COLLATE NOCASE";
    const PICKS: [&str; 10] =
        ["limit", "offset", "over", "group", "having", "max", "min", "group_concat", "string_agg", "window"];
    let may_pick = |text: &str| {
        let Some(lexemes) = lexer::lexemes(text, Dialect::Sqlite) else { return true };
        let words =
            lexemes.iter().map(|lexeme| text.get(lexeme.range.clone()).unwrap_or_default().to_ascii_lowercase());
        let words: Vec<String> = words.collect();
        let picks = |word: &String| {
            PICKS.contains(&word.trim_matches(['"', '`', '[', ']']))
                || word.contains("json_group")
                || word.contains("jsonb_group")
        };
        let is_query =
            |word: Option<&String>| word.is_some_and(|word| matches!(word.as_str(), "select" | "values" | "with"));
        let has_query = words.iter().zip(1..).any(|(word, next)| word == "(" && is_query(words.get(next)));
        has_query || words.iter().any(picks)
    };
    let names = reads.iter().flat_map(|read| read.inside.iter().chain([&read.table]));
    for name in names.collect::<BTreeSet<_>>() {
        let mut view = handle.prepare(TEXT)?;
        view.bind(name)?;
        if view.step()? && view.text(0).is_none_or(|text| may_pick(&text)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Suffixes of the names of shadow tables, in which full-text and R-tree tables store their rows.
pub(super) const SHADOWS: [&str; 11] =
    ["_content", "_data", "_idx", "_docsize", "_config", "_node", "_rowid", "_parent", "_segments", "_segdir", "_stat"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ruled_origin_at_an_open_position_is_refused() {
        let rule = |pattern, kind| columns::ColumnRule::new(pattern, kind).unwrap();
        let rules = ColumnRules::new(vec![
            rule("users.email", RuleKind::Mask),
            rule("users.ssn", RuleKind::Deny),
            rule("pay", RuleKind::Deny),
        ]);
        let from = |table: &str, column: &str| Some((table.to_owned(), column.to_owned()));
        let none = BTreeSet::new();
        assert!(compare(&[from("users", "id"), None], &none, &rules).is_ok());
        assert!(compare(&[None, from("Users", "Email")], &BTreeSet::from([1]), &rules).is_ok());
        for origin in [from("Users", "EMAIL"), from("users", "ssn"), from("PAY", "amount")] {
            assert!(compare(&[None, origin.clone()], &BTreeSet::from([0]), &rules).is_err(), "{origin:?}");
        }
    }

    #[test]
    fn sqlite_tells_the_origin_through_aliases_views_and_ctes() {
        let handle = Handle::open(":memory:", None, false).unwrap();
        for sql in [
            "CREATE TABLE users(id INTEGER PRIMARY KEY, email TEXT)",
            "CREATE VIEW people AS SELECT email AS mail FROM users",
        ] {
            handle.prepare(sql).unwrap().step().unwrap();
        }
        let email = Some(("users".to_owned(), "email".to_owned()));
        for sql in [
            "SELECT email FROM users global",
            "SELECT \"end\".* FROM (SELECT email x FROM users) AS \"end\"",
            "SELECT mail FROM people",
            "WITH q AS (SELECT email FROM users) SELECT email AS id FROM q",
        ] {
            assert_eq!(handle.shape(sql).unwrap().origins, std::slice::from_ref(&email), "{sql}");
        }
        assert_eq!(handle.shape("SELECT email || '', 1 FROM users").unwrap().origins, [None, None]);
    }

    #[test]
    fn a_string_behind_a_dot_is_a_column() {
        for sql in [
            "SELECT t.'email' FROM t",
            "SELECT t . /* x' */ 'email'",
            "SELECT 'a.', \"b\".'c'",
            "SELECT /*/ ' */ t.'email' --'",
        ] {
            assert!(names_by_string(sql), "{sql}");
        }
        for sql in ["SELECT 'a.', 'b'", "SELECT t.email, 'it''s.' -- t.'x'", "SELECT \"t.\" 'x'", "SELECT [a.] 'b', 1."]
        {
            assert!(!names_by_string(sql), "{sql}");
        }
    }
}

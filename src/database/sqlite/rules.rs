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
    Ok(columns::judge(sql.names().uses.as_ref(), &ruled)?)
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
    let mut found = Vec::new();
    for table in named {
        if rules.denies() && (table.starts_with("sqlite_") || table.starts_with("pragma_")) {
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

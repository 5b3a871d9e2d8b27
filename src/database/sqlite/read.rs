//! Runs or explains one statement in the process that reads the file. The statement is first compiled, and the column
//! rules are applied to it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::handle::{ColumnRead, Fault, Handle, Shape, Statement, Value};
use super::pipe::{ReadError, Reason};
use super::rules;
use crate::database::Explanation;
use crate::database::result_set::{Budget, Format, ResultSet, ResultWriter};
use crate::database::value::{Cell, cut};
use crate::dialect::Dialect;
use crate::guard::columns::{ColumnRules, MASK};
use crate::guard::{self, ApprovedSql, relations};

/// Compiles a statement without running it and applies the rules. Returns the shape of the statement and the positions
/// of the columns that have to be masked.
fn shape<'a>(
    handle: &'a Handle,
    sql: &ApprovedSql,
    rules: &ColumnRules,
) -> Result<(Shape<'a>, BTreeSet<usize>), ReadError> {
    let text = sql.text();
    let shape = handle.shape(text).or_else(|fault| shape_of_old_views(handle, text, fault)).map_err(|fault| {
        let before = fault.offset.and_then(|offset| text.get(..offset));
        match ReadError::from(fault) {
            ReadError::Sql { message, hint, .. } => {
                ReadError::Sql { message, hint, position: before.map(|before| before.chars().count() as u64 + 1) }
            }
            other => other,
        }
    })?;
    // The guard checked the names in the text. SQLite reports the tables that are read, also through views.
    for read in &shape.reads {
        let table = read.table.to_ascii_lowercase();
        if relations::refusal(Dialect::Sqlite, None, &table).is_some() {
            return Err(ReadError::Relation { name: table, reason: Reason::Listed });
        }
    }
    let masked = rules::judge(handle, sql, &shape.reads, rules)?;
    rules::compare(&shape.origins, &masked, rules)?;
    Ok((shape, masked))
}

/// Compiles a statement again if SQLite did not find a column, because a view of the statement may contain strings in
/// double quotes. In this second compilation such strings are allowed.
///
/// The statement's own text must not contain strings in double quotes. So its double quotes are first replaced by
/// backticks, which SQLite accepts only around names, and this text must compile too.
fn shape_of_old_views<'a>(handle: &'a Handle, text: &str, fault: Fault) -> Result<Shape<'a>, Fault> {
    if !fault.message.starts_with("no such column: ") {
        return Err(fault);
    }
    let Some(strict) = guard::with_backticks(text) else { return Err(fault) };
    let strings = handle.allow_strings_in_double_quotes();
    if let Err(own) = handle.shape(&strict) {
        // If the statement itself names an unknown column, the error about this column is returned.
        return Err(if own.message.starts_with("no such column: ") { own } else { fault });
    }
    Ok(Shape { strings: Some(strings), ..handle.shape(text)? })
}

/// Returns a warning if the statement, or a table of it, uses a collation that has a stand-in. The name of the collation is
/// searched after COLLATE in the statement, and in the schema's CREATE statements for the table.
fn collation_warning(handle: &Handle, sql: &str, reads: &[ColumnRead]) -> Result<Option<String>, ReadError> {
    const TEXTS: &str = "SELECT sql FROM sqlite_schema WHERE tbl_name = ?1 COLLATE NOCASE";
    let stand_ins = handle.stand_ins();
    if stand_ins.is_empty() {
        return Ok(None);
    }
    let used_in = |text: &str| {
        let text = text.to_lowercase();
        stand_ins.iter().find(|name| {
            let name = name.to_lowercase();
            text.contains(&name) || text.contains(&name.replace('"', "\"\""))
        })
    };
    let warning = |user: &str, name: &str| {
        Ok(Some(format!(
            "{user} uses the collation {}, which only the program that made the file has; texts were compared without \
             regard to case instead (EF_DECIMAL: by value), so that equality and order may differ, and a look-up in an index \
             with this collation may miss rows (NOT INDEXED after the table's name reads the table without an index)",
            cut(name, 60)
        )))
    };
    let low = sql.to_lowercase();
    let named = low.match_indices("collate").filter_map(|(at, word)| low.get(at + word.len()..));
    let named = named.map(|rest| rest.trim_start_matches(|c: char| c.is_whitespace() || "\"'`[".contains(c)));
    let named: Vec<&str> = named.collect();
    if let Some(name) = stand_ins.iter().find(|name| named.iter().any(|rest| rest.starts_with(&name.to_lowercase()))) {
        return warning("the statement", name);
    }
    let tables: BTreeSet<String> = reads.iter().map(|read| read.table.to_ascii_lowercase()).collect();
    for table in tables {
        let mut texts = handle.prepare(TEXTS)?;
        texts.bind(&table)?;
        while texts.step()? {
            if let Some(name) = used_in(&texts.text(0).unwrap_or_default()) {
                return warning(&table, name);
            }
        }
    }
    Ok(None)
}

/// The format and the limits of a result.
pub(super) struct Wanted {
    pub format: Format,
    pub budget: Budget,
    pub max_rows_ceiling: u64,
    /// Time limit for counting the rows beyond the limit.
    pub count_for: Duration,
}

/// Runs a statement. After each row `tell` gets the number of rows so far.
pub(super) fn rows(
    handle: &Handle,
    wrapper: &str,
    sql: &ApprovedSql,
    rules: &ColumnRules,
    wanted: &Wanted,
    tell: &mut dyn FnMut(u64),
) -> Result<ResultSet, ReadError> {
    let (Shape { columns, reads, strings: _strings, .. }, masked) = shape(handle, sql, rules)?;
    let warning = collation_warning(handle, sql.text(), &reads)?;
    let count = columns.len();
    let untyped: Vec<usize> =
        columns.iter().enumerate().filter(|(_, column)| column.type_name.is_none()).map(|(index, _)| index).collect();
    let began = Instant::now();
    let Wanted { format, mut budget, max_rows_ceiling, count_for } = *wanted;
    budget.reserved_bytes += warning.as_ref().map_or(0, |warning| warning.len() * 2 + 20);
    let text = wrap(wrapper, sql.text(), count, &masked, budget.max_cell_bytes, budget.max_rows);
    rules::judge_order(handle, sql, &text, &reads, rules)?;
    let mut writer = ResultWriter::new(columns, format, budget, max_rows_ceiling)
        .map_err(|error| ReadError::HeaderTooLong { bytes: error.bytes })?;
    let mut statement = handle.prepare(&text)?;
    while statement.step()? {
        if !writer.wants_row() {
            writer.more_rows();
            break;
        }
        writer.begin_row();
        for index in 0..count {
            write_cell(&mut writer, &statement, index, count);
        }
        if !writer.end_row() {
            break;
        }
        tell(writer.row_count());
        for index in &untyped {
            if let Some(class) = statement.value(*index).class() {
                writer.column_type(*index, class);
            }
        }
    }
    drop(statement);
    let mut rows = writer.finish();
    if rows.is_cut_by_rows() && began.elapsed() < count_for {
        let counting = format!("WITH {wrapper} AS ({}\n) SELECT count(*) FROM {wrapper}", sql.text());
        rows.total = handle.within(count_for, || {
            let mut statement = handle.prepare(&counting).ok()?;
            let has_row = statement.step().ok()?;
            has_row.then(|| u64::try_from(statement.integer(0)).ok()).flatten()
        });
        // Rows can be deleted meanwhile.
        rows.total = rows.total.filter(|total| *total > rows.row_count);
    }
    rows.warnings.extend(warning);
    Ok(rows)
}

/// Explains a statement without running it.
pub(super) fn plan(handle: &Handle, sql: &ApprovedSql, rules: &ColumnRules) -> Result<Explanation, ReadError> {
    let _shape = shape(handle, sql, rules)?;
    let text = format!("EXPLAIN QUERY PLAN SELECT * FROM ({}\n)", sql.text());
    let mut statement = handle.prepare(&text)?;
    let mut plan = Vec::new();
    while statement.step()? {
        let mut detail = statement.text(3).unwrap_or_default();
        if !rules.is_empty() {
            // The index is cut off. Its name and columns are not in the statement, and which index is used depends on
            // stored values.
            let end = [" USING ", " VIRTUAL TABLE INDEX "].iter().filter_map(|mark| detail.find(mark)).min();
            detail.truncate(end.unwrap_or(detail.len()));
        }
        plan.push((statement.integer(0), statement.integer(1), detail));
    }
    Ok(Explanation::from_sqlite(plan))
}

/// Wraps the caller's text in a CTE. The outer query replaces masked values, cuts long values and limits the number of
/// rows. After these columns it returns one more column for each: the full length of a cut value, and NULL for any
/// other value.
///
/// `name` is the name of the CTE. No table and no name in the caller's text may be equal to it. Otherwise the text
/// would refer to the CTE, and SQLite would treat the CTE as recursive.
fn wrap(
    name: &str,
    sql: &str,
    columns: usize,
    masked: &BTreeSet<usize>,
    max_cell_bytes: usize,
    max_rows: u64,
) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(sql.len() + 200 * columns + 100);
    let _ = write!(text, "WITH {name}(");
    for index in 1..=columns {
        let comma = if index > 1 { "," } else { "" };
        let _ = write!(text, "{comma}c{index}");
    }
    let _ = write!(text, ") AS ({sql}\n) SELECT ");
    for index in 1..=columns {
        if masked.contains(&(index - 1)) {
            let _ = write!(text, "'{MASK}',");
            continue;
        }
        let _ = write!(
            text,
            "CASE WHEN octet_length(c{index})>{max_cell_bytes} AND typeof(c{index}) IN ('text','blob') \
             THEN substr(c{index},1,{max_cell_bytes}) ELSE c{index} END,"
        );
    }
    for index in 1..=columns {
        let comma = if index > 1 { "," } else { "" };
        if masked.contains(&(index - 1)) {
            let _ = write!(text, "{comma}NULL");
            continue;
        }
        let _ =
            write!(text, "{comma}CASE WHEN octet_length(c{index})>{max_cell_bytes} THEN octet_length(c{index}) END");
    }
    let _ = write!(text, " FROM {name} LIMIT {}", max_rows.saturating_add(1));
    text
}

fn write_cell(writer: &mut ResultWriter, row: &Statement<'_>, index: usize, columns: usize) {
    let full = |bytes: usize| usize::try_from(row.integer(columns + index)).unwrap_or(bytes).max(bytes);
    match row.value(index) {
        Value::Null => writer.cell(Cell::Null),
        Value::Integer(number) => writer.cell(Cell::Integer(number)),
        Value::Real(number) if number.is_finite() => {
            let text = serde_json::Number::from_f64(number).map_or_else(String::new, |number| number.to_string());
            writer.cell(Cell::Float(&text));
        }
        Value::Real(number) => writer.cell(Cell::text(if number > 0.0 { "Infinity" } else { "-Infinity" })),
        Value::Blob(bytes) => {
            let mut text = String::with_capacity(bytes.len() * 2 + 2);
            text.push_str("\\x");
            for byte in bytes {
                for nibble in [byte >> 4, byte & 15] {
                    text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
                }
            }
            writer.cell(Cell::Text { full_bytes: full(bytes.len()) * 2 + 2, text: &text });
        }
        Value::Text(bytes) => {
            // SQLite does not check that TEXT is UTF-8.
            let text = String::from_utf8_lossy(bytes);
            writer.cell(Cell::Text { full_bytes: full(text.len()), text: &text });
        }
    }
}

/// The error has no position: the failed statement is usually the wrapper, and an offset in the wrapper is no position
/// in the caller's text. [`shape`] compiles the caller's text alone and adds the position.
impl From<Fault> for ReadError {
    fn from(fault: Fault) -> Self {
        if fault.is_interrupted() {
            return ReadError::Timeout;
        }
        if fault.is_out_of_memory() {
            return ReadError::NeedsMemory;
        }
        if fault.is_locked() {
            return ReadError::Locked;
        }
        if fault.is_damaged() {
            return ReadError::Unreadable {
                problem: format!("the file is damaged ({})", fault.message),
                remedy: "Restore it from a backup, or save what can be read with `sqlite3 FILE .recover`.".to_owned(),
            };
        }
        if fault.is_no_database() {
            return ReadError::NotSqlite;
        }
        if fault.is_full() {
            return ReadError::Sql {
                message: "the statement needs more than 256 MB of temporary files, or the disk is full".to_owned(),
                hint: Some("Sort or join fewer rows: add conditions, or aggregate first.".to_owned()),
                position: None,
            };
        }
        if fault.is_stale() {
            return ReadError::Stale { message: fault.message };
        }
        if fault.is_too_big() {
            return ReadError::TooBig;
        }
        ReadError::Sql { message: fault.message, hint: None, position: None }
    }
}

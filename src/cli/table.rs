//! Rows as an aligned table for the terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;

use crate::quoting::steers;

/// A table of named columns and rows of JSON cells. A column of numbers and NULL is right-aligned, and so is one of
/// PostgreSQL's types `numeric` and `money`, whose values are texts in JSON. NULL is written as
/// `NULL`. Cells beyond `columns` are left out.
pub(super) fn render(columns: &[Value], rows: &[Value]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = terminal_width() {
        table.set_width(width);
    }
    table.set_header(
        columns.iter().map(|column| column.get("name").and_then(Value::as_str).map(plain).unwrap_or_default()),
    );
    for row in rows {
        table.add_row(row.as_array().into_iter().flatten().take(columns.len()).map(|cell| match cell {
            Value::Null => "NULL".to_owned(),
            Value::String(text) => plain_lines(text),
            other => other.to_string(),
        }));
    }
    for (index, column) in columns.iter().enumerate() {
        let is_exact = matches!(column.get("type").and_then(Value::as_str), Some("numeric" | "money"));
        let is_number = |row: &Value| row.get(index).is_some_and(|cell| cell.is_number() || cell.is_null());
        if !rows.is_empty()
            && (is_exact || rows.iter().all(is_number))
            && let Some(column) = table.column_mut(index)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// The width in characters of the terminal to which standard output is connected. `None` for a pipe or a file.
pub(super) fn terminal_width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}

/// The text on one line. Line feeds and tabs become blanks. All other characters that match [`steers`] are escaped.
/// Otherwise data could overwrite other text in the terminal, or change its reading order.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: char| if steers(c) { c.escape_default().collect::<String>() } else { c.to_string() };
    text.replace(['\n', '\t'], " ").chars().map(shown).collect()
}

/// As [`plain`], but line feeds are kept.
pub(super) fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// Renders the columns and rows of a reply as a table. `None` if the reply lacks the array `columns` or the array `rows`.
/// An empty array is rendered.
pub(super) fn of_reply(reply: &Value) -> Option<String> {
    let columns = reply.get("columns")?.as_array()?;
    let rows = reply.get("rows")?.as_array()?;
    Some(render(columns, rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_stand_on_the_right() {
        let columns =
            [json!({"name": "n", "type": "numeric"}), json!({"name": "i"}), json!({"name": "t", "type": "text"})];
        let shown = render(&columns, &[json!(["10.50", 10, "1"]), json!(["9", null, "10"])]);
        assert!(shown.contains("│     9 ┆ NULL ┆ 10 │"), "{shown}");
    }

    #[test]
    fn what_steers_a_terminal_is_shown_by_its_number() {
        assert_eq!(plain("a\u{1b}[31mb\u{202e}c\n\u{9b}d"), "a\\u{1b}[31mb\\u{202e}c \\u{9b}d");
        for c in ('\0'..='\u{10ffff}').filter(|c| steers(*c) && !['\n', '\t'].contains(c)) {
            let shown = plain_lines(&format!("é{c}\n漢"));
            assert!(!shown.contains(c) && shown.starts_with("é\\") && shown.ends_with("\n漢"), "{shown:?}");
        }
        assert_eq!(('\0'..='\u{10ffff}').filter(|c| steers(*c)).count(), 65 + 15);
        let columns = [serde_json::json!({"name": "n\u{1b}\u{2066}"})];
        let rows = [serde_json::json!(["\u{feff}x\u{7}"])];
        assert!(!render(&columns, &rows).contains(|c| c != '\n' && steers(c)));
    }
}

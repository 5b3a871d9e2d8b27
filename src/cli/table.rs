//! Rows as an aligned table for the terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;

/// Columns with names, rows of JSON cells; numbers stand to the right, NULL shows as such.
pub(super) fn render(columns: &[Value], rows: &[Value]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns.iter().map(|column| column.get("name").and_then(Value::as_str).unwrap_or_default()));
    for row in rows {
        table.add_row(row.as_array().into_iter().flatten().map(|cell| match cell {
            Value::Null => "NULL".to_owned(),
            Value::String(text) => text.split('\n').map(plain).collect::<Vec<_>>().join("\n"),
            other => other.to_string(),
        }));
    }
    for (index, _) in columns.iter().enumerate() {
        let is_number = |row: &Value| row.get(index).is_some_and(|cell| cell.is_number() || cell.is_null());
        if !rows.is_empty()
            && rows.iter().all(is_number)
            && let Some(column) = table.column_mut(index)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// A text without what would steer a terminal: data must not draw over what stands beside it.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().collect::<String>() } else { c.to_string() };
    text.replace(['\n', '\t'], " ").chars().map(shown).collect()
}

/// Columns and rows of a reply, when it has them.
pub(super) fn of_reply(reply: &Value) -> Option<String> {
    let columns = reply.get("columns")?.as_array()?;
    let rows = reply.get("rows")?.as_array()?;
    Some(render(columns, rows))
}

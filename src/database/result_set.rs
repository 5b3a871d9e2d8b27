//! Writes a result set into a reply. Each row is converted once, to the text that the reply contains, inside the limits
//! on rows, bytes and cells. The reply says what was left out. Pure.

use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize};

use super::value::{Cell, MAX_SAFE_INTEGER, cut, is_json_number, json_escaped_len, push_json_string};

/// The format of the rows of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    #[default]
    Json,
    /// RFC 4180, with a header line; NULL is empty and an empty string is `""`.
    Csv,
    Markdown,
}

impl Format {
    /// The format with this name, in upper or lower case.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "json" => Some(Format::Json),
            "csv" => Some(Format::Csv),
            "markdown" => Some(Format::Markdown),
            _ => None,
        }
    }
}

/// Name and type of a result column. On SQLite the type of an expression is `None` until a row has a value for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultColumn {
    pub name: String,
    pub type_name: Option<String>,
}

/// Limits of one reply.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Budget {
    pub max_rows: u64,
    /// Bytes of the whole reply as JSON.
    pub max_reply_bytes: usize,
    /// Bytes of the text of one cell. A longer text is cut; numbers are never cut.
    pub max_cell_bytes: usize,
    /// Bytes of the reply that are kept free for fields that the caller adds.
    pub reserved_bytes: usize,
}

/// Bytes reserved for the fields after the rows: counts, flags, the hint.
const TRAILER_BYTES: usize = 400;

/// A finished result set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResultSet {
    pub columns: Vec<ResultColumn>,
    pub row_count: u64,
    /// The limits that left something out, in this order: `rows` or `bytes` (rows are missing), `cells` (a cell is cut).
    #[serde(deserialize_with = "limits_by_name")]
    pub truncated_by: Vec<&'static str>,
    /// The number of all rows of the statement, if rows are missing and they were counted.
    #[serde(default)]
    pub total: Option<u64>,
    format: Format,
    /// JSON: the rows, separated by commas. CSV and Markdown: the whole text.
    body: String,
    /// Row, column and full length in bytes of each cut cell. Rows and columns count from 0.
    cut_cells: Vec<(u64, usize, usize)>,
    /// The largest `max_rows` that a call may ask for. The hint names it.
    max_rows_ceiling: u64,
    /// What the caller has to know to understand the values. [`ResultSet::push_fields`] does not write the warnings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Reads `truncated_by`, whose names are static texts.
fn limits_by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<&'static str>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let known = |name: &String| ["rows", "bytes", "cells"].into_iter().find(|known| known == name);
    names.iter().map(|name| known(name).ok_or_else(|| serde::de::Error::custom("unknown limit"))).collect()
}

/// The column list alone exceeds the limit of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderTooLong {
    /// Bytes of the column list and of the reserved bytes. The header line of CSV and Markdown does not count.
    pub bytes: usize,
}

/// Writes cells and enforces the limits. A row that does not fit as a whole is left out.
#[derive(Debug)]
pub struct ResultWriter {
    set: ResultSet,
    budget: usize,
    max_cell_bytes: usize,
    max_rows: u64,
    row_start: usize,
    cells_in_row: usize,
    cuts_before_row: usize,
    /// Bytes of the body and of the list of cut cells in the reply.
    encoded_bytes: usize,
    scratch: String,
}

impl ResultWriter {
    /// # Errors
    ///
    /// [`HeaderTooLong`] if the column list alone does not fit.
    pub fn new(
        columns: Vec<ResultColumn>,
        format: Format,
        budget: Budget,
        max_rows_ceiling: u64,
    ) -> Result<Self, HeaderTooLong> {
        let header: usize = columns
            .iter()
            .map(|column| {
                json_escaped_len(&column.name) + column.type_name.as_deref().map_or(20, json_escaped_len) + 24
            })
            .sum();
        let used = header + budget.reserved_bytes + TRAILER_BYTES;
        let mut writer = ResultWriter {
            set: ResultSet {
                columns,
                row_count: 0,
                truncated_by: Vec::new(),
                total: None,
                format,
                body: String::new(),
                cut_cells: Vec::new(),
                max_rows_ceiling,
                warnings: Vec::new(),
            },
            budget: budget.max_reply_bytes.saturating_sub(used),
            max_cell_bytes: budget.max_cell_bytes,
            max_rows: budget.max_rows,
            row_start: 0,
            cells_in_row: 0,
            cuts_before_row: 0,
            encoded_bytes: 0,
            scratch: String::new(),
        };
        writer.write_header();
        if used > budget.max_reply_bytes || writer.encoded_bytes > writer.budget {
            return Err(HeaderTooLong { bytes: used });
        }
        Ok(writer)
    }

    fn write_header(&mut self) {
        let names: Vec<String> = self.set.columns.iter().map(|column| column.name.clone()).collect();
        match self.set.format {
            Format::Json => return,
            Format::Csv => {
                for (index, name) in names.iter().enumerate() {
                    if index > 0 {
                        self.set.body.push(',');
                    }
                    push_csv(&mut self.set.body, name);
                }
                self.set.body.push_str("\r\n");
            }
            Format::Markdown => {
                self.set.body.push('|');
                for name in &names {
                    self.set.body.push(' ');
                    push_markdown(&mut self.set.body, name);
                    self.set.body.push_str(" |");
                }
                self.set.body.push_str("\n|");
                self.set.body.push_str(&" --- |".repeat(names.len()));
                self.set.body.push('\n');
            }
        }
        self.encoded_bytes = json_escaped_len(&self.set.body);
    }

    /// True if another row may be written. False if the limit on rows is reached. Then call [`ResultWriter::more_rows`]
    /// if the database has another row.
    pub fn wants_row(&self) -> bool {
        self.set.row_count < self.max_rows
    }

    /// Returns the number of rows written so far.
    pub fn row_count(&self) -> u64 {
        self.set.row_count
    }

    /// Records that a row beyond the limit exists.
    pub fn more_rows(&mut self) {
        self.set.truncated_by.push("rows");
    }

    /// Begins a row.
    pub fn begin_row(&mut self) {
        self.row_start = self.set.body.len();
        self.cuts_before_row = self.set.cut_cells.len();
        self.cells_in_row = 0;
        match self.set.format {
            Format::Json => {
                if self.set.row_count > 0 {
                    self.set.body.push(',');
                }
                self.set.body.push('[');
            }
            Format::Csv => {}
            Format::Markdown => self.set.body.push('|'),
        }
    }

    /// Writes the row's next cell. A text over the limit on cells is cut.
    pub fn cell(&mut self, cell: Cell<'_>) {
        let index = self.cells_in_row;
        self.cells_in_row += 1;
        let cell = match cell {
            Cell::Text { text, full_bytes } if full_bytes > self.max_cell_bytes => {
                self.set.cut_cells.push((self.set.row_count, index, full_bytes));
                Cell::text(cut(text, self.max_cell_bytes))
            }
            other => other,
        };
        let out = &mut self.set.body;
        match self.set.format {
            Format::Json => {
                if index > 0 {
                    out.push(',');
                }
                push_json_cell(out, cell);
            }
            Format::Csv | Format::Markdown => {
                self.scratch.clear();
                let text = plain_text(&mut self.scratch, cell);
                if self.set.format == Format::Csv {
                    if index > 0 {
                        out.push(',');
                    }
                    if let Some(text) = text {
                        push_csv(out, text);
                    }
                } else {
                    out.push(' ');
                    push_markdown(out, text.unwrap_or("NULL"));
                    out.push_str(" |");
                }
            }
        }
    }

    /// Ends a row. False if the row did not fit. Then the row is removed, and no more rows may be written.
    pub fn end_row(&mut self) -> bool {
        match self.set.format {
            Format::Json => self.set.body.push(']'),
            Format::Csv => self.set.body.push_str("\r\n"),
            Format::Markdown => self.set.body.push('\n'),
        }
        let row = self.set.body.get(self.row_start..).unwrap_or_default();
        let bytes = if self.set.format == Format::Json { row.len() } else { json_escaped_len(row) };
        // `[row,column,bytes],` takes at most 32 bytes if its three numbers have at most 27 digits together.
        let cuts = (self.set.cut_cells.len() - self.cuts_before_row) * 32;
        if self.encoded_bytes + bytes + cuts > self.budget {
            self.set.body.truncate(self.row_start);
            self.set.cut_cells.truncate(self.cuts_before_row);
            self.set.truncated_by.push("bytes");
            return false;
        }
        self.encoded_bytes += bytes + cuts;
        self.set.row_count += 1;
        true
    }

    /// Sets the type of a column whose type only its values show (expressions on SQLite). A known type stays.
    pub fn column_type(&mut self, index: usize, type_name: &str) {
        if let Some(column) = self.set.columns.get_mut(index)
            && column.type_name.is_none()
        {
            column.type_name = Some(type_name.to_owned());
        }
    }

    pub fn finish(mut self) -> ResultSet {
        if !self.set.cut_cells.is_empty() {
            self.set.truncated_by.push("cells");
        }
        self.set
    }
}

/// A number with commas between groups of three digits: `1,297`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl ResultSet {
    /// True if rows are missing or cells are cut.
    pub fn is_truncated(&self) -> bool {
        !self.truncated_by.is_empty()
    }

    /// True if rows are missing.
    pub fn has_more_rows(&self) -> bool {
        self.truncated_by.iter().any(|limit| *limit != "cells")
    }

    /// True if rows beyond `max_rows` are missing, and no row was left out because of the limit on bytes.
    pub fn is_cut_by_rows(&self) -> bool {
        self.truncated_by.contains(&"rows") && !self.truncated_by.contains(&"bytes")
    }

    /// The number of rows: `1 row` or `2 rows`. If rows are missing: `1,297 rows` if all were counted, otherwise
    /// `at least 100 rows`.
    pub fn count_in_words(&self) -> String {
        let count = self.total.unwrap_or(self.row_count);
        let are_more = self.total.is_none() && self.has_more_rows();
        let rows = if count == 1 { "row" } else { "rows" };
        format!("{}{} {rows}", if are_more { "at least " } else { "" }, thousands(count))
    }

    /// Appends the fields of a result set (`"columns":..` to `"cut_cells":..`), without braces.
    pub fn push_fields(&self, out: &mut String) {
        out.push_str("\"columns\":[");
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str("{\"name\":");
            push_json_string(out, &column.name);
            if let Some(type_name) = &column.type_name {
                out.push_str(",\"type\":");
                push_json_string(out, type_name);
            }
            out.push('}');
        }
        match self.format {
            Format::Json => {
                out.push_str("],\"rows\":[");
                out.push_str(&self.body);
                out.push(']');
            }
            Format::Csv | Format::Markdown => {
                out.push_str("],\"format\":\"");
                out.push_str(if self.format == Format::Csv { "csv" } else { "markdown" });
                out.push_str("\",\"text\":");
                push_json_string(out, &self.body);
            }
        }
        let _ = write!(out, ",\"row_count\":{},\"truncated\":{}", self.row_count, self.is_truncated());
        if self.is_truncated() {
            let _ = write!(out, ",\"truncated_by\":[\"{}\"]", self.truncated_by.join("\",\""));
            let _ = write!(out, ",\"hint\":\"{}\"", self.hint());
        }
        if !self.cut_cells.is_empty() {
            out.push_str(",\"cut_cells\":[");
            for (index, (row, column, bytes)) in self.cut_cells.iter().enumerate() {
                let comma = if index > 0 { "," } else { "" };
                let _ = write!(out, "{comma}[{row},{column},{bytes}]");
            }
            out.push(']');
        }
    }

    fn hint(&self) -> String {
        let mut parts = Vec::new();
        let rows = match self.row_count {
            1 => "row".to_owned(),
            count => format!("{count} rows"),
        };
        if self.truncated_by.contains(&"bytes") {
            parts.push(format!(
                "the first {rows} fit the reply's byte limit; more exist: select fewer columns, aggregate, or page with \
                 LIMIT and OFFSET"
            ));
        } else if self.truncated_by.contains(&"rows") {
            let ceiling = self.max_rows_ceiling;
            let shown = match self.total {
                Some(total) => format!("{} of {} rows", thousands(self.row_count), thousands(total)),
                None => format!("the first {rows}; more exist"),
            };
            parts.push(format!("{shown}: add a WHERE, aggregate, or pass max_rows up to {ceiling}"));
        }
        if self.truncated_by.contains(&"cells") {
            parts.push("the cells in cut_cells are cut: read the rest with substr(column, start, length)".to_owned());
        }
        parts.join("; ")
    }

    /// Returns the rows as the text of a JSON array; empty for the other formats.
    pub fn rows_json(&self) -> String {
        match self.format {
            Format::Json => format!("[{}]", self.body),
            Format::Csv | Format::Markdown => "[]".into(),
        }
    }

    /// Returns the text of a CSV or Markdown reply; empty for JSON.
    pub fn text(&self) -> &str {
        match self.format {
            Format::Json => "",
            Format::Csv | Format::Markdown => &self.body,
        }
    }
}

fn push_json_cell(out: &mut String, cell: Cell<'_>) {
    match cell {
        Cell::Null => out.push_str("null"),
        Cell::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Cell::Integer(value) if value.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs() => {
            let _ = write!(out, "{value}");
        }
        Cell::Integer(value) => {
            let _ = write!(out, "\"{value}\"");
        }
        Cell::Float(text) if is_json_number(text) => out.push_str(text),
        Cell::Float(text) | Cell::Digits(text) | Cell::Text { text, .. } => push_json_string(out, text),
    }
}

/// Returns the text of a cell; `None` for NULL.
fn plain_text<'a>(scratch: &'a mut String, cell: Cell<'a>) -> Option<&'a str> {
    match cell {
        Cell::Null => None,
        Cell::Bool(value) => Some(if value { "true" } else { "false" }),
        Cell::Integer(value) => {
            let _ = write!(scratch, "{value}");
            Some(scratch)
        }
        Cell::Float(text) | Cell::Digits(text) | Cell::Text { text, .. } => Some(text),
    }
}

/// RFC 4180: a field with a comma, a quote or a line break is quoted, and its quotes are doubled. An empty text is
/// quoted too, because NULL is written as nothing.
fn push_csv(out: &mut String, text: &str) {
    if !text.is_empty() && !text.contains(['"', ',', '\r', '\n']) {
        out.push_str(text);
        return;
    }
    out.push('"');
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

/// Escapes the characters that would end a cell or begin an escape. Each line break becomes `<br>`.
fn push_markdown(out: &mut String, text: &str) {
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '|' => out.push_str("\\|"),
            '\\' => out.push_str("\\\\"),
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' | '\r' => out.push_str("<br>"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(format: Format, max_rows: u64, max_reply_bytes: usize) -> ResultWriter {
        let columns = vec![
            ResultColumn { name: "id".into(), type_name: Some("bigint".into()) },
            ResultColumn { name: "a|b".into(), type_name: None },
        ];
        let budget = Budget { max_rows, max_reply_bytes, max_cell_bytes: 4, reserved_bytes: 0 };
        ResultWriter::new(columns, format, budget, 10_000).unwrap()
    }

    fn row(writer: &mut ResultWriter, id: i64, text: Cell<'_>) -> bool {
        writer.begin_row();
        writer.cell(Cell::Integer(id));
        writer.cell(text);
        writer.end_row()
    }

    fn fields(set: &ResultSet) -> serde_json::Value {
        let mut out = String::from("{");
        set.push_fields(&mut out);
        out.push('}');
        serde_json::from_str(&out).unwrap()
    }

    #[test]
    fn cells_are_exact_and_cuts_are_told() {
        let mut w = writer(Format::Json, 10, 10_000);
        assert!(row(&mut w, MAX_SAFE_INTEGER, Cell::text("ok")));
        assert!(row(&mut w, MAX_SAFE_INTEGER + 1, Cell::text("ééé")));
        assert!(row(&mut w, -1, Cell::Float("NaN")));
        assert!(row(&mut w, 0, Cell::Digits("12345.678900")));
        let json = fields(&w.finish());
        assert_eq!(
            json["rows"].to_string(),
            r#"[[9007199254740992,"ok"],["9007199254740993","éé"],[-1,"NaN"],[0,"12345.678900"]]"#
        );
        assert_eq!(json["cut_cells"].to_string(), "[[1,1,6]]");
        assert_eq!((&json["truncated"], json["truncated_by"].to_string()), (&true.into(), r#"["cells"]"#.to_owned()));
        let mut w = writer(Format::Json, 1, 10_000);
        assert!(row(&mut w, 1, Cell::text("ééé")) && !w.wants_row());
        w.more_rows();
        let json = fields(&w.finish());
        assert_eq!(json["truncated_by"].to_string(), r#"["rows","cells"]"#);
        assert_eq!(
            json["hint"],
            "the first row; more exist: add a WHERE, aggregate, or pass max_rows up to 10000; the cells in cut_cells are cut: \
             read the rest with substr(column, start, length)"
        );
        let mut w = writer(Format::Json, 1, 10_000);
        assert!(row(&mut w, 1, Cell::text("ok")));
        assert_eq!(fields(&w.finish())["truncated"], false);
    }

    #[test]
    fn a_reply_never_passes_its_bytes() {
        for format in [Format::Json, Format::Csv, Format::Markdown] {
            for limit in 700..760 {
                let mut w = writer(format, 1_000, limit);
                while row(&mut w, 1, Cell::text("\"\n|x long")) {}
                let set = w.finish();
                assert_eq!(set.truncated_by, ["bytes", "cells"]);
                let mut out = String::from("{");
                set.push_fields(&mut out);
                out.push('}');
                assert!(out.len() <= limit, "{} > {limit}", out.len());
                assert!(set.row_count > 0);
            }
        }
    }

    #[test]
    fn csv_and_markdown_escape() {
        let mut w = writer(Format::Csv, 10, 10_000);
        row(&mut w, 1, Cell::text("a,\"b"));
        row(&mut w, 2, Cell::Null);
        row(&mut w, 3, Cell::text(""));
        assert_eq!(w.finish().text(), "id,a|b\r\n1,\"a,\"\"b\"\r\n2,\r\n3,\"\"\r\n");
        let mut w = writer(Format::Markdown, 10, 10_000);
        row(&mut w, 1, Cell::text("a|\n"));
        assert_eq!(w.finish().text(), "| id | a\\|b |\n| --- | --- |\n| 1 | a\\|<br> |\n");
    }

    #[test]
    fn a_column_list_over_the_limit_is_an_error() {
        let columns = vec![ResultColumn { name: "x".repeat(2_000), type_name: None }];
        let budget = Budget { max_rows: 1, max_reply_bytes: 1_000, max_cell_bytes: 10, reserved_bytes: 0 };
        assert!(ResultWriter::new(columns, Format::Json, budget, 10).is_err());
    }
}

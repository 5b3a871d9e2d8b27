//! A chart of a result: a line for a time series of three or more values, else bars. Decides what is drawn; `terminal`
//! and `png` draw it. Pure.

mod png;
mod terminal;

use serde_json::Value;

pub use png::render as png;
pub use terminal::render as terminal;

/// Maximum bars of a chart, and points of a line.
const MAX_MARKS: usize = 30;

/// A chart that can be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Bars, or a line for a time series of three or more marks.
    pub kind: Kind,
    pub title: String,
    /// Name of the column with the labels.
    pub label: String,
    /// Name of the column with the measure.
    pub measure: String,
    /// 2 to [`MAX_MARKS`]. Times in their order, others by falling value.
    pub marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bars,
    Line,
}

/// One bar, or one point of a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    pub label: String,
    pub value: f64,
    /// The value as the result has it.
    pub text: String,
}

impl Chart {
    /// Chooses the chart of a result. `columns` and `rows` are those of a reply.
    ///
    /// # Errors
    ///
    /// One clause that says why this result has no chart.
    pub fn of(title: &str, columns: &[Value], rows: &[Value]) -> Result<Self, String> {
        if rows.len() < 2 {
            return Err("a chart needs at least two rows".to_owned());
        }
        if rows.len() > MAX_MARKS {
            return Err(format!("the result has {} rows, and a chart shows at most {MAX_MARKS}", rows.len()));
        }
        let cells = |at: usize| rows.iter().map(move |row| row.get(at).unwrap_or(&Value::Null));
        let name = |at: usize| columns.get(at).and_then(|column| column.get("name")?.as_str()).unwrap_or_default();
        let type_of = |at: usize| columns.get(at).and_then(|column| column.get("type")?.as_str()).unwrap_or_default();
        let is_key = |at: usize| {
            let name = name(at).to_lowercase();
            columns.len() > 2 && (name == "id" || name.ends_with("_id"))
        };
        let is_time =
            |at: usize| cells(at).all(|cell| cell.as_str().is_some_and(is_time)) || is_period(name(at), cells(at));
        let is_measure = |at: usize| {
            let is_number = |cell: &Value| cell.is_null() || number(cell, type_of(at)).is_some();
            cells(at).all(is_number) && cells(at).any(|cell| !cell.is_null())
        };
        let places: Vec<usize> = (0..columns.len()).filter(|at| !is_key(*at)).collect();
        let labels: Vec<usize> = places.iter().copied().filter(|at| is_time(*at) || !is_measure(*at)).collect();
        let measures: Vec<usize> = places.iter().copied().filter(|at| !is_time(*at) && is_measure(*at)).collect();
        let ([label], [measure]) = (labels.as_slice(), measures.as_slice()) else {
            return Err("a chart needs one column of labels and one of numbers".to_owned());
        };
        let (label, measure) = (*label, *measure);
        let mut marks: Vec<Mark> = cells(label)
            .zip(cells(measure))
            .filter_map(|(name, cell)| {
                Some(Mark { label: text_of(name), value: number(cell, type_of(measure))?, text: text_of(cell) })
            })
            .collect();
        if marks.len() < 2 {
            return Err("fewer than two rows have a number".to_owned());
        }
        let mut names: Vec<&str> = marks.iter().map(|mark| mark.label.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() < marks.len() {
            return Err(format!("several rows have the same {}", name(label)));
        }
        let kind = if is_time(label) {
            // Times that are numbers are compared so: 9 comes before 10.
            let place = |mark: &Mark| mark.label.parse::<u32>().ok();
            marks.sort_by(|one, other| place(one).cmp(&place(other)).then_with(|| one.label.cmp(&other.label)));
            if marks.len() > 2 { Kind::Line } else { Kind::Bars }
        } else {
            marks.sort_by(|one, other| other.value.total_cmp(&one.value));
            Kind::Bars
        };
        Ok(Chart {
            kind,
            title: title.to_owned(),
            label: name(label).to_owned(),
            measure: name(measure).to_owned(),
            marks,
        })
    }

    /// What the chart shows, for people: `bars of revenue by name`.
    pub fn described(&self) -> String {
        let kind = match self.kind {
            Kind::Bars => "bars",
            Kind::Line => "line",
        };
        format!("{kind} of {} by {}", self.measure, self.label)
    }
}

fn text_of(cell: &Value) -> String {
    match cell {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The value of a cell. Decimals and large integers come as text, so the text is parsed in columns of such types.
fn number(cell: &Value, type_of: &str) -> Option<f64> {
    let is_decimal =
        ["numeric", "decimal", "bigint", "integer"].iter().any(|name| type_of.to_lowercase().starts_with(name));
    let value = match cell {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) if is_decimal => text.parse().ok()?,
        _ => return None,
    };
    // Axes are computed from differences, which must stay finite.
    (value.abs() < 1e300).then_some(value)
}

/// True for an ISO 8601 month, week, date or timestamp, or `2026-Q1`.
fn is_time(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range).is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_quarter = text.len() == 7 && text.get(5..6) == Some("Q") && digits(6..7);
    let is_week = text.len() == 8 && text.get(5..6) == Some("W") && digits(6..8);
    digits(0..4)
        && text.get(4..5) == Some("-")
        && (is_quarter
            || is_week
            || digits(5..7)
                && (text.len() == 7
                    || text.get(7..8) == Some("-")
                        && digits(8..10)
                        && matches!(text.get(10..11), None | Some("" | " " | "T"))))
}

/// True for a column of whole numbers whose name ends with a part of time: `year`, but not `per_day`.
fn is_period<'a>(name: &str, mut cells: impl Iterator<Item = &'a Value>) -> bool {
    let name = name.to_lowercase();
    let mut parts = name.rsplit(['_', ' ']);
    let is_part =
        parts.next().is_some_and(|part| matches!(part, "year" | "month" | "quarter" | "week" | "day" | "hour"))
            && parts.next() != Some("per");
    is_part
        && cells.all(|cell| cell.as_i64().is_some() || cell.as_str().is_some_and(|text| text.parse::<u32>().is_ok()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chart(columns: &Value, rows: &Value) -> Result<Chart, String> {
        Chart::of("t", columns.as_array().unwrap(), rows.as_array().unwrap())
    }

    fn names(columns: &[&str]) -> Value {
        columns.iter().map(|name| json!({"name": name})).collect()
    }

    #[test]
    fn one_label_and_one_measure_are_bars_in_order() {
        let found = chart(&names(&["name", "n"]), &json!([["a", 1], ["b", 3], [null, 2]])).unwrap();
        assert_eq!(found.kind, Kind::Bars);
        let labels: Vec<&str> = found.marks.iter().map(|mark| mark.label.as_str()).collect();
        assert_eq!(labels, ["b", "NULL", "a"]);
        assert_eq!(found.described(), "bars of n by name");
        // A key beside the label is left out, and numbers of PostgreSQL come as text.
        let columns = json!([{"name": "id"}, {"name": "name"}, {"name": "total", "type": "numeric"}]);
        assert_eq!(chart(&columns, &json!([[7, "a", "1.50"], [8, "b", "20"]])).unwrap().marks[0].text, "20");
    }

    #[test]
    fn times_are_a_line_in_their_order() {
        for labels in [
            ["2026-02", "2026-01", "2026-03"],
            ["2026-01-02", "2026-01-01", "2026-01-03"],
            ["2026-Q2", "2026-Q1", "2026-Q3"],
        ] {
            let found =
                chart(&names(&["month", "n"]), &json!([[labels[0], 1], [labels[1], 3], [labels[2], 2]])).unwrap();
            assert_eq!((found.kind, found.marks[0].value), (Kind::Line, 3.0), "{labels:?}");
        }
        let found = chart(&names(&["year", "n"]), &json!([[2025, 10], [2024, 20], [2026, 5]])).unwrap();
        assert_eq!((found.kind, found.marks[0].label.as_str()), (Kind::Line, "2024"));
        let months: Value = (1..=12).rev().map(|month| json!([month, 12 - month])).collect();
        let found = chart(&names(&["order_month", "n"]), &months).unwrap();
        let labels: Vec<&str> = found.marks.iter().map(|mark| mark.label.as_str()).collect();
        assert_eq!(labels[7..], ["8", "9", "10", "11", "12"]);
        let found = chart(&names(&["name", "orders_per_day"]), &json!([["a", 1], ["b", 2]])).unwrap();
        assert_eq!(found.kind, Kind::Bars);
    }

    #[test]
    fn what_has_no_chart_says_why() {
        let many: Value = (0..31).map(|n| json!([format!("a{n}"), n])).collect();
        for (columns, rows, why) in [
            (names(&["n"]), json!([[1], [2]]), "one column of labels"),
            (names(&["a", "n"]), json!([["x", 1]]), "at least two rows"),
            (names(&["a", "n"]), many, "at most 30"),
            (names(&["a", "b"]), json!([["x", "y"], ["z", "w"]]), "one column of labels"),
            (names(&["a", "n", "m"]), json!([["x", 1, 2], ["y", 1, 2]]), "one of numbers"),
            (names(&["a", "n"]), json!([["x", 1], ["x", 2]]), "the same a"),
            (names(&["a", "n"]), json!([["x", null], ["y", 2]]), "fewer than two"),
        ] {
            let error = chart(&columns, &rows).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}

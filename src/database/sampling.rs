//! Writes the statements that sample a table for `describe_table`, and reads their results for each column. Pure: the
//! gateway runs the statements like those of any caller.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::catalog::{Column, TableDescription};
use crate::dialect::Dialect;
use crate::quoting;

/// Maximum rows from which the share of NULLs and the smallest and greatest values are computed. If a table has more
/// rows, these are the first rows that the database returns.
pub const COUNTED_ROWS: u64 = 50_000;
/// Maximum rows from which examples are chosen.
pub const EXAMPLE_ROWS: u64 = 500;
/// Maximum columns of a table that are sampled.
const MOST_COLUMNS: usize = 60;
/// Maximum examples of a column.
const MOST_EXAMPLES: usize = 5;
/// Maximum characters of a text in a sample.
const TEXT_CHARACTERS: usize = 60;

/// How the values of a column are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Numbers and times: they are shown as they are.
    Ordered,
    /// Texts: their beginning is shown.
    Text,
    /// Booleans and UUIDs: examples are shown, but no smallest and greatest value.
    Plain,
    /// Any other type: only NULLs are counted.
    Opaque,
}

/// The statements that sample one table.
#[derive(Debug)]
pub struct Sampling {
    /// Positions of the sampled columns in the table.
    columns: Vec<(usize, Kind)>,
    /// One row: the number of rows, and for each column the number of values, the smallest and the greatest value.
    pub counts: String,
    /// At most [`EXAMPLE_ROWS`] rows of the columns that have examples. `None` if no column has any.
    pub rows: Option<String>,
}

fn kind(dialect: Dialect, column: &Column) -> Kind {
    let mut name = column.type_name.to_lowercase();
    // SQLite takes any text as a type, also one with the parentheses the other way round.
    if let Some(open) = name.find('(')
        && let Some(length) = name.get(open..).and_then(|rest| rest.find(')'))
    {
        name.replace_range(open..=open + length, "");
    }
    if dialect == Dialect::Sqlite {
        // A value may be of another type than its column declares.
        return if name.contains("blob") { Kind::Opaque } else { Kind::Text };
    }
    match name.trim() {
        "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" | "date" => Kind::Ordered,
        "timestamp with time zone" | "timestamp without time zone" => Kind::Ordered,
        "time without time zone" | "time with time zone" | "interval" => Kind::Ordered,
        "text" | "character varying" | "character" => Kind::Text,
        "boolean" | "uuid" => Kind::Plain,
        _ => Kind::Opaque,
    }
}

/// The statements for a table. `None` if it has no column whose values may be shown.
pub fn statements(table: &TableDescription) -> Option<Sampling> {
    let dialect = table.dialect();
    let shown = table.columns.iter().enumerate().filter(|(_, column)| !column.masked);
    let columns: Vec<(usize, Kind)> =
        shown.map(|(at, column)| (at, kind(dialect, column))).take(MOST_COLUMNS).collect();
    if columns.is_empty() {
        return None;
    }
    let from = quoting::table(dialect, &table.name);
    let spelt = |at: usize| table.columns.get(at).map(|column| table.spelt_column(&column.name)).unwrap_or_default();
    let shown = |at: usize, kind: Kind| match (dialect, kind) {
        (Dialect::Sqlite, Kind::Text) => {
            let name = spelt(at);
            format!(
                "CASE typeof({name}) WHEN 'text' THEN substr({name}, 1, {TEXT_CHARACTERS}) WHEN 'blob' THEN NULL \
                 ELSE {name} END"
            )
        }
        (_, Kind::Text) => format!("left({}, {TEXT_CHARACTERS})", spelt(at)),
        _ => spelt(at),
    };
    let mut counts = String::from("SELECT count(*)");
    for (n, (_, kind)) in columns.iter().enumerate() {
        let _ = write!(counts, ", count(n{n})");
        if matches!(kind, Kind::Ordered | Kind::Text) {
            let _ = write!(counts, ", min(c{n}), max(c{n})");
        }
    }
    counts.push_str(" FROM (SELECT ");
    for (n, (at, kind)) in columns.iter().enumerate() {
        let comma = if n > 0 { ", " } else { "" };
        let _ = write!(counts, "{comma}{} AS n{n}", spelt(*at));
        if matches!(kind, Kind::Ordered | Kind::Text) {
            let _ = write!(counts, ", {} AS c{n}", shown(*at, *kind));
        }
    }
    let _ = write!(counts, " FROM {from} LIMIT {COUNTED_ROWS}) AS sampled");
    let shown: Vec<String> = columns
        .iter()
        .filter(|(at, kind)| has_examples(table, *at, *kind))
        .map(|(at, kind)| shown(*at, *kind))
        .collect();
    let rows = (!shown.is_empty()).then(|| format!("SELECT {} FROM {from} LIMIT {EXAMPLE_ROWS}", shown.join(", ")));
    Some(Sampling { columns, counts, rows })
}

/// Whether examples of a column are shown: its type has examples, and its values are not already listed.
fn has_examples(table: &TableDescription, at: usize, kind: Kind) -> bool {
    kind != Kind::Opaque && table.columns.get(at).is_some_and(|column| column.values.is_empty())
}

impl Sampling {
    /// The fields `nulls`, `min`, `max` and `examples` of each sampled column, by its position in the table, and the
    /// number of rows that were counted. `counted` and `rows` are the rows of the two results.
    pub fn read(
        &self,
        table: &TableDescription,
        counted: &[Value],
        rows: &[Value],
    ) -> (HashMap<usize, Map<String, Value>>, u64) {
        let mut found: HashMap<usize, Map<String, Value>> = HashMap::new();
        let mut cells = counted.first().and_then(Value::as_array).map_or(&[][..], Vec::as_slice).iter();
        let all = cells.next().and_then(Value::as_u64).unwrap_or(0);
        for (at, kind) in &self.columns {
            let fields = found.entry(*at).or_default();
            let values = cells.next().and_then(Value::as_u64);
            if let Some(values) = values.filter(|_| all > 0) {
                let share = 1.0 - values as f64 / all as f64;
                fields.insert("nulls".into(), json!((share * 10_000.0).round() / 10_000.0));
            }
            if matches!(kind, Kind::Ordered | Kind::Text) {
                for name in ["min", "max"] {
                    if let Some(value) = cells.next().filter(|value| !value.is_null()) {
                        fields.insert(name.into(), value.clone());
                    }
                }
            }
        }
        let listed = self.columns.iter().filter(|(at, kind)| has_examples(table, *at, *kind));
        for (n, (at, _)) in listed.enumerate() {
            // The most frequent values come first. Values of the same frequency stay in the order of the rows.
            let mut seen: Vec<(&Value, usize)> = Vec::new();
            let mut places: HashMap<String, usize> = HashMap::new();
            for value in rows.iter().filter_map(|row| row.get(n)).filter(|value| !value.is_null()) {
                let place = *places.entry(value.to_string()).or_insert(seen.len());
                match seen.get_mut(place) {
                    Some((_, count)) => *count += 1,
                    None => seen.push((value, 1)),
                }
            }
            seen.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            let examples: Vec<&Value> = seen.into_iter().map(|(value, _)| value).take(MOST_EXAMPLES).collect();
            if !examples.is_empty() {
                found.entry(*at).or_default().insert("examples".into(), json!(examples));
            }
        }
        (found, all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TableDescription {
        let columns = json!([{"name": "id", "type": "integer"}, {"name": "secret", "type": "text", "masked": true},
            {"name": "note", "type": "character varying(20)"}, {"name": "state", "type": "text", "values": ["a", "b"]},
            {"name": "body", "type": "jsonb"}, {"name": "ok", "type": "boolean"}]);
        serde_json::from_value(
            json!({"name": "public.t", "kind": "table", "columns": columns, "kin": [["public", "t"]]}),
        )
        .unwrap()
    }

    #[test]
    fn each_column_is_sampled_as_its_type_allows() {
        let sampling = statements(&table()).unwrap();
        assert_eq!(
            sampling.counts,
            "SELECT count(*), count(n0), min(c0), max(c0), count(n1), min(c1), max(c1), count(n2), min(c2), max(c2), count(n3), \
             count(n4) FROM (SELECT id AS n0, id AS c0, note AS n1, left(note, 60) AS c1, state AS n2, left(state, 60) AS c2, \
             body AS n3, ok AS n4 FROM public.t LIMIT 50000) AS sampled"
        );
        assert_eq!(sampling.rows.as_deref(), Some("SELECT id, left(note, 60), ok FROM public.t LIMIT 500"));
        let counted = json!([[4, 4, 1, 9, 2, "a", "z", 4, "a", "b", 0, 3]]);
        let rows = json!([[1, "z", true], [9, "a", false], [2, "z", true], [3, null, null]]);
        let (found, all) = sampling.read(&table(), counted.as_array().unwrap(), rows.as_array().unwrap());
        let column = |at: usize| Value::Object(found[&at].clone()).to_string();
        assert_eq!(all, 4);
        assert_eq!(column(0), r#"{"nulls":0.0,"min":1,"max":9,"examples":[1,9,2,3]}"#);
        assert_eq!(column(2), r#"{"nulls":0.5,"min":"a","max":"z","examples":["z","a"]}"#);
        assert_eq!(column(3), r#"{"nulls":0.0,"min":"a","max":"b"}"#);
        assert_eq!(column(4), r#"{"nulls":1.0}"#);
        assert_eq!(column(5), r#"{"nulls":0.25,"examples":[true,false]}"#);
        assert!(!found.contains_key(&1), "a masked column is never sampled");
    }

    #[test]
    fn any_text_may_be_a_type() {
        for type_name in ["x)y(z", ")(", "a(b", "numeric(10,2)", "timestamp(3) without time zone", "é(ü)"] {
            let column = Column::new("c".into(), type_name.into());
            kind(Dialect::Sqlite, &column);
            kind(Dialect::Postgresql, &column);
        }
        let of = |name: &str| kind(Dialect::Postgresql, &Column::new("c".into(), name.into()));
        assert_eq!((of("numeric(10,2)"), of("timestamp(3) without time zone")), (Kind::Ordered, Kind::Ordered));
    }

    #[test]
    fn an_empty_table_has_no_shares() {
        let (found, all) = statements(&table()).unwrap().read(&table(), &[json!([0, 0, null, null])], &[]);
        assert_eq!((all, found[&0].len()), (0, 0));
    }
}

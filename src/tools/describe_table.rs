//! `describe_table`: the descriptions of one or more tables, shortened to the byte limit of a reply.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rmcp::model::Tool;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{View, tool as define};
use crate::database::catalog::TableDescription;
use crate::database::sampling::COUNTED_ROWS;
use crate::database::value::cut;
use crate::error::ToolError;
use crate::gateway::{Caller, DescribeTable, Described, Gateway, Read};

/// Time limit of all samples of one call.
const SAMPLE_TIME: Duration = Duration::from_secs(1);

/// Bytes reserved for the text around the tables in a reply with several tables.
const LIST_BYTES: usize = 200;

pub(super) fn tool(view: &View<'_>) -> Tool {
    let description = "Show tables or views: columns with types, keys both ways, comments, known values (enum \
                       labels, CHECK lists), indexes, checks, a view's definition. Columns are nullable unless it says \
                       nullable: false; keys refer to the primary key unless it names columns. Use it before writing SQL."
        .to_owned();
    define::<DescribeTable>("describe_table", "Describe tables", description, false, view)
}

pub(crate) async fn call(gateway: &Gateway, caller: &Caller, request: &DescribeTable) -> Result<String, ToolError> {
    let read = gateway.describe_table(caller, request).await?;
    let deadline = Instant::now() + SAMPLE_TIME;
    let mut samples = Vec::with_capacity(read.value.len());
    for (_, found) in &read.value {
        samples.push(match found {
            Ok(table) if request.sample == Some(true) => Sample::of(gateway, caller, &read, table, deadline).await,
            _ => Sample::default(),
        });
    }
    let max_bytes = gateway.config().limits.max_reply_bytes;
    let text = match read.value.as_slice() {
        [(_, Ok(table))] => reply(Some(&read.source), table.clone(), &samples.pop().unwrap_or_default(), max_bytes),
        several => list(&read.source, several, &samples, max_bytes),
    };
    read.close(None, text.len());
    Ok(text)
}

/// Several tables in one reply. Each gets an equal part of the bytes.
fn list(source: &str, described: &[Described], samples: &[Sample], max_bytes: usize) -> String {
    let each = max_bytes.saturating_sub(LIST_BYTES) / described.len().max(1);
    let tables = described.iter().zip(samples).map(|((name, found), sample)| match found {
        Ok(table) => reply(None, table.clone(), sample, each),
        // An error needs no shortening: its text has a limit of its own.
        Err(error) => format!("{{\"name\":{},{}", json!(cut(name, 200)), error.to_json().trim_start_matches('{')),
    });
    let mut tables: Vec<String> = tables.collect();
    let written = |tables: &[String]| {
        let left = described.len() - tables.len();
        let hint = if left > 0 {
            format!(",\"hint\":\"{left} more tables do not fit: ask for them alone\"")
        } else {
            String::new()
        };
        format!("{{\"source\":{},\"tables\":[{}]{hint}}}", json!(source), tables.join(","))
    };
    // If the limit is too small for all tables, the last tables are left out.
    let mut text = written(&tables);
    while text.len() > max_bytes && tables.len() > 1 {
        tables.pop();
        text = written(&tables);
    }
    text
}

/// What a sample of the rows says about the columns of a table.
#[derive(Debug, Default)]
struct Sample {
    /// Fields to add to a column, by its position.
    columns: HashMap<usize, Map<String, Value>>,
    /// A remark for the reader: that the sample covers only the first rows, or why there is no sample.
    remark: Option<String>,
}

impl Sample {
    /// Samples a table. A sample that fails says why.
    async fn of(
        gateway: &Gateway,
        caller: &Caller,
        read: &Read<Vec<Described>>,
        table: &TableDescription,
        deadline: Instant,
    ) -> Self {
        match gateway.sample(caller, read, table, deadline).await {
            Ok(None) => Sample::default(),
            Ok(Some((columns, rows))) => {
                let is_part = rows >= COUNTED_ROWS;
                let remark = is_part.then(|| format!("nulls, min and max are of the first {rows} rows."));
                Sample { columns, remark }
            }
            Err(error) => Sample { remark: Some(format!("No sample: {}.", error.message)), ..Sample::default() },
        }
    }
}

/// A step that shortens a reply, and the text about it in the hint.
type Step = (fn(&mut TableDescription), &'static str);

/// The steps, in order, until the reply fits.
const STEPS: [Step; 5] = [
    (cut_texts, "long texts are cut"),
    (keep_few, "at most 5 values a column and 20 keys, checks and indexes of a kind are shown"),
    (drop_values, "values, defaults, checks and comments of columns are left out"),
    (drop_rest, "keys of other tables, indexes, checks and the definition are left out"),
    (drop_keys, "keys are left out"),
];

/// The reply's JSON. If the JSON is longer than `max_bytes`, the sample is left out first. Then the steps of [`STEPS`] are
/// applied until the JSON fits.
fn reply(source: Option<&str>, mut table: TableDescription, sample: &Sample, max_bytes: usize) -> String {
    table.leave_out_what_follows();
    let text = written(source, &table, Some(sample), None);
    if text.len() <= max_bytes {
        return text;
    }
    let mut given_up: Vec<&str> = Vec::new();
    if !sample.columns.is_empty() {
        given_up.push("the sample is left out");
        let text = written(source, &table, None, Some(&hint(&given_up, None)));
        if text.len() <= max_bytes {
            return text;
        }
    }
    for (step, name) in STEPS {
        step(&mut table);
        given_up.push(name);
        let text = written(source, &table, None, Some(&hint(&given_up, None)));
        if text.len() <= max_bytes {
            return text;
        }
    }
    let all = table.columns.len();
    loop {
        // Each round cuts the number of columns in the ratio of the limit to the length, and removes at least one column.
        let text = written(source, &table, None, Some(&hint(&given_up, Some((table.columns.len(), all)))));
        if text.len() <= max_bytes || table.columns.is_empty() {
            return text;
        }
        let kept = table.columns.len() * max_bytes / text.len();
        table.columns.truncate(kept.min(table.columns.len() - 1));
    }
}

fn hint(given_up: &[&str], columns: Option<(usize, usize)>) -> String {
    let columns = columns.map_or_else(String::new, |(shown, all)| format!("; {shown} of {all} columns are shown"));
    format!("To fit the reply's byte limit (TUDB_MAX_REPLY_BYTES), {}{columns}.", given_up.join("; "))
}

fn written(source: Option<&str>, table: &TableDescription, sample: Option<&Sample>, hint: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<&'a str>,
        #[serde(flatten)]
        table: &'a TableDescription,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        truncated: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'a str>,
    }
    let remark = sample.and_then(|sample| sample.remark.as_deref());
    let body = Body { source, table, truncated: hint.is_some(), hint: hint.or(remark) };
    let Some(sample) = sample.filter(|sample| !sample.columns.is_empty()) else {
        return serde_json::to_string(&body).unwrap_or_default();
    };
    let mut body = serde_json::to_value(&body).unwrap_or_default();
    let columns = body.get_mut("columns").and_then(Value::as_array_mut);
    for (at, column) in columns.into_iter().flatten().enumerate() {
        if let (Some(fields), Some(column)) = (sample.columns.get(&at), column.as_object_mut()) {
            column.extend(fields.clone());
        }
    }
    body.to_string()
}

/// Bytes that are kept of a long definition, and of any other long text.
const LONG_TEXT_BYTES: [usize; 2] = [4_000, 200];

fn cut_texts(table: &mut TableDescription) {
    let [definition, other] = LONG_TEXT_BYTES;
    let shorten = |text: &mut String, most: usize| *text = cut(text, most).to_owned();
    table.definition.iter_mut().for_each(|text| shorten(text, definition));
    table.comment.iter_mut().for_each(|text| shorten(text, other));
    table.partition_key.iter_mut().for_each(|text| shorten(text, other));
    table.indexes.iter_mut().chain(&mut table.checks).for_each(|text| shorten(text, other));
    for column in &mut table.columns {
        let texts = [&mut column.default, &mut column.generated, &mut column.comment, &mut column.check];
        texts.into_iter().flatten().for_each(|text| *text = cut(text, other).into());
        column.values.iter_mut().for_each(|text| shorten(text, other));
    }
}

fn keep_few(table: &mut TableDescription) {
    table.columns.iter_mut().for_each(|column| column.values.truncate(5));
    table.indexes.truncate(20);
    table.checks.truncate(20);
    table.unique.truncate(20);
    table.foreign_keys.truncate(20);
    table.referenced_by.truncate(20);
}

fn drop_values(table: &mut TableDescription) {
    for column in &mut table.columns {
        column.values.clear();
        (column.default, column.generated, column.comment, column.check) = (None, None, None, None);
    }
}

fn drop_rest(table: &mut TableDescription) {
    for list in [&mut table.readable_columns, &mut table.triggers, &mut table.inherits, &mut table.partition_names] {
        list.clear();
    }
    table.indexes.clear();
    table.checks.clear();
    table.referenced_by.clear();
    table.definition = None;
}

fn drop_keys(table: &mut TableDescription) {
    table.unique.clear();
    table.primary_key.clear();
    table.foreign_keys.clear();
    table.comment = None;
    table.partition_key = None;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_tables_share_any_limit() {
        let table = |n: usize| -> Described {
            let columns: Vec<_> = (0..60).map(|n| json!({"name": format!("column_{n}"), "type": "text"})).collect();
            let table = json!({"name": format!("public.table_{n}"), "kind": "table", "columns": columns});
            (format!("table_{n}"), Ok(serde_json::from_value(table).unwrap()))
        };
        let described: Vec<Described> = (0..20).map(table).collect();
        let samples: Vec<Sample> = (0..20).map(|_| Sample::default()).collect();
        for limit in [200_000, 40_000, 10_000, 3_000, 1_000] {
            let text = list("main", &described, &samples, limit);
            assert!(text.len() <= limit, "{} bytes of {limit}", text.len());
            let json: Value = serde_json::from_str(&text).unwrap();
            let shown = json["tables"].as_array().unwrap().len();
            assert!(
                shown == 20 || json["hint"].as_str().unwrap().starts_with(&format!("{} more", 20 - shown)),
                "{json}"
            );
        }
    }

    #[test]
    fn a_wide_table_fits_any_limit_and_says_what_is_missing() {
        let columns: Vec<serde_json::Value> = (0..400)
            .map(|n| {
                serde_json::json!({"name": format!("column_{n}"), "type": "public.mood", "nullable": true,
                    "comment": "é".repeat(300), "values": ["one", "two", "three", "four", "five", "six"]})
            })
            .collect();
        let table: TableDescription =
            serde_json::from_value(serde_json::json!({"name": "public.wide", "kind": "table",
            "columns": columns, "comment": "x".repeat(9_000), "indexes": vec!["CREATE INDEX"; 90]}))
            .unwrap();
        let reply = |source, table, limit| super::reply(Some(source), table, &Sample::default(), limit);
        let whole = reply("main", table.clone(), usize::MAX);
        assert!(!whole.contains("truncated"));
        assert_eq!(reply("main", table.clone(), whole.len()), whole);
        for limit in [whole.len() - 1, 100_000, 40_000, 20_000, 5_000, 1_000] {
            let text = reply("main", table.clone(), limit);
            assert!(text.len() <= limit, "{} bytes of {limit}", text.len());
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["truncated"], true);
            let shown = json["columns"].as_array().unwrap().len();
            assert!(
                shown == 400 || json["hint"].as_str().unwrap().contains(&format!("{shown} of 400 columns")),
                "{json}"
            );
        }
    }
}

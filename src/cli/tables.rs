//! `tudb tables` and `tudb describe`: the tools `list_tables` and `describe_table` in the terminal.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{DONE, NO, complain, core, say, table, tell};
use crate::config::{Config, Environment};
use crate::gateway::Caller;
use crate::tools::{self, Core};

/// Arguments of `tudb tables`.
#[derive(Args)]
#[command(after_help = "Example: tudb tables orders")]
pub(super) struct Tables {
    /// Words that a table, a column or a comment contains
    words: Vec<String>,
    /// Source to read
    #[arg(long)]
    source: Option<String>,
    /// Only this schema
    #[arg(long)]
    schema: Option<String>,
    /// Print the tool's JSON, one object a page
    #[arg(long)]
    json: bool,
}

/// Arguments of `tudb describe`.
#[derive(Args)]
#[command(after_help = "Example: tudb describe orders --sample")]
pub(super) struct Describe {
    /// The tables, each as `name` or `schema.name`
    #[arg(required = true, value_name = "TABLE")]
    tables: Vec<String>,
    /// Source to read
    #[arg(long)]
    source: Option<String>,
    /// Look at the rows: the share of NULLs, smallest and greatest value, examples
    #[arg(long)]
    sample: bool,
    /// Print the tool's JSON
    #[arg(long)]
    json: bool,
}

impl Tables {
    pub(super) async fn run(self, config: Config, env: &Environment) -> u8 {
        let core = core(config, env);
        let caller = Caller { client: Some(format!("tudb tables/{}", env!("CARGO_PKG_VERSION"))), ..Caller::default() };
        let mut arguments = Map::new();
        if !self.words.is_empty() {
            arguments.insert("search".into(), self.words.join(" ").into());
        }
        insert(&mut arguments, "source", self.source.clone());
        insert(&mut arguments, "schema", self.schema);
        let mut rows = Vec::new();
        let code = loop {
            let (reply, is_error) = call(&core, &caller, "list_tables", arguments.clone()).await;
            if is_error {
                break show(&core, &reply, true, self.json, self.source.as_deref()).await;
            }
            if self.json {
                say(&reply.to_string());
            }
            rows.extend(reply.get("tables").and_then(Value::as_array).into_iter().flatten().map(listed));
            let next = reply.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
            match next {
                Some(cursor) => _ = arguments.insert("cursor".into(), cursor.into()),
                None if self.json => break DONE,
                None => {
                    if rows.is_empty() {
                        let hint = reply.get("hint").and_then(Value::as_str).unwrap_or("The database has no tables.");
                        complain(&super::terminal_words(hint));
                        break NO;
                    }
                    let mut heads = heads(&["table", "kind", "rows", "comment"]);
                    heads.truncate(width(&rows));
                    tell(&table::render(&heads, &rows));
                    break DONE;
                }
            }
        };
        core.gateway.close().await;
        code
    }
}

impl Describe {
    pub(super) async fn run(self, config: Config, env: &Environment) -> u8 {
        let core = core(config, env);
        let caller =
            Caller { client: Some(format!("tudb describe/{}", env!("CARGO_PKG_VERSION"))), ..Caller::default() };
        let mut arguments = Map::new();
        arguments.insert("table".into(), self.tables.join(",").into());
        insert(&mut arguments, "source", self.source.clone());
        if self.sample {
            arguments.insert("sample".into(), true.into());
        }
        let (reply, is_error) = call(&core, &caller, "describe_table", arguments).await;
        if self.json || is_error {
            let code = show(&core, &reply, is_error, self.json, self.source.as_deref()).await;
            core.gateway.close().await;
            return code;
        }
        core.gateway.close().await;
        match reply.get("tables").and_then(Value::as_array) {
            Some(tables) => tables.iter().for_each(|table| tell(&described(table))),
            None => tell(&described(&reply)),
        }
        DONE
    }
}

fn insert(arguments: &mut Map<String, Value>, name: &str, value: Option<String>) {
    if let Some(value) = value {
        arguments.insert(name.into(), value.into());
    }
}

/// Calls a tool. Returns its reply and whether it is an error.
async fn call(core: &Core, caller: &Caller, tool: &str, arguments: Map<String, Value>) -> (Value, bool) {
    match tools::call(core, tool, arguments, caller).await {
        Some(reply) => (serde_json::from_str(&reply.json).unwrap_or_default(), reply.is_error),
        None => (Value::Null, true),
    }
}

async fn show(core: &Core, reply: &Value, is_error: bool, as_json: bool, source: Option<&str>) -> u8 {
    if as_json {
        say(&reply.to_string());
    } else {
        complain(&super::ask::error_words(reply));
        if let Some(tried) = super::ask::address_tried(core, reply, source).await {
            complain(&tried);
        }
    }
    if is_error { NO } else { DONE }
}

fn heads(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({"name": name})).collect()
}

/// The number of columns of a list up to the last one in which some table has a value.
fn width(rows: &[Value]) -> usize {
    let is_used = |at: usize| rows.iter().any(|row| row.get(at).is_some_and(|cell| cell.as_str() != Some("")));
    (2..4).rev().find(|at| is_used(*at)).map_or(2, |at| at + 1)
}

/// One table of a list as a row.
fn listed(table: &Value) -> Value {
    let text = |name: &str| table.get(name).and_then(Value::as_str).unwrap_or_default();
    let rows = table.get("rows").map_or_else(|| "".into(), Clone::clone);
    let matched: Vec<&str> =
        table.get("matched").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let comment = if matched.is_empty() { text("comment").to_owned() } else { matched.join(", ") };
    json!([text("name"), text("kind").replace('_', " "), rows, comment])
}

/// A table's columns, and what else is known of it, one fact a line.
fn described(table: &Value) -> String {
    let text = |name: &str| table.get(name).and_then(Value::as_str).unwrap_or_default();
    if table.get("error").is_some() {
        return super::ask::error_words(table);
    }
    let mut head = format!("{} ({}", text("name"), text("kind").replace('_', " "));
    if let Some(rows) = table.get("rows") {
        head.push_str(&format!(", about {rows} rows"));
    }
    head.push(')');
    if !text("comment").is_empty() {
        head.push_str(&format!(": {}", text("comment")));
    }
    let columns = table.get("columns").and_then(Value::as_array);
    let rows: Vec<Value> = columns
        .into_iter()
        .flatten()
        .map(|column| {
            let part = |name: &str| column.get(name).and_then(Value::as_str).unwrap_or_default();
            let notes: Vec<String> = column
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| !matches!(name.as_str(), "name" | "type" | "comment"))
                .map(|(name, value)| note(name, value))
                .chain((!part("comment").is_empty()).then(|| part("comment").to_owned()))
                .collect();
            json!([part("name"), part("type"), notes.join("; ")])
        })
        .collect();
    let mut lines = vec![head, table::render(&heads(&["column", "type", "notes"]), &rows)];
    let known = ["source", "name", "kind", "rows", "comment", "columns", "truncated"];
    for (name, value) in table.as_object().into_iter().flatten().filter(|(name, _)| !known.contains(&name.as_str())) {
        let label = name.replace('_', " ");
        match value {
            Value::Array(values) if values.iter().any(|value| value.is_object() || value.is_array()) => {
                lines.extend(values.iter().map(|value| format!("{label}: {}", plain_value(value))));
            }
            value => lines.push(format!("{label}: {}", plain_value(value))),
        }
    }
    lines.join("\n")
}

/// One property of a column: `not null`, `values: new, paid`.
fn note(name: &str, value: &Value) -> String {
    match (name, value) {
        ("nullable", Value::Bool(false)) => "not null".to_owned(),
        (name, Value::Bool(true)) => name.replace('_', " "),
        (name, value) => format!("{}: {}", name.replace('_', " "), plain_value(value)),
    }
}

/// A value without the punctuation of JSON. A foreign key becomes `customer_id -> customers (id)`.
fn plain_value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain_value).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let part = |name: &str| fields.get(name).map(plain_value).unwrap_or_default();
            let target = |name: &str| match part("referenced_columns") {
                columns if columns.is_empty() => part(name),
                columns => format!("{} ({columns})", part(name)),
            };
            match () {
                () if fields.contains_key("references") => format!("{} -> {}", part("columns"), target("references")),
                () if fields.contains_key("table") => format!("{} ({})", part("table"), part("columns")),
                () => fields
                    .iter()
                    .map(|(name, value)| format!("{name} {}", plain_value(value)))
                    .collect::<Vec<_>>()
                    .join(", "),
            }
        }
        other => other.to_string(),
    }
}

//! `run_sql`: runs one statement through the gateway.

use std::fmt::Write as _;

use rmcp::model::Tool;

use super::explain_query;
use super::{View, tool as define};
use crate::database::value::push_json_string;
use crate::error::ToolError;
use crate::gateway::{Caller, Gateway, Ran, Read, RunSql};

pub(super) fn tool(view: &View<'_>, policy: &str) -> Tool {
    let description = format!(
        "Run one read-only SQL statement (SELECT, WITH, VALUES, EXPLAIN) and get columns and rows. Big integers \
         and decimals come as exact strings. A reply that was cut says truncated and why. {policy}"
    );
    define::<RunSql>("run_sql", "Run SQL", description, false, view)
}

pub(super) async fn call(gateway: &Gateway, caller: &Caller, request: &RunSql) -> Result<String, ToolError> {
    let read = gateway.run_sql(caller, request, 200).await?;
    let text = reply(&read, gateway.config().limits.max_reply_bytes);
    let rows = match &read.value {
        Ran::Rows(rows) => Some(rows.row_count),
        Ran::Plan(_) => None,
    };
    read.close(rows, text.len());
    Ok(text)
}

/// The reply's JSON: source, fields of the result set, duration, warnings.
pub fn reply(read: &Read<Ran>, max_bytes: usize) -> String {
    let rows = match &read.value {
        Ran::Rows(rows) => rows,
        Ran::Plan(plan) => return explain_query::reply(&read.source, plan, true, max_bytes),
    };
    let mut text = String::from("{\"source\":");
    push_json_string(&mut text, &read.source);
    text.push(',');
    rows.push_fields(&mut text);
    let _ = write!(text, ",\"elapsed_ms\":{}", read.elapsed_ms());
    if !rows.warnings.is_empty() {
        let _ = write!(text, ",\"warnings\":{}", serde_json::json!(rows.warnings));
    }
    text.push('}');
    text
}

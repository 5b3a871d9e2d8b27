//! `explain_query`: describes in words how a statement would run, with the plan.

use rmcp::model::Tool;
use serde_json::json;

use super::{View, tool as define};
use crate::database::Explanation;
use crate::database::value::cut;
use crate::error::ToolError;
use crate::gateway::{Caller, ExplainQuery, Gateway};

pub(super) fn tool(view: &View<'_>) -> Tool {
    let description = "Explain how one query would run: its most expensive steps in words, cost, estimated rows, \
                       indexes that may help. analyze also runs it, inside all limits (PostgreSQL)."
        .to_owned();
    define::<ExplainQuery>("explain_query", "Explain a query", description, false, view)
}

pub(super) async fn call(gateway: &Gateway, caller: &Caller, request: &ExplainQuery) -> Result<String, ToolError> {
    let read = gateway.explain_query(caller, request).await?;
    let with_plan = request.plan == Some(true);
    let text = reply(&read.source, &read.value, with_plan, gateway.config().limits.max_reply_bytes);
    read.close(None, text.len());
    Ok(text)
}

/// The reply's JSON. A plan over the byte limit is left out, and the reply says so.
pub(super) fn reply(source: &str, explanation: &Explanation, with_plan: bool, max_bytes: usize) -> String {
    let mut reply = json!({"source": source, "summary": explanation.summary});
    let Some(fields) = reply.as_object_mut() else { return String::new() };
    for (name, value) in [
        ("cost", explanation.cost),
        ("estimated_rows", explanation.estimated_rows),
        ("actual_rows", explanation.actual_rows),
        ("actual_ms", explanation.actual_ms),
    ] {
        if let Some(value) = value {
            fields.insert(name.to_owned(), json!(value));
        }
    }
    if !explanation.candidate_indexes.is_empty() {
        fields.insert("candidate_indexes".into(), json!(explanation.candidate_indexes));
    }
    if with_plan {
        fields.insert("plan".into(), explanation.plan.clone());
    }
    fields.insert("truncated".into(), json!(false));
    let text = reply.to_string();
    if text.len() <= max_bytes {
        return text;
    }
    if let Some(fields) = reply.as_object_mut() {
        fields.shift_remove("plan");
        fields.insert("truncated".into(), json!(true));
        let sentences: Vec<&str> = explanation.summary.iter().take(10).map(|text| cut(text, 300)).collect();
        fields.insert("summary".into(), json!(sentences));
        fields.shift_remove("candidate_indexes");
    }
    reply.to_string()
}

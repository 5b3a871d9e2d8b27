//! The outcome of a question, and the reply's JSON for each outcome.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::schema_context::MatchedValue;
use super::toolset::{Answer, Choice, MAX_WORDS_BYTES};
use crate::database::result_set::ResultSet;
use crate::database::value::{cut, push_json_string};
use crate::error::ToolError;
use crate::model::Usage;

/// How an answer came about: the answerer, its token usage, the time, the audit id.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    pub engine: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub model_calls: u32,
    #[serde(flatten)]
    pub usage: Usage,
    pub elapsed_ms: u64,
    pub audit_id: String,
    /// Statements that failed and went back to the model. Only `tudb eval` reads it.
    #[serde(skip)]
    pub repairs: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A successful answer: the last statement that succeeded, its rows, and the text of the answer.
#[derive(Debug)]
pub(super) struct Success {
    pub sql: String,
    pub rows: ResultSet,
    pub tables: Vec<String>,
    pub answer: Answer,
    pub warnings: Vec<String>,
}

/// The message of a hand-back if the built-in answerer has no remark of its own.
pub(crate) const NOT_SURE: &str =
    "No language model is configured and the built-in answerer is not sure. Write the statement from the schema below.";

/// The reply if no model is configured and the built-in answerer is not sure. It has the schema, values and joins that a
/// client needs to write the statement.
#[derive(Debug, Serialize)]
pub(super) struct HandBack {
    pub message: String,
    pub dialect: &'static str,
    pub schema: String,
    pub tables: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<MatchedValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub joins: Vec<String>,
    /// Join conditions that no foreign key declares: guessed from equal names and types.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub guessed_joins: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<Draft>,
    pub next: &'static str,
}

/// A statement that may be right, and the reason to doubt it.
#[derive(Debug, Serialize)]
pub(super) struct Draft {
    pub sql: String,
    pub doubts: Vec<String>,
}

impl HandBack {
    /// Shortens the hand-back until its JSON has at most `max_bytes` bytes.
    /// First drops a long draft, then the end of the schema text, then joins and values, and last the names of tables.
    pub(super) fn within(mut self, max_bytes: usize) -> Self {
        let size = |hand_back: &HandBack| serde_json::to_string(hand_back).map_or(0, |text| text.len());
        if size(&self) <= max_bytes {
            return self;
        }
        self.draft = self.draft.filter(|draft| draft.sql.len() <= max_bytes / 4);
        while size(&self) > max_bytes {
            if !self.schema.is_empty() {
                let body = self.schema.strip_suffix(SCHEMA_END).unwrap_or(&self.schema);
                let kept = cut(body, body.len() / 2);
                let whole_lines = kept.rfind('\n').and_then(|at| kept.get(..at)).unwrap_or_default();
                self.schema = if whole_lines.is_empty() { String::new() } else { format!("{whole_lines}{SCHEMA_END}") };
            } else if !(self.joins.is_empty() && self.guessed_joins.is_empty() && self.values.is_empty()) {
                self.joins.truncate(self.joins.len() / 2);
                self.guessed_joins.truncate(self.guessed_joins.len() / 2);
                self.values.truncate(self.values.len() / 2);
            } else if self.tables.len() > 1 {
                self.tables.truncate(self.tables.len() / 2);
            } else {
                self.tables.clear();
                break;
            }
        }
        self
    }
}

/// Replaces the end of a schema text that was cut.
const SCHEMA_END: &str = "\n(more: see list_tables and describe_table)";

/// The outcomes of asking.
#[derive(Debug)]
pub(super) enum Outcome {
    Success(Box<Success>),
    Clarification {
        message: String,
        choices: Vec<Choice>,
    },
    HandBack(Box<HandBack>),
    /// The data cannot answer the question.
    Unanswerable {
        missing: String,
        hint: Option<String>,
    },
    /// A statement was refused before it ran: the last statement that the model proposed, or the question itself if it
    /// is a write statement.
    Blocked {
        sql: String,
        error: ToolError,
    },
    Failed(ToolError),
}

/// Maximum bytes of a refused statement that a reply repeats.
const MAX_REFUSED_BYTES: usize = 8_000;

/// Bytes to reserve in a reply for everything except the result set.
pub(super) fn reserved_bytes(sql: &str) -> usize {
    crate::database::value::json_escaped_len(sql) + 2 * MAX_WORDS_BYTES + 3_000
}

/// The reply's JSON. Its fields come in the order that the tool's contract gives.
pub(super) fn to_json(outcome: &Outcome, receipt: &Receipt) -> String {
    let receipt = serde_json::to_value(receipt).unwrap_or_default();
    let with_receipt = |mut reply: Value| {
        if let Some(fields) = reply.as_object_mut() {
            fields.insert("receipt".into(), receipt.clone());
        }
        reply.to_string()
    };
    match outcome {
        Outcome::Success(success) => success_json(success, &receipt),
        Outcome::Clarification { message, choices } => {
            with_receipt(json!({"status": "clarification_needed", "message": message, "choices": choices}))
        }
        Outcome::HandBack(hand_back) => {
            let mut reply = json!({"status": "needs_sql"});
            if let (Some(fields), Ok(Value::Object(more))) = (reply.as_object_mut(), serde_json::to_value(hand_back)) {
                fields.extend(more);
            }
            with_receipt(reply)
        }
        Outcome::Unanswerable { missing, hint } => {
            let hint = hint.as_ref().map(|hint| format!(". {hint}")).unwrap_or_default();
            let message = format!("The data cannot answer this: {missing}{hint}");
            with_receipt(json!({"status": "unanswerable", "message": message, "missing": missing}))
        }
        // A statement can be refused for its length, so the reply repeats only its beginning.
        Outcome::Blocked { sql, error } => {
            with_receipt(json!({"status": "blocked", "sql": cut(sql, MAX_REFUSED_BYTES), "error": error}))
        }
        Outcome::Failed(error) => with_receipt(json!({"status": "error", "error": error})),
    }
}

fn success_json(success: &Success, receipt: &Value) -> String {
    let Success { sql, rows, tables, answer, warnings } = success;
    let mut text = String::from("{\"status\":\"success\",\"summary\":");
    push_json_string(&mut text, &answer.summary);
    text.push_str(",\"sql\":");
    push_json_string(&mut text, sql);
    text.push(',');
    rows.push_fields(&mut text);
    if !answer.explanation.is_empty() {
        text.push_str(",\"explanation\":");
        push_json_string(&mut text, &answer.explanation);
    }
    for (name, list) in [("tables", tables), ("assumptions", &answer.assumptions)] {
        if !list.is_empty() {
            let _ = write!(text, ",\"{name}\":{}", json!(list));
        }
    }
    let warnings: Vec<&String> = rows.warnings.iter().chain(warnings).collect();
    if !warnings.is_empty() {
        let _ = write!(text, ",\"warnings\":{}", json!(warnings));
    }
    let _ = write!(text, ",\"receipt\":{receipt}}}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hand_back_fits_any_limit() {
        for (lines, width, name) in [(1, 40, 3), (300, 60, 3), (3, 20_000, 2_000), (0, 0, 0)] {
            for limit in [600, 1_000, 2_500, 10_000, 40_000] {
                let table = |n: usize| format!("table_{n}{}", "x".repeat(name));
                let hand_back = HandBack {
                    message: "words".into(),
                    dialect: "sqlite",
                    schema: format!("{}\n", "x".repeat(width)).repeat(lines),
                    tables: (0..10).map(table).collect(),
                    values: Vec::new(),
                    joins: vec!["a.b = c.d".into(); 100],
                    guessed_joins: vec!["a.b = c.d".into(); 100],
                    draft: Some(Draft { sql: "S".repeat(5_000), doubts: Vec::new() }),
                    next: "next",
                };
                let size = serde_json::to_string(&hand_back.within(limit)).unwrap().len();
                assert!(size <= limit, "{size} bytes of {limit}");
            }
        }
    }
}

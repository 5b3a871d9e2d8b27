//! The built-in answerer as a model: it reads the question itself and replies with tool uses.

use serde_json::json;

use super::builtin::{self, Reading, Shape, Verdict};
use super::{Block, Message, StopReason, Turn, TurnRequest, Usage};
use crate::database::result_set::thousands;

/// Returns a turn of the built-in answerer. The first turn is a statement, a clarification or a hand-back. After a
/// statement that ran, the next turn is the answer; after a statement that failed, it is a hand-back.
pub(super) fn turn(request: &TurnRequest<'_>) -> Turn {
    let verdict =
        builtin::read_with(request.question, (request.snapshot, request.found), request.dialect, request.today);
    let outcome = match request.messages.last() {
        Some(Message::Results(results)) => results.last(),
        _ => None,
    };
    let (name, input) = match (verdict, outcome) {
        (Verdict::Sure(reading), None) => ("run_sql", json!({"sql": reading.sql})),
        (Verdict::Sure(reading), Some(result)) if !result.is_error => (
            "answer",
            json!({
                "summary": summary(&reading, &result.text),
                "explanation": format!("Read as: {}", reading.read_as),
                "assumptions": reading.assumptions,
            }),
        ),
        (Verdict::Sure(reading), Some(result)) => {
            ("hand_back", json!({"sql": reading.sql, "doubts": [failure(&result.text)]}))
        }
        (Verdict::Ambiguous { message, choices }, _) => {
            let choices: Vec<_> =
                choices.iter().map(|choice| json!({"label": choice.label, "reading": choice.reading})).collect();
            ("clarify", json!({"question": message, "choices": choices}))
        }
        (Verdict::Unsure { draft: Some(draft) }, _) => ("hand_back", json!({"sql": draft.sql, "doubts": draft.doubts})),
        (Verdict::Unsure { draft: None }, _) => ("hand_back", json!({})),
    };
    let block = Block::ToolUse { id: format!("builtin_{}", request.messages.len()), name: name.into(), input };
    Turn { blocks: vec![block], stop: StopReason::ToolUse, usage: Usage::default(), raw: None }
}

/// The JSON object of a tool result, which stands in a fence. Null if there is none.
fn object(shown: &str) -> serde_json::Value {
    shown
        .find('{')
        .zip(shown.rfind('}'))
        .and_then(|(from, to)| serde_json::from_str(shown.get(from..=to)?).ok())
        .unwrap_or_default()
}

/// Why the statement of a reading failed.
fn failure(shown: &str) -> String {
    let error = object(shown);
    let message = error.pointer("/error/message").and_then(serde_json::Value::as_str).unwrap_or(shown);
    format!("the statement failed: {message}")
}

/// One or two sentences made from the rows.
fn summary(reading: &Reading, shown: &str) -> String {
    let shown = object(shown);
    let rows = shown.get("rows").and_then(serde_json::Value::as_array).map_or(&[][..], Vec::as_slice);
    let count = shown.get("row_count").and_then(serde_json::Value::as_u64).unwrap_or(rows.len() as u64);
    let cells = |row: &serde_json::Value| -> Vec<String> {
        row.as_array()
            .into_iter()
            .flatten()
            .map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned))
            .collect()
    };
    let total = shown.get("total_rows").and_then(serde_json::Value::as_u64);
    // "At least" if rows were left out and not counted.
    let some = if shown.get("more_rows_exist").is_some() { "at least " } else { "" };
    let count = total.unwrap_or(count);
    let number = |thing: &str| format!("{some}{} {thing}{}", thousands(count), if count == 1 { "" } else { "s" });
    let begun = |text: String| text.replacen("at", "At", usize::from(!some.is_empty()));
    match (reading.shape, rows) {
        (_, []) => "No rows match.".into(),
        (Shape::Count | Shape::Single, [row]) => match cells(row).as_slice() {
            [value] if value == "null" => "There is no value: no rows match.".into(),
            values => format!("{}.", values.join(", ")),
        },
        (Shape::Ranked, [first, ..]) => begun(format!("{}; first: {}.", number("row"), cells(first).join(", "))),
        (Shape::Grouped, _) => begun(format!("{}.", number("group"))),
        (Shape::Count | Shape::Single | Shape::List, _) => begun(format!("{}.", number("row"))),
    }
}

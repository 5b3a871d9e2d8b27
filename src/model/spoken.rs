//! Calls that a model without tool calls says in its text: one JSON object, or one fenced SQL statement. Pure.

use serde_json::{Value, json};

use super::ModelTool;

/// The call that a text holds: `{"tool": name, "input": {..}}` in one of the spellings that models have learned, bare or
/// fenced; or a statement in a fence of its own. `None` for a text with two of them: half a guess is not run.
pub(super) fn call(text: &str, tools: &[ModelTool]) -> Option<(String, Value)> {
    let fences = fences(text);
    let whole = text.trim();
    let bodies: Vec<(&str, &str)> = if fences.is_empty() { vec![("", tagged(whole))] } else { fences };
    let mut calls = bodies.iter().filter_map(|(language, body)| match *language {
        "sql" | "sqlite" | "postgresql" | "postgres" => Some(("run_sql".to_owned(), json!({"sql": body.trim()}))),
        _ => named(&serde_json::from_str(body.trim()).ok()?),
    });
    let call = calls.next()?;
    let is_known = tools.iter().any(|tool| tool.name == call.0);
    (is_known && calls.next().is_none()).then_some(call)
}

fn named(object: &Value) -> Option<(String, Value)> {
    let object = object.get("function").filter(|inner| inner.is_object()).unwrap_or(object);
    let name = ["tool", "name", "function"].iter().find_map(|key| object.get(key)?.as_str())?;
    let input = ["input", "arguments", "parameters"].iter().find_map(|key| object.get(key))?;
    let input = input.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| input.clone());
    Some((name.to_owned(), input))
}

/// What stands between the marks that several models put around a call.
fn tagged(text: &str) -> &str {
    [("<tool_call>", "</tool_call>"), ("[TOOL_CALLS]", "")]
        .iter()
        .find_map(|(open, close)| text.split_once(open)?.1.trim().strip_suffix(close))
        .unwrap_or(text)
}

/// Language and body of each fenced block.
fn fences(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("```") {
        let Some((body, left)) = after.split_once("```") else { break };
        if let Some((language, body)) = body.split_once('\n') {
            found.push((language.trim(), body));
        }
        rest = left;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_is_read_and_no_guess_is_made() {
        let tool = |name| ModelTool { name, description: "", input_schema: json!({}) };
        let tools = [tool("run_sql"), tool("answer")];
        let run = Some(("run_sql".to_owned(), json!({"sql": "SELECT 1"})));
        for text in [
            r#"{"tool": "run_sql", "input": {"sql": "SELECT 1"}}"#,
            "Let me look.\n```json\n{\"name\": \"run_sql\", \"arguments\": {\"sql\": \"SELECT 1\"}}\n```",
            r#"<tool_call>{"name": "run_sql", "parameters": {"sql": "SELECT 1"}}</tool_call>"#,
            r#"{"type": "function", "function": {"name": "run_sql", "arguments": "{\"sql\": \"SELECT 1\"}"}}"#,
            "I would run this:\n```sql\nSELECT 1\n```\nIt gives one.",
        ] {
            assert_eq!(call(text, &tools), run, "{text}");
        }
        for text in [
            "There is one.",
            "```sql\nSELECT 1",
            "```sql\nSELECT 1\n```\nor\n```sql\nSELECT 2\n```",
            r#"{"tool": "drop_table", "input": {}}"#,
            r#"{"sql": "SELECT 1"}"#,
            "```python\nprint(1)\n```",
        ] {
            assert_eq!(call(text, &tools), None, "{text}");
        }
    }
}

//! Reads tool calls that a model without tool calls writes as text: a JSON object, or a fenced SQL statement. Pure.

use serde_json::{Value, json};

use super::ModelTool;

/// Returns the call in the text: `{"tool": name, "input": {..}}`, or a variant with other key names.
///
/// The call may be bare, between tags, or in one fence. With `after_words`, words may precede the fence. Nothing may
/// follow it, because such a text may only quote a call. With `statements`, a fenced SQL statement is a `run_sql` call.
/// `None` for any other text.
pub(super) fn call(text: &str, tools: &[ModelTool], after_words: bool, statements: bool) -> Option<(String, Value)> {
    let text = text.trim();
    let (language, body) = match text.split_once("```") {
        Some((before, rest)) if before.trim().is_empty() || after_words => {
            let (language, body) = rest.strip_suffix("```")?.split_once('\n')?;
            (language.trim(), body)
        }
        Some(_) => return None,
        None => ("", tagged(text)),
    };
    let call = match language {
        _ if body.contains("```") => return None,
        "sql" | "sqlite" | "postgresql" | "postgres" => {
            statements.then(|| ("run_sql".to_owned(), json!({"sql": body.trim()})))?
        }
        _ => named(&serde_json::from_str(body.trim()).ok()?)?,
    };
    tools.iter().any(|tool| tool.name == call.0).then_some(call)
}

fn named(object: &Value) -> Option<(String, Value)> {
    let object = object.get("function").filter(|inner| inner.is_object()).unwrap_or(object);
    let name = ["tool", "name", "function"].iter().find_map(|key| object.get(key)?.as_str())?;
    let input = ["input", "arguments", "parameters"].iter().find_map(|key| object.get(key))?;
    let input = input.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| input.clone());
    Some((name.to_owned(), input))
}

/// The text between the tags that several models put around a call.
fn tagged(text: &str) -> &str {
    [("<tool_call>", "</tool_call>"), ("[TOOL_CALLS]", "")]
        .iter()
        .find_map(|(open, close)| text.split_once(open)?.1.trim().strip_suffix(close))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_is_read_and_no_guess_is_made() {
        let tool = |name| ModelTool { name, description: "", input_schema: json!({}) };
        let tools = [tool("run_sql"), tool("answer")];
        let run = Some(("run_sql".to_owned(), json!({"sql": "SELECT 1"})));
        let bare = r#"{"tool": "run_sql", "input": {"sql": "SELECT 1"}}"#;
        let fenced = "```json\n{\"name\": \"run_sql\", \"arguments\": {\"sql\": \"SELECT 1\"}}\n```";
        let tagged = r#"<tool_call>{"name": "run_sql", "parameters": {"sql": "SELECT 1"}}</tool_call>"#;
        let nested = r#"{"type": "function", "function": {"name": "run_sql", "arguments": "{\"sql\": \"SELECT 1\"}"}}"#;
        for text in [bare, fenced, tagged, nested] {
            assert_eq!(call(text, &tools, false, false), run, "{text}");
        }
        let after_words = format!("Let me look.\n{fenced}");
        let statement = "I would run this:\n```sql\nSELECT 1\n```";
        assert_eq!(call(&after_words, &tools, true, false), run);
        assert_eq!(call(statement, &tools, true, true), run);
        // If the model has tool calls, or rows to talk about, these are words.
        assert_eq!(call(&after_words, &tools, false, false), None);
        assert_eq!(call(statement, &tools, true, false), None);
        for text in [
            "There is one.",
            "```sql\nSELECT 1",
            "```sql\nSELECT 1\n```\nor\n```sql\nSELECT 2\n```",
            "The row says:\n```json\n{\"tool\": \"answer\", \"input\": {\"summary\": \"x\"}}\n```\nI will not follow it.",
            r#"{"tool": "drop_table", "input": {}}"#,
            r#"{"sql": "SELECT 1"}"#,
            "```python\nprint(1)\n```",
        ] {
            assert_eq!(call(text, &tools, true, true), None, "{text}");
        }
    }
}

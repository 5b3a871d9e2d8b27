//! Splits the input into lines of bounded length, and writes a message as a line.

use std::io::{BufRead, Read as _};

use rmcp::RoleServer;
use rmcp::model::{ContentBlock, JsonRpcMessage, RequestId, ServerResult};
use rmcp::service::TxJsonRpcMessage;

use super::scan::Scan;
use crate::database::value::push_json_string;

/// Writes one message as a line. If a tool result has one text block and no structured content, the text is JSON. It is
/// then written as both the text block and the structured content.
pub(super) fn to_line(message: &TxJsonRpcMessage<RoleServer>) -> String {
    if let JsonRpcMessage::Response(response) = message
        && let ServerResult::CallToolResult(result) = &response.result
        && result.structured_content.is_none()
        && let [ContentBlock::Text(block)] = result.content.as_slice()
        && let Ok(id) = serde_json::to_string(&response.id)
    {
        let json = block.text.as_str();
        let mut line = String::with_capacity(json.len() * 2 + json.len() / 4 + 200);
        line.push_str("{\"jsonrpc\":\"2.0\",\"id\":");
        line.push_str(&id);
        line.push_str(",\"result\":{");
        if let Some(kind) = result.result_type.as_ref().and_then(|kind| serde_json::to_string(kind).ok()) {
            line.push_str("\"resultType\":");
            line.push_str(&kind);
            line.push(',');
        }
        line.push_str("\"content\":[{\"type\":\"text\",\"text\":");
        push_json_string(&mut line, json);
        line.push_str("}],\"structuredContent\":");
        line.push_str(json);
        line.push_str(if result.is_error == Some(true) { ",\"isError\":true}}\n" } else { ",\"isError\":false}}\n" });
        return line;
    }
    let mut line = serde_json::to_string(message).unwrap_or_default();
    line.push('\n');
    line
}

#[derive(Debug, PartialEq)]
pub(super) enum Line {
    Text(Vec<u8>),
    TooLong { id: Option<RequestId>, bytes: usize, limit: usize },
}

/// Reads lines until the input ends or `take` returns `false`. Of a line over the limit, only the id and the length are
/// kept.
pub(super) fn read_lines(
    mut input: impl BufRead,
    limit: usize,
    max_id_bytes: usize,
    mut take: impl FnMut(Line) -> bool,
) {
    loop {
        let mut line = Vec::new();
        let most = limit as u64 + 1;
        if input.by_ref().take(most).read_until(b'\n', &mut line).is_err() {
            return;
        }
        let line = if line.pop_if(|last| *last == b'\n').is_some() {
            Line::Text(line)
        } else if line.len() as u64 == most {
            // The rest is scanned too, because the id may come last. It is not kept in memory.
            let mut scan = Scan::of(&line, max_id_bytes);
            let Some(rest) = skip_line(&mut input, &mut scan) else { return };
            Line::TooLong { id: scan.id(), bytes: line.len() + rest, limit }
        } else {
            // The input ended. A last message without a line break counts if it is complete.
            if serde_json::from_slice::<serde::de::IgnoredAny>(&line).is_ok() {
                take(Line::Text(line));
            }
            return;
        };
        if !take(line) {
            return;
        }
    }
}

/// Skips to the end of the line. Returns the number of bytes skipped, or `None` if the input ends or fails before.
fn skip_line(input: &mut impl BufRead, scan: &mut Scan) -> Option<usize> {
    let mut skipped = 0;
    loop {
        let available = input.fill_buf().ok().filter(|available| !available.is_empty())?;
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
        scan.read(part);
        let bytes = part.len();
        skipped += bytes;
        input.consume(bytes + usize::from(end.is_some()));
        if end.is_some() {
            return Some(skipped);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn lines_are_split_and_bounded_and_a_long_one_keeps_its_id() {
        let long = r#"{"method":"m","params":{"id":1,"x":["yyyyyyyyyyyyyyyyyyyyyyyyyyyyy"]},"id":"seven"}"#;
        let input = format!("one\n\n{long}\ntwo\n{} not JSON\nthree\npartial", "x".repeat(40));
        for capacity in [1, 7, 4_096] {
            let mut seen = Vec::new();
            read_lines(BufReader::with_capacity(capacity, input.as_bytes()), 20, 100, |line| {
                seen.push(line);
                true
            });
            let text = |text: &str| Line::Text(text.into());
            let id = Some(RequestId::String("seven".into()));
            assert_eq!(
                seen,
                [
                    text("one"),
                    text(""),
                    Line::TooLong { id, bytes: long.len(), limit: 20 },
                    text("two"),
                    Line::TooLong { id: None, bytes: 49, limit: 20 },
                    text("three")
                ]
            );
        }
    }
}

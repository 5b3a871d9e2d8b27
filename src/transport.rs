//! Standard input and output as rmcp sees them: one JSON-RPC message a line.
//!
//! It works round three habits of the SDK: a notification before the handshake would end the server, a line that cannot
//! be parsed or is too long would get no answer, and a result's `structuredContent` would be built as a tree and
//! serialised a second time. A tool's reply is JSON text already, so that text is put into both blocks here. Two
//! threads own the pipes, so that no worker of the runtime ever blocks on them; end of input cancels everything.

use std::io::{BufRead, Write};

use rmcp::RoleServer;
use rmcp::model::{ClientRequest, ContentBlock, GetMeta, JsonRpcMessage, RequestId, ServerResult};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::database::value::push_json_string;

/// Lines read ahead of the service.
const LINES_AHEAD: usize = 64;

/// The process's own pipes.
pub struct Stdio {
    lines: mpsc::Receiver<Line>,
    out: std::sync::mpsc::Sender<String>,
    /// Whether a session has begun; before that, notifications would end the SDK's loop.
    opened: bool,
}

enum Line {
    Text(Vec<u8>),
    TooLong(usize),
}

/// Writing to a closed pipe.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub struct Closed;

/// Waits until everything written so far is in the pipe.
pub struct Flushed(std::thread::JoinHandle<()>);

impl Flushed {
    pub fn wait(self) {
        let _ = self.0.join();
    }
}

impl Stdio {
    /// Takes standard input and output. `end` is cancelled at the end of input.
    pub fn new(max_line_bytes: usize, end: CancellationToken) -> (Stdio, Flushed) {
        let (sender, lines) = mpsc::channel(LINES_AHEAD);
        std::thread::spawn(move || {
            read_lines(std::io::stdin().lock(), max_line_bytes, |line| sender.blocking_send(line).is_ok());
            end.cancel();
        });
        let (out, outgoing) = std::sync::mpsc::channel::<String>();
        let writer = std::thread::spawn(move || {
            let mut stdout = std::io::stdout().lock();
            while let Ok(line) = outgoing.recv() {
                // A client that has gone away shows as end of input too.
                if stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).is_err() {
                    break;
                }
            }
        });
        (Stdio { lines, out, opened: false }, Flushed(writer))
    }

    fn answer_error(&self, id: Option<RequestId>, code: i32, message: &str) {
        let id = id.and_then(|id| serde_json::to_string(&id).ok()).unwrap_or_else(|| "null".into());
        let mut line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":{code},\"message\":");
        push_json_string(&mut line, message);
        line.push_str("}}\n");
        let _ = self.out.send(line);
    }

    /// The message of a line, or `None` when the line is answered or dropped here.
    fn message(&mut self, line: Line) -> Option<RxJsonRpcMessage<RoleServer>> {
        let bytes = match line {
            Line::TooLong(bytes) => {
                self.answer_error(None, -32600, &format!("the message has {bytes} bytes or more, which is too long"));
                return None;
            }
            Line::Text(bytes) => bytes,
        };
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).trim_ascii();
        if text.is_empty() {
            return None;
        }
        let message: RxJsonRpcMessage<RoleServer> = match serde_json::from_slice(text) {
            Ok(message) => message,
            Err(error) => {
                #[derive(Deserialize)]
                struct OnlyId {
                    id: Option<RequestId>,
                }
                match serde_json::from_slice::<OnlyId>(text) {
                    Ok(OnlyId { id }) => self.answer_error(id, -32600, &format!("not a request: {error}")),
                    Err(_) if text.first() == Some(&b'[') => {
                        self.answer_error(
                            None,
                            -32600,
                            "batches are not part of the protocol; send one message a line",
                        );
                    }
                    Err(_) => self.answer_error(None, -32700, "the line is not a JSON-RPC message"),
                }
                return None;
            }
        };
        if !self.opened {
            match &message {
                JsonRpcMessage::Request(request) => {
                    self.opened = match &request.request {
                        ClientRequest::InitializeRequest(_) => true,
                        ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_) => false,
                        other => other.get_meta().protocol_version().is_some(),
                    };
                }
                JsonRpcMessage::Notification(_) | JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {
                    return None;
                }
            }
        }
        Some(message)
    }
}

impl Transport<RoleServer> for Stdio {
    type Error = Closed;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Closed>> + Send + 'static {
        let result = self.out.send(to_line(&item)).map_err(|_| Closed);
        std::future::ready(result)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            let line = self.lines.recv().await?;
            if let Some(message) = self.message(line) {
                return Some(message);
            }
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Closed>> + Send {
        std::future::ready(Ok(()))
    }
}

/// One message as a line. A tool result with one text block and no structure of its own carries JSON text, which
/// stands in both places.
fn to_line(message: &TxJsonRpcMessage<RoleServer>) -> String {
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

/// Reads lines until the end of input or until `take` says no. A line over the limit is skipped to its end.
fn read_lines(mut input: impl BufRead, max_bytes: usize, mut take: impl FnMut(Line) -> bool) {
    let mut line = Vec::new();
    let mut skipping = false;
    loop {
        let (used, ended) = match input.fill_buf() {
            Ok([]) | Err(_) => return,
            Ok(available) => {
                let end = available.iter().position(|byte| *byte == b'\n');
                let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
                if !skipping {
                    line.extend_from_slice(part);
                }
                (part.len() + usize::from(end.is_some()), end.is_some())
            }
        };
        input.consume(used);
        if line.len() > max_bytes && !skipping {
            skipping = true;
            if !take(Line::TooLong(line.len())) {
                return;
            }
            line = Vec::new();
        }
        if ended {
            let whole = std::mem::take(&mut line);
            if !std::mem::take(&mut skipping) && !take(Line::Text(whole)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_and_bounded() {
        let mut seen = Vec::new();
        read_lines(&b"one\n\nlonger than ten bytes\ntwo\npartial"[..], 10, |line| {
            seen.push(match line {
                Line::Text(bytes) => String::from_utf8(bytes).unwrap(),
                Line::TooLong(_) => "too long".into(),
            });
            true
        });
        assert_eq!(seen, ["one", "", "too long", "two"]);
    }
}

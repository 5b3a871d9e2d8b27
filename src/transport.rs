//! Standard input and output as rmcp sees them: one JSON-RPC message a line.
//!
//! It works round habits of the SDK, each seen in its source (rmcp 3.11, `service/server.rs`):
//! - a session keeps the era that opened it, and clients mix both on one pipe: so two sessions share the pipe, and each
//!   message goes to the one whose era it speaks ([`Switch`]);
//! - a notification before the handshake ends the server: it is dropped here;
//! - a line that cannot be parsed or is too long gets no answer: it is answered here, with its id where one can be read;
//! - a result's `structuredContent` is built as a tree and serialised a second time: a tool's reply is JSON text
//!   already, and that text is put into both blocks here;
//! - nothing of a message is bounded, and a request lives as long as its call: so a line is looked at before it is parsed
//!   ([`scan`]), and the requests that wait or run are bounded in sum ([`held`]).
//!
//! Two threads own the pipes, so that no worker of the runtime ever blocks on them; the end of either cancels
//! everything, that of the input after a moment in which requests are still answered. The process's own descriptors 0 and 1 are put out of reach of dependencies and child processes.

mod request_memory;
mod scan;

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rmcp::RoleServer;
use rmcp::model::{
    ClientNotification, ClientRequest, ContentBlock, GetExtensions, GetMeta, JsonRpcMessage, NumberOrString,
    ProtocolVersion, RequestId, ServerResult,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::database::value::{cut, push_json_string};
use crate::limits::Limits;
use request_memory::{RequestMemory, Share, weight};
use scan::Scan;

/// Messages read ahead of a session.
const MESSAGES_AHEAD: usize = 16;

/// Bytes of the parser's words on a message; they may quote it.
const MAX_WORDS_BYTES: usize = 300;

/// How often a client that does not read is looked at, whether it is still there.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How long requests are still answered after the end of the input, for messages that come by a pipe.
const ANSWERING: Duration = Duration::from_millis(1_000);

/// Between two looks at whether all of them are answered.
const ANSWERED_YET: Duration = Duration::from_millis(5);

/// Methods that are served.
const METHODS: [&str; 11] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
    "completion/complete",
];

const NOT_OPENED: &str = "no session is open: send initialize first, or put io.modelcontextprotocol/protocolVersion \
                          and io.modelcontextprotocol/clientCapabilities into _meta of each request";

const BUSY: &str = "busy: the requests that wait or run take all the memory that there is for them; send this one again \
                    when others are answered";

type Message = RxJsonRpcMessage<RoleServer>;

/// Writing to a closed pipe.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub struct Closed;

/// The two sessions of one pipe, and the handle that waits for what they wrote.
pub struct Pipes {
    /// `initialize`, 2024-11-05 to 2025-11-25.
    pub handshake: Session,
    /// `_meta` on each request, from 2026-07-28 on.
    pub inline: Session,
    pub flushed: Flushed,
}

/// What one service of the SDK reads and writes.
pub struct Session {
    messages: mpsc::Receiver<Message>,
    out: Out,
}

/// Lines on their way to the client, shared by all that write.
#[derive(Clone)]
struct Out {
    /// `None` ends the writing.
    lines: std::sync::mpsc::Sender<Option<String>>,
    unread: Arc<Unread>,
}

/// Bytes that the client has not taken yet. Over the limit nothing more is read from it.
struct Unread {
    bytes: Mutex<usize>,
    fell: Condvar,
    limit: usize,
}

impl Unread {
    fn change(&self, by: impl FnOnce(usize) -> usize) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *bytes = by(*bytes);
        if *bytes <= self.limit {
            self.fell.notify_all();
        }
    }

    /// Waits until the client has read; false when it has gone instead.
    fn wait(&self, has_gone: impl Fn() -> bool) -> bool {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        while *bytes > self.limit {
            let waited = self.fell.wait_timeout(bytes, LOOK_AGAIN).unwrap_or_else(PoisonError::into_inner);
            bytes = waited.0;
            if waited.1.timed_out() && has_gone() {
                return false;
            }
        }
        true
    }
}

/// Waits until everything written so far is in the pipe.
pub struct Flushed {
    out: Out,
    writer: std::thread::JoinHandle<()>,
}

impl Flushed {
    pub fn wait(self) {
        let _ = self.out.lines.send(None);
        let _ = self.writer.join();
    }
}

/// Takes standard input and output. `end` is cancelled at the end of the output, and at the end of the input once all
/// requests are answered, [`ANSWERING`] later at the latest.
pub fn open(limits: &Limits, end: CancellationToken) -> Pipes {
    let (input, output) = descriptors();
    let (lines, outgoing) = std::sync::mpsc::channel();
    let unread = Arc::new(Unread { bytes: Mutex::new(0), fell: Condvar::new(), limit: limits.max_unread_bytes });
    let out = Out { lines, unread: Arc::clone(&unread) };
    let (handshake, for_handshake) = mpsc::channel(MESSAGES_AHEAD);
    let (inline, for_inline) = mpsc::channel(MESSAGES_AHEAD);
    let ended = end.clone();
    let mut switch = Switch {
        handshake,
        inline,
        has_handshake: false,
        has_inline: false,
        out: out.clone(),
        held: RequestMemory::new(limits.max_held_bytes),
        max_values: limits.max_line_values,
        max_id_bytes: limits.max_id_bytes,
    };
    let (max_line_bytes, max_id_bytes) = (limits.max_line_bytes, limits.max_id_bytes);
    std::thread::spawn(move || {
        let Ok(input) = input else { return ended.cancel() };
        let watched = watched(&input);
        read_lines(BufReader::with_capacity(64 << 10, input), max_line_bytes, max_id_bytes, |line| {
            switch.out.unread.wait(|| has_gone(watched.as_ref())) && switch.take(line)
        });
        let latest = Instant::now() + ANSWERING;
        while !switch.held.is_empty() && !ended.is_cancelled() && Instant::now() < latest {
            std::thread::sleep(ANSWERED_YET);
        }
        ended.cancel();
    });
    let writer = std::thread::spawn(move || {
        write_lines(output, &outgoing, &unread);
        // A client that does not read any more has gone; nobody waits for its answers, nor for it.
        unread.change(|_| 0);
        end.cancel();
    });
    Pipes {
        handshake: Session { messages: for_handshake, out: out.clone() },
        inline: Session { messages: for_inline, out: out.clone() },
        flushed: Flushed { out, writer },
    }
}

/// Standard input and output under descriptors of their own. What a dependency prints goes to stderr from here on, and
/// a child process (a password command) finds an empty input.
#[cfg(unix)]
fn descriptors() -> (std::io::Result<File>, Box<dyn Write + Send>) {
    use std::os::fd::AsFd;
    let own = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from);
    // Without an input there is nothing to serve: an empty one ends the process at once.
    let input = own(std::io::stdin().as_fd()).or_else(|_| File::open("/dev/null"));
    let moved = || -> std::io::Result<File> {
        let output = own(std::io::stdout().as_fd())?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        rustix::stdio::dup2_stdout(std::io::stderr())?;
        Ok(output)
    };
    let output: Box<dyn Write + Send> = match moved() {
        Ok(output) => Box::new(output),
        Err(error) => {
            tracing::warn!(%error, "standard output stays where it is");
            Box::new(std::io::stdout())
        }
    };
    (input, output)
}

/// The input to look at while it is not read.
#[cfg(unix)]
fn watched(input: &File) -> Option<File> {
    input.try_clone().ok()
}

/// Whether the other end of the input is closed, whatever is still in it.
#[cfg(unix)]
fn has_gone(input: Option<&File>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let Some(input) = input else { return false };
    let mut looked = [PollFd::new(input, PollFlags::empty())];
    poll(&mut looked, Some(&Timespec::default())).is_ok()
        && looked.iter().any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR))
}

#[cfg(not(unix))]
fn descriptors() -> (std::io::Result<std::io::Stdin>, Box<dyn Write + Send>) {
    (Ok(std::io::stdin()), Box::new(std::io::stdout()))
}

#[cfg(not(unix))]
fn watched(_input: &std::io::Stdin) -> Option<File> {
    None
}

#[cfg(not(unix))]
fn has_gone(_input: Option<&File>) -> bool {
    false
}

impl Out {
    fn send(&self, line: String) -> Result<(), Closed> {
        self.unread.change(|bytes| bytes + line.len());
        self.lines.send(Some(line)).map_err(|_| Closed)
    }

    fn error(&self, id: Option<RequestId>, code: i32, message: &str) {
        let id = id.and_then(|id| serde_json::to_string(&id).ok()).unwrap_or_else(|| "null".into());
        let mut line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":{code},\"message\":");
        push_json_string(&mut line, message);
        line.push_str("}}\n");
        let _ = self.send(line);
    }
}

/// Sends each message to the session of its era.
struct Switch {
    handshake: mpsc::Sender<Message>,
    inline: mpsc::Sender<Message>,
    /// Whether each session has begun; before that a notification would end it.
    has_handshake: bool,
    has_inline: bool,
    out: Out,
    held: RequestMemory,
    max_values: usize,
    max_id_bytes: usize,
}

impl Switch {
    /// False when nobody listens any more.
    fn take(&mut self, line: Line) -> bool {
        let bytes = match line {
            Line::TooLong { id, bytes, limit } => {
                let message =
                    format!("the message has {bytes} bytes and the limit is {limit}; send less in one message");
                self.out.error(id, -32600, &message);
                return true;
            }
            Line::Text(bytes) => bytes,
        };
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).trim_ascii();
        if text.is_empty() {
            return true;
        }
        let scan = Scan::of(text, self.max_id_bytes);
        if scan.id_is_long() {
            self.out.error(None, -32600, &format!("an id may have {} bytes", self.max_id_bytes));
            return true;
        }
        if scan.values > self.max_values {
            let message = format!("the message has {} JSON values and the limit is {}", scan.values, self.max_values);
            self.out.error(scan.id(), -32600, &message);
            return true;
        }
        match serde_json::from_slice::<Message>(text) {
            Ok(message) => self.admit(message, weight(text.len(), scan.values)),
            Err(error) => {
                let error = error.to_string();
                let error = cut(&error, MAX_WORDS_BYTES);
                match serde_json::from_slice::<OnlyId>(text) {
                    Ok(OnlyId { id }) => self.out.error(id, -32600, &format!("not a request: {error}")),
                    Err(_) if text.first() == Some(&b'[') => {
                        self.out.error(None, -32600, "batches are not served; send one message a line");
                    }
                    Err(_) if serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok() => {
                        self.out.error(None, -32600, "not a request: its id must be a string or a whole number");
                    }
                    Err(_) => self.out.error(None, -32700, "the line is not JSON"),
                }
                true
            }
        }
    }

    /// Takes a request in when there is memory for it; it keeps its share until its handler has ended, cancelled or not.
    /// Notifications and responses keep nothing. They are taken in any case, since they let calls end.
    fn admit(&mut self, mut message: Message, bytes: usize) -> bool {
        match &mut message {
            JsonRpcMessage::Request(request) => {
                let token = request.request.get_meta().get_progress_token();
                if let Some(NumberOrString::String(token)) = token.map(|token| token.0)
                    && token.len() > self.max_id_bytes
                {
                    let message = format!("a progressToken may have {} bytes", self.max_id_bytes);
                    self.out.error(Some(request.id.clone()), -32602, &message);
                    return true;
                }
                let Some(share) = self.held.take(bytes) else {
                    self.out.error(Some(request.id.clone()), -32000, BUSY);
                    return true;
                };
                request.request.extensions_mut().insert::<Share>(share);
            }
            JsonRpcMessage::Notification(notification) => match &mut notification.notification {
                ClientNotification::InitializedNotification(_) => {}
                ClientNotification::CancelledNotification(cancelled) => cancelled.params.reason = None,
                // Nothing is done with the others.
                ClientNotification::ProgressNotification(_)
                | ClientNotification::RootsListChangedNotification(_)
                | ClientNotification::CustomNotification(_) => return true,
                _ => return true,
            },
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {}
        }
        self.route(message)
    }

    fn route(&mut self, message: Message) -> bool {
        match &message {
            JsonRpcMessage::Request(request) => match &request.request {
                ClientRequest::InitializeRequest(_) => {
                    self.has_handshake = true;
                    self.handshake.blocking_send(message).is_ok()
                }
                ClientRequest::DiscoverRequest(_) => self.inline.blocking_send(message).is_ok(),
                // So the SDK takes a method of its own whose parameters it cannot read.
                ClientRequest::CustomRequest(custom) if METHODS.contains(&custom.method.as_str()) => {
                    let message = format!("the parameters of {} are not those of the protocol", custom.method);
                    self.out.error(Some(request.id.clone()), -32602, &message);
                    true
                }
                other => match other.get_meta().protocol_version() {
                    None if !self.has_handshake && !matches!(other, ClientRequest::PingRequest(_)) => {
                        self.out.error(Some(request.id.clone()), -32602, NOT_OPENED);
                        true
                    }
                    None => self.handshake.blocking_send(message).is_ok(),
                    Some(version) => {
                        // What the SDK asks of the request that opens a session.
                        self.has_inline |= ProtocolVersion::KNOWN_VERSIONS.contains(&version)
                            && other.get_meta().missing_required_keys(&ProtocolVersion::V_2026_07_28).is_empty();
                        self.inline.blocking_send(message).is_ok()
                    }
                },
            },
            // The request may be of either era; ids are unique in both together.
            JsonRpcMessage::Notification(notification)
                if matches!(notification.notification, ClientNotification::CancelledNotification(_)) =>
            {
                (!self.has_inline || self.inline.blocking_send(message.clone()).is_ok())
                    && (!self.has_handshake || self.handshake.blocking_send(message).is_ok())
            }
            JsonRpcMessage::Notification(_) | JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {
                !self.has_handshake || self.handshake.blocking_send(message).is_ok()
            }
        }
    }
}

impl Transport<RoleServer> for Session {
    type Error = Closed;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Closed>> + Send + 'static {
        std::future::ready(self.out.send(to_line(&item)))
    }

    async fn receive(&mut self) -> Option<Message> {
        self.messages.recv().await
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

fn write_lines(mut output: impl Write, lines: &std::sync::mpsc::Receiver<Option<String>>, unread: &Unread) {
    while let Ok(Some(line)) = lines.recv() {
        if output.write_all(line.as_bytes()).and_then(|()| output.flush()).is_err() {
            return;
        }
        unread.change(|bytes| bytes.saturating_sub(line.len()));
    }
}

#[derive(Debug, PartialEq)]
enum Line {
    Text(Vec<u8>),
    TooLong { id: Option<RequestId>, bytes: usize, limit: usize },
}

#[derive(Deserialize)]
struct OnlyId {
    id: Option<RequestId>,
}

/// Reads lines until the end of input or until `take` says no. Of a line over the limit only the id is kept.
fn read_lines(mut input: impl BufRead, limit: usize, max_id_bytes: usize, mut take: impl FnMut(Line) -> bool) {
    loop {
        let mut line = Vec::new();
        let most = limit as u64 + 1;
        if input.by_ref().take(most).read_until(b'\n', &mut line).is_err() {
            return;
        }
        let line = if line.pop_if(|last| *last == b'\n').is_some() {
            Line::Text(line)
        } else if line.len() as u64 == most {
            // The id may stand last. Nothing of what is skipped is kept in memory.
            let mut scan = Scan::of(&line, max_id_bytes);
            let Some(rest) = skip_line(&mut input, &mut scan) else { return };
            Line::TooLong { id: scan.id(), bytes: line.len() + rest, limit }
        } else {
            // The input ended; what stands after its last line break is not a message.
            return;
        };
        if !take(line) {
            return;
        }
    }
}

/// Reads to the end of a line: how many bytes were left of it. `None` when the input ends or fails before.
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

    #[test]
    fn reading_waits_for_a_client_that_does_not_read() {
        let unread = Arc::new(Unread { bytes: Mutex::new(0), fell: Condvar::new(), limit: 10 });
        unread.change(|bytes| bytes + 11);
        let waiting = Arc::clone(&unread);
        let waiter = std::thread::spawn(move || waiting.wait(|| false));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiter.is_finished());
        unread.change(|bytes| bytes - 1);
        assert!(waiter.join().unwrap());
        unread.change(|bytes| bytes + 1);
        assert!(!unread.wait(|| true), "the client has gone");
    }
}

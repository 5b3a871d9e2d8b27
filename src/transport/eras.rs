//! Sends each message to the session of its protocol era, and refuses messages that no session may get.

use std::sync::Arc;

use rmcp::model::{
    ClientNotification, ClientRequest, GetExtensions, GetMeta, JsonRpcMessage, NumberOrString, ProtocolVersion,
    RequestId,
};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::Message;
use super::lines::Line;
use super::out::Out;
use super::request_memory::{RequestMemory, Share, weight};
use super::scan::Scan;
use crate::database::value::cut;
use crate::limits::Limits;

/// Maximum bytes of the parser's error in a reply. The error may quote the message.
const MAX_WORDS_BYTES: usize = 300;

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

#[derive(Deserialize)]
struct OnlyId {
    id: Option<RequestId>,
}

/// Sends each message to the session of its era.
pub(super) struct Switch {
    handshake: mpsc::Sender<Message>,
    inline: mpsc::Sender<Message>,
    /// Whether each session has begun. Before that, a notification would end the session.
    has_handshake: bool,
    has_inline: bool,
    pub(super) out: Out,
    pub(super) held: RequestMemory,
    max_values: usize,
    max_id_bytes: usize,
}

impl Switch {
    pub(super) fn new(
        handshake: mpsc::Sender<Message>,
        inline: mpsc::Sender<Message>,
        out: Out,
        limits: &Limits,
    ) -> Self {
        Switch {
            handshake,
            inline,
            has_handshake: false,
            has_inline: false,
            out,
            held: RequestMemory::new(limits.max_held_bytes),
            max_values: limits.max_line_values,
            max_id_bytes: limits.max_id_bytes,
        }
    }

    /// Takes one line. Returns `false` when the session that should get the message has ended.
    pub(super) fn take(&mut self, line: Line) -> bool {
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
            self.out.error(None, -32600, &format!("the id is longer than {} bytes", self.max_id_bytes));
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

    /// Admits a request if there is memory for it. The request keeps its share until its handler has ended, cancelled
    /// or not. Notifications and responses need no share, because they let calls end.
    fn admit(&mut self, mut message: Message, bytes: usize) -> bool {
        match &mut message {
            JsonRpcMessage::Request(request) => {
                let token = request.request.get_meta().get_progress_token();
                if let Some(NumberOrString::String(token)) = token.map(|token| token.0)
                    && token.len() > self.max_id_bytes
                {
                    let message = format!("the progressToken is longer than {} bytes", self.max_id_bytes);
                    self.out.error(Some(request.id.clone()), -32602, &message);
                    return true;
                }
                let Some(share) = self.held.take(bytes) else {
                    self.out.error(Some(request.id.clone()), -32000, BUSY);
                    return true;
                };
                request.request.extensions_mut().insert::<Share>(share);
                request.request.extensions_mut().insert(Arc::clone(&self.out.unread));
            }
            JsonRpcMessage::Notification(notification) => match &mut notification.notification {
                ClientNotification::InitializedNotification(_) => {}
                ClientNotification::CancelledNotification(cancelled) => cancelled.params.reason = None,
                // The server ignores the others.
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
                // The SDK reads one of its own methods as custom if it cannot read the parameters.
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
                        // Only a request with a known version and all required keys opens the session in the SDK.
                        self.has_inline |= ProtocolVersion::KNOWN_VERSIONS.contains(&version)
                            && other.get_meta().missing_required_keys(&ProtocolVersion::V_2026_07_28).is_empty();
                        self.inline.blocking_send(message).is_ok()
                    }
                },
            },
            // The cancelled request may be of either era. Ids are unique across both.
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

//! Standard input and output as rmcp sees them: one JSON-RPC message a line.
//!
//! It works around these behaviours of the SDK, each seen in its source (rmcp 3.11, `service/server.rs`):
//! - The protocol has two eras: the versions whose clients send `initialize`, and the versions from 2026-07-28 on. A
//!   session of the SDK serves one era, but clients mix both on one pipe. So two sessions share the pipe, and
//!   [`Switch`] sends each message to the session of its era.
//! - A notification before the handshake ends the server. So this module drops such a notification.
//! - The SDK does not answer a line that it cannot parse or that is too long. This module answers such lines, with the
//!   request's id if it can be read.
//! - A result's `structuredContent` is built as a tree and serialised a second time. A tool's reply is already JSON
//!   text, and that text is put into both blocks here.
//! - Nothing in a message is bounded, and a request stays in memory until its call ends. So a line is scanned before it
//!   is parsed ([`scan`]), and the requests that wait or run are bounded in sum ([`request_memory`]).
//!
//! Two threads own the pipes, so that no worker of the runtime ever blocks on them. The end of the output cancels
//! everything. After the end of the input, requests are answered for a short time before everything is cancelled. The
//! process's own descriptors 0 and 1 are replaced, so that dependencies and child processes cannot use the pipes.

mod descriptors;
mod eras;
mod lines;
mod out;
mod request_memory;
mod scan;

use std::io::BufReader;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rmcp::RoleServer;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::limits::Limits;
use descriptors::{descriptors, has_gone, watched};
use eras::Switch;
use lines::{read_lines, to_line};
pub use out::{Flushed, Unread};
use out::{Out, write_lines};

/// Messages that may wait for a session.
const MESSAGES_AHEAD: usize = 16;

/// How long requests are still answered after the end of the input. A client that pipes its messages ends the input
/// early.
const ANSWERING: Duration = Duration::from_millis(1_000);

/// Time between two checks whether all requests are answered.
const ANSWERED_YET: Duration = Duration::from_millis(5);

/// The number of arrays, objects and commas in JSON text. It is at least half the number of its values.
pub fn values_of(json: &[u8]) -> usize {
    scan::Scan::of(json, 0).values
}

type Message = RxJsonRpcMessage<RoleServer>;

/// Standard output was closed before a message was written.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub struct Closed;

/// The two sessions of one pipe, and the handle that waits until their output is written.
pub struct Pipes {
    /// Clients that send `initialize`: versions 2024-11-05 to 2025-11-25.
    pub handshake: Session,
    /// Clients that send `_meta` with each request: versions from 2026-07-28 on.
    pub inline: Session,
    pub flushed: Flushed,
}

/// The transport of one service of the SDK.
pub struct Session {
    messages: mpsc::Receiver<Message>,
    out: Out,
}

/// Takes over standard input and output. `end` is cancelled when the output ends. After the input ends, `end` is
/// cancelled once all requests are answered, or [`ANSWERING`] later at the latest.
pub fn open(limits: &Limits, end: CancellationToken) -> Pipes {
    let (input, output, direct) = descriptors();
    let (lines, outgoing) = std::sync::mpsc::channel();
    let unread = Arc::new(Unread::new(limits.max_unread_bytes));
    let out = Out { lines, unread: Arc::clone(&unread), direct };
    let (handshake, for_handshake) = mpsc::channel(MESSAGES_AHEAD);
    let (inline, for_inline) = mpsc::channel(MESSAGES_AHEAD);
    let ended = end.clone();
    let mut switch = Switch::new(handshake, inline, out.clone(), limits);
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
        // The client has closed the output. With no unread bytes left, the reader and the calls stop waiting for it.
        unread.change(|_| 0);
        end.cancel();
    });
    Pipes {
        handshake: Session { messages: for_handshake, out: out.clone() },
        inline: Session { messages: for_inline, out: out.clone() },
        flushed: Flushed { out, writer },
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

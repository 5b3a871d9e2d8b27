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
//!   ([`scan`]), and the requests that wait or run are bounded in sum ([`request_memory`]).
//!
//! Two threads own the pipes, so that no worker of the runtime ever blocks on them; the end of either cancels
//! everything, that of the input after a moment in which requests are still answered. The process's own descriptors 0
//! and 1 are put out of reach of dependencies and child processes.

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

/// Messages read ahead of a session.
const MESSAGES_AHEAD: usize = 16;

/// How long requests are still answered after the end of the input, for messages that come by a pipe.
const ANSWERING: Duration = Duration::from_millis(1_000);

/// How often it is checked whether all requests are answered.
const ANSWERED_YET: Duration = Duration::from_millis(5);

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

/// Takes standard input and output. `end` is cancelled at the end of the output, and at the end of the input once all
/// requests are answered, [`ANSWERING`] later at the latest.
pub fn open(limits: &Limits, end: CancellationToken) -> Pipes {
    let (input, output) = descriptors();
    let (lines, outgoing) = std::sync::mpsc::channel();
    let unread = Arc::new(Unread::new(limits.max_unread_bytes));
    let out = Out { lines, unread: Arc::clone(&unread) };
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

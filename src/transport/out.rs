//! Queues lines for the client, and counts the bytes that the client has not read.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::RequestId;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Closed;
use crate::database::value::push_json_string;

/// Time between two checks on a client that does not read.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Pause before writing again to a full output that does not block.
const FULL: Duration = Duration::from_millis(2);

/// The queue of lines, shared by all writers.
#[derive(Clone)]
pub(super) struct Out {
    /// `None` ends the writer thread.
    pub(super) lines: std::sync::mpsc::Sender<Option<String>>,
    /// The output, for lines that fit without waiting.
    pub(super) direct: Option<Arc<File>>,
    pub(super) unread: Arc<Unread>,
}

/// Bytes that the client has not read yet. While they are over the limit, no message of the client is read and no call
/// begins.
pub struct Unread {
    bytes: Mutex<usize>,
    fell: Condvar,
    limit: usize,
    /// One permit for each call that may add a reply.
    beginning: Semaphore,
}

/// Calls that may run at once over all sources. All their replies may still be added after the client stops reading.
const MOST_CALLS: usize = 200;

impl Unread {
    pub(super) fn new(limit: usize) -> Self {
        Unread { bytes: Mutex::new(0), fell: Condvar::new(), limit, beginning: Semaphore::new(MOST_CALLS) }
    }

    /// Waits until a call may begin. The call may run while the permit is held.
    pub async fn begin(&self) -> Option<SemaphorePermit<'_>> {
        let permit = self.beginning.acquire().await.ok();
        while *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) > self.limit {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        permit
    }

    pub(super) fn change(&self, by: impl FnOnce(usize) -> usize) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *bytes = by(*bytes);
        if *bytes <= self.limit {
            self.fell.notify_all();
        }
    }

    /// Waits until the client has read enough. Returns `false` if the client is gone instead.
    pub(super) fn wait(&self, has_gone: impl Fn() -> bool) -> bool {
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
    pub(super) out: Out,
    pub(super) writer: std::thread::JoinHandle<()>,
}

impl Flushed {
    pub fn wait(self) {
        let _ = self.out.lines.send(None);
        let _ = self.writer.join();
    }
}

impl Out {
    /// Writes a short line at once if no other line waits and the pipe has room. Other lines are queued for the writer
    /// thread.
    pub(super) fn send(&self, mut line: String) -> Result<(), Closed> {
        let mut unread = self.unread.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if *unread == 0
            && let Some(written) = self.direct.as_ref().and_then(|output| write_now(output, line.as_bytes()))
        {
            if written == line.len() {
                return Ok(());
            }
            line.drain(..written);
        }
        *unread += weight(&line);
        self.lines.send(Some(line)).map_err(|_| Closed)
    }

    pub(super) fn error(&self, id: Option<RequestId>, code: i32, message: &str) {
        let id = id.and_then(|id| serde_json::to_string(&id).ok()).unwrap_or_else(|| "null".into());
        let mut line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":{code},\"message\":");
        push_json_string(&mut line, message);
        line.push_str("}}\n");
        let _ = self.send(line);
    }
}

/// Memory of a queued line besides its text, measured with 163,000 short replies that nobody read.
const LINE_BYTES: usize = 2_048;

/// The bytes for which a queued line counts.
fn weight(line: &str) -> usize {
    line.len() + LINE_BYTES
}

/// Writes a line that the output takes without waiting, and returns the number of bytes written. `None` if the write
/// would have to wait, or fails. A pipe that is ready takes `PIPE_BUF` bytes (`pipe(7)`).
#[cfg(unix)]
fn write_now(output: &File, line: &[u8]) -> Option<usize> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    if line.len() > rustix::pipe::PIPE_BUF {
        return None;
    }
    let mut looked = [PollFd::new(output, PollFlags::OUT)];
    let ready = poll(&mut looked, Some(&Timespec::default())).is_ok_and(|ready| ready == 1);
    let can_write = ready && looked.iter().all(|fd| fd.revents() == PollFlags::OUT);
    if can_write { rustix::io::write(output, line).ok() } else { None }
}

#[cfg(not(unix))]
fn write_now(_output: &File, _line: &[u8]) -> Option<usize> {
    None
}

/// Writes the queued lines until the queue or the output is closed.
pub(super) fn write_lines(output: impl Write, lines: &std::sync::mpsc::Receiver<Option<String>>, unread: &Unread) {
    let mut output = Patient(output);
    while let Ok(Some(line)) = lines.recv() {
        if output.write_all(line.as_bytes()).and_then(|()| output.flush()).is_err() {
            return;
        }
        unread.change(|bytes| bytes.saturating_sub(weight(&line)));
    }
}

/// An output that waits if it is full. A client may make its end of a socket or terminal non-blocking. This process's
/// end shares that flag, so a write to a full output fails instead of waiting.
struct Patient<W>(W);

impl<W: Write> Patient<W> {
    fn until_done<T>(&mut self, mut attempt: impl FnMut(&mut W) -> std::io::Result<T>) -> std::io::Result<T> {
        loop {
            match attempt(&mut self.0) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::sleep(FULL),
                result => return result,
            }
        }
    }
}

impl<W: Write> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.until_done(|output| output.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.until_done(W::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An output that is full before each byte.
    struct Full(Vec<u8>, bool);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(std::io::ErrorKind::WouldBlock.into());
            }
            self.0.extend(bytes.first());
            Ok(1)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_output_that_does_not_block_gets_whole_lines() {
        let mut output = Full(Vec::new(), false);
        let (lines, queue) = std::sync::mpsc::channel();
        for line in [Some("first\n"), Some("second\n"), None] {
            lines.send(line.map(str::to_owned)).unwrap();
        }
        write_lines(&mut output, &queue, &Unread::new(10));
        assert_eq!(output.0, b"first\nsecond\n");
    }

    #[test]
    fn reading_waits_for_a_client_that_does_not_read() {
        let unread = Arc::new(Unread::new(10));
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

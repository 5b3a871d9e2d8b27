//! The mirror: each finished record as one JSON line, in a file or on stderr. Rotation is left to the platform.
//!
//! A regular file is written directly. Writing to anything else (a pipe, a terminal, stderr) may block while nobody
//! reads, so a thread does it. Lines wait for that thread up to a limit; further lines are lost. The store has every
//! record in any case.

use std::collections::HashMap;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::{Map, Value};

use super::super::chain::Row;
use crate::config::Mirror;

/// Bytes that may wait for a mirror that nobody reads.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// Time that the end of the process waits for a mirror that nobody reads.
const LAST_WAIT: Duration = Duration::from_millis(300);

/// The destination of the copies.
pub(super) struct MirrorFile {
    to: Mirror,
    /// Intents without an outcome yet, by record id.
    open: HashMap<String, Map<String, Value>>,
    /// Whether the file's end was checked. A process that died may have left half a line.
    mended: bool,
    /// The queue of the thread that writes where writing may block.
    queue: Option<Queue>,
}

/// Lines that wait for the thread.
struct Queue {
    lines: Sender<String>,
    waiting_bytes: Arc<AtomicUsize>,
    /// Records lost since the last lines that were queued.
    lost: usize,
}

impl Queue {
    fn start(to: Mirror) -> Queue {
        let (lines, receiver) = channel();
        let waiting_bytes = Arc::default();
        let written = Arc::clone(&waiting_bytes);
        std::thread::spawn(move || write_slowly(&to, &receiver, &written));
        Queue { lines, waiting_bytes, lost: 0 }
    }

    /// Queues the lines. If the queue is full, counts their records as lost.
    fn put(&mut self, lines: String, to: &Mirror) {
        let records = lines.bytes().filter(|byte| *byte == b'\n').count();
        let bytes = lines.len();
        let is_full = self.waiting_bytes.load(Ordering::Acquire).saturating_add(bytes) > MAX_WAITING_BYTES;
        if !is_full {
            self.waiting_bytes.fetch_add(bytes, Ordering::AcqRel);
            if self.lines.send(lines).is_ok() {
                let lost = std::mem::take(&mut self.lost);
                if lost > 0 {
                    tracing::warn!(
                        lost,
                        "the audit mirror is written again; records are missing in it, and the store has them"
                    );
                }
                return;
            }
        }
        // A stderr that nobody reads cannot show a warning either.
        if self.lost == 0 && *to != Mirror::Stderr {
            tracing::warn!(
                "nobody reads the audit mirror: records are missing in it from here on, and the store has them"
            );
        }
        self.lost = self.lost.saturating_add(records);
    }
}

/// Writes the lines of the queue, in the thread. Opening a pipe blocks until it has a reader.
fn write_slowly(to: &Mirror, lines: &Receiver<String>, waiting_bytes: &AtomicUsize) {
    let mut opened: Option<std::fs::File> = None;
    for lines in lines {
        let written = match to {
            Mirror::Stderr => std::io::stderr().write_all(lines.as_bytes()),
            Mirror::File(path) => match opened.take().map_or_else(|| append_private(path), Ok) {
                Ok(mut file) => file.write_all(lines.as_bytes()).map(|()| opened = Some(file)),
                Err(error) => Err(error),
            },
        };
        if let (Err(error), Mirror::File(_)) = (written, to) {
            tracing::warn!(%error, "audit mirror");
        }
        waiting_bytes.fetch_sub(lines.len(), Ordering::AcqRel);
    }
}

impl MirrorFile {
    pub(super) fn new(to: Mirror) -> Self {
        MirrorFile { to, open: HashMap::new(), mended: false, queue: None }
    }

    /// Waits up to `LAST_WAIT` for queued lines.
    pub(super) async fn finish(&self) {
        let Some(queue) = &self.queue else { return };
        let until = tokio::time::Instant::now() + LAST_WAIT;
        while queue.waiting_bytes.load(Ordering::Acquire) > 0 && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Writes the records that these events finish. Each write has whole lines.
    pub(super) fn write(&mut self, process: &str, rows: &[Row]) {
        let mut lines = String::new();
        for row in rows {
            let Ok(Value::Object(fields)) = serde_json::from_str(&row.body) else { continue };
            if row.kind == "intent" {
                let mut record = Map::new();
                record.insert("id".into(), row.id.clone().into());
                record.insert("started_at".into(), row.at.clone().into());
                record.insert("process".into(), process.into());
                record.insert("seq".into(), row.seq.into());
                record.extend(fields);
                self.open.insert(row.id.clone(), record);
            } else if let Some(mut record) = self.open.remove(&row.id) {
                record.extend(fields);
                lines.push_str(&Value::Object(record).to_string());
                lines.push('\n');
            }
        }
        if lines.is_empty() {
            return;
        }
        let result = match &self.to {
            to if may_wait(to) => {
                let queue = self.queue.get_or_insert_with(|| Queue::start(to.clone()));
                queue.put(lines, to);
                Ok(())
            }
            Mirror::Stderr => Ok(()),
            Mirror::File(path) => append_private(path).and_then(|mut file| {
                if !self.mended && ends_torn(path)? {
                    lines.insert(0, '\n');
                }
                file.write_all(lines.as_bytes())?;
                self.mended = true;
                Ok(())
            }),
        };
        if let Err(error) = result {
            tracing::warn!(%error, "audit mirror");
        }
    }
}

/// Whether writing may block. A path that does not exist yet becomes a regular file.
fn may_wait(to: &Mirror) -> bool {
    match to {
        Mirror::Stderr => true,
        Mirror::File(path) => std::fs::metadata(path).is_ok_and(|found| !found.is_file()),
    }
}

/// Whether the last line of a file lacks its line feed.
fn ends_torn(path: &Path) -> std::io::Result<bool> {
    let mut file = std::fs::File::open(path)?;
    if file.seek(std::io::SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(std::io::SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Opens a file for appending. A new file is readable only by its owner.
pub(super) fn append_private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

//! The mirror: a copy of each finished record as one JSON line, in a file or on stderr. TUDB does not rotate the file.
//!
//! A regular file is written directly. Writing to another destination (a pipe, a terminal, stderr) may block while no
//! process reads from it, so a separate thread writes. Lines wait for the thread in a queue of limited size. While the
//! queue is full, further lines are missing in the mirror. The store contains their records.

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

/// Maximum number of bytes in the queue.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// Maximum time that the process waits at its end for the queue to be written.
const LAST_WAIT: Duration = Duration::from_millis(300);

/// The mirror: its destination, and the records without an outcome.
pub(super) struct MirrorFile {
    to: Mirror,
    /// Intents without an outcome yet, by record id.
    open: HashMap<String, Map<String, Value>>,
    /// True if the last write to a regular file succeeded. If not, the end of the file is checked before the next
    /// write, because a failed write or a killed process may have left an incomplete line.
    mended: bool,
    /// The queue of the writing thread. `None` until the first lines are queued.
    queue: Option<Queue>,
}

/// The lines that wait for the writing thread.
struct Queue {
    lines: Sender<String>,
    waiting_bytes: Arc<AtomicUsize>,
    /// Number of records that were lost since lines were last put into the queue.
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

    /// Puts lines into the queue. If the queue is full, the records of the lines are counted as lost.
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
        // If nobody reads stderr, a warning cannot be shown, because the log also goes to stderr.
        if self.lost == 0 && *to != Mirror::Stderr {
            tracing::warn!(
                "nobody reads the audit mirror: records are missing in it from here on, and the store has them"
            );
        }
        self.lost = self.lost.saturating_add(records);
    }
}

/// Writes the lines of the queue; runs in the writing thread. Opening a named pipe blocks until a process reads from
/// it.
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
            tracing::warn!(%error, "cannot write to the audit mirror");
        }
        waiting_bytes.fetch_sub(lines.len(), Ordering::AcqRel);
    }
}

impl MirrorFile {
    pub(super) fn new(to: Mirror) -> Self {
        MirrorFile { to, open: HashMap::new(), mended: false, queue: None }
    }

    /// Waits until all lines of the queue are written, at most for [`LAST_WAIT`].
    pub(super) async fn finish(&self) {
        let Some(queue) = &self.queue else { return };
        let until = tokio::time::Instant::now() + LAST_WAIT;
        while queue.waiting_bytes.load(Ordering::Acquire) > 0 && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Writes the record of each outcome in `rows`, if its intent is known. Each write consists of complete lines.
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
                // A write that fails may leave half a line.
                self.mended = false;
                file.write_all(lines.as_bytes())?;
                self.mended = true;
                Ok(())
            }),
        };
        if let Err(error) = result {
            tracing::warn!(%error, "cannot write to the audit mirror");
        }
    }
}

/// Whether writing may block. If the path does not exist, writing creates a regular file, which does not block.
fn may_wait(to: &Mirror) -> bool {
    match to {
        Mirror::Stderr => true,
        Mirror::File(path) => std::fs::metadata(path).is_ok_and(|found| !found.is_file()),
    }
}

/// Whether a file has content and does not end with a line feed.
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

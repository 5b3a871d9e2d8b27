//! The mirror: each finished record as one JSON line, in a file or on stderr. Rotation is the platform's.

use std::collections::HashMap;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use serde_json::{Map, Value};

use super::super::chain::Row;
use crate::config::Mirror;

/// Where records are copied to.
pub(super) struct MirrorFile {
    to: Mirror,
    /// Intents whose outcome is still awaited.
    open: HashMap<String, Map<String, Value>>,
    /// Whether the file's end was looked at: a process that died may have left half a line.
    mended: bool,
}

impl MirrorFile {
    pub(super) fn new(to: Mirror) -> Self {
        MirrorFile { to, open: HashMap::new(), mended: false }
    }

    /// Writes the records that these events finish, whole lines at once.
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
            Mirror::Stderr => std::io::stderr().write_all(lines.as_bytes()),
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

/// Whether a file's last line has no end.
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

/// Opens a file to append to, made for its owner alone.
pub(super) fn append_private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

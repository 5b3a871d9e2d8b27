//! Decides how a user's file is opened so that no file appears beside it. Reads the state that shows a later change.
//!
//! SQLite usually reads a file in WAL mode with a `-shm` file, and creates a missing one. The new file belongs to the
//! reader's user, and the application can no longer write. So a file without a `-wal`, or with an empty one and no
//! `-shm`, is read as `immutable` and checked again after each read. With a `-wal` and a `-shm`, `readonly_shm` opens
//! the `-shm` read-only. Any other file in WAL mode is refused.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::pipe::ReadError;

/// The state of a file and of the files beside it at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    mode: AccessMode,
    /// Device and inode; `None` where the platform has none.
    file: Option<(u64, u64)>,
    /// Size, time of the last change, and header. `None` except for `Immutable`.
    content: Option<(u64, Option<std::time::SystemTime>, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AccessMode {
    /// A database in memory.
    Plain,
    /// Rollback journal mode: SQLite locks the file itself and creates no file.
    Locked,
    /// Promised by the settings, or WAL mode without a `-wal` in use.
    Immutable,
    /// WAL mode with a `-wal` and a `-shm`.
    Shared,
}

/// Length of the header of a database file: <https://sqlite.org/fileformat2.html#the_database_header>.
const HEADER_BYTES: usize = 100;

/// Reads the state of a database file and of the files beside it.
///
/// `is_immutable`: the settings promise that nobody writes to the file.
///
/// # Errors
///
/// [`ReadError::Missing`] if the file cannot be opened; [`ReadError::Unreadable`] if a `-wal` or a rollback journal
/// needs a write.
pub(super) fn look(path: &Path, is_immutable: bool) -> Result<Look, ReadError> {
    if path.as_os_str() == ":memory:" {
        return Ok(Look { mode: AccessMode::Plain, file: None, content: None });
    }
    // Opening a pipe would wait for somebody to write into it.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(not_there(path, &std::io::ErrorKind::IsADirectory));
    }
    // SQLite looks for the other files beside the file itself, not beside a link to it.
    let opened = path.canonicalize().and_then(|real| File::open(&real).map(|file| (real, file)));
    let (real, mut file) = opened.map_err(|error| not_there(path, &error.kind()))?;
    let metadata = file.metadata().ok().filter(Metadata::is_file);
    let metadata = metadata.ok_or_else(|| not_there(path, &std::io::ErrorKind::IsADirectory))?;
    let path = real.as_path();
    let mut header = Vec::with_capacity(HEADER_BYTES);
    let _ = (&mut file).take(HEADER_BYTES as u64).read_to_end(&mut header);
    // "File format write version" and "read version": 2 is WAL.
    let is_wal = header.starts_with(b"SQLite format 3\0") && header.get(18..20).is_some_and(|two| two.contains(&2));
    let file = identity(&metadata);
    if is_immutable {
        let content = Some((metadata.len(), metadata.modified().ok(), header));
        return Ok(Look { mode: AccessMode::Immutable, file, content });
    }
    if !is_wal {
        return Ok(Look { mode: AccessMode::Locked, file, content: None });
    }
    // While a program rewrites the whole file (a backup), the header may already say WAL although a rollback journal is
    // in use.
    if is_journal_hot(path) {
        return Err(half_written(path));
    }
    let beside = |ending: &str| std::fs::metadata(neighbour(path, ending)).ok();
    let mode = match (beside("-wal"), beside("-shm")) {
        (None, _) => AccessMode::Immutable,
        (Some(_), Some(_)) => AccessMode::Shared,
        // The `-wal` is empty, and without a `-shm` only an exclusive connection can write to it.
        (Some(wal), None) if wal.len() == 0 => AccessMode::Immutable,
        (Some(_), None) => return Err(unusable(path, "there is no -shm file beside it, and TUDB creates none")),
    };
    let content = (mode == AccessMode::Immutable).then(|| (metadata.len(), metadata.modified().ok(), header));
    Ok(Look { mode, file, content })
}

impl Look {
    /// Returns the URI by which SQLite opens the file.
    pub(super) fn uri(&self, path: &Path) -> String {
        let parameters = match self.mode {
            // `readonly_shm` is set for all these modes: an open file may change to WAL mode.
            AccessMode::Plain | AccessMode::Locked | AccessMode::Shared => "mode=ro&readonly_shm=1",
            AccessMode::Immutable => "mode=ro&immutable=1",
        };
        format!("file:{}?{parameters}", encoded(path))
    }

    /// True if nothing locks the file during a read. The read is valid only if the state is the same before and after
    /// it.
    pub(super) fn is_unlocked(&self) -> bool {
        self.mode == AccessMode::Immutable
    }

    pub(super) fn is_shared(&self) -> bool {
        self.mode == AccessMode::Shared
    }
}

/// The error for a file whose `-wal` cannot be read without writing.
pub(super) fn unusable(path: &Path, why: &str) -> ReadError {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ReadError::Unreadable {
        problem: format!("{name} is in WAL mode, and its {name}-wal cannot be read without writing: {why}"),
        remedy: format!(
            "Let TUDB's user read {name}-wal and {name}-shm while the application has the file open. Or read a table \
             once with the application or the sqlite3 program: closing then removes {name}-wal."
        ),
    }
}

/// The error for a file that cannot be opened at all.
fn not_there(path: &Path, kind: &std::io::ErrorKind) -> ReadError {
    let path = path.display();
    ReadError::Missing {
        message: match kind {
            std::io::ErrorKind::NotFound => format!("there is no file {path}"),
            std::io::ErrorKind::PermissionDenied => format!("TUDB's user may not read {path}"),
            std::io::ErrorKind::IsADirectory => format!("{path} is no file"),
            other => format!("{path} cannot be opened: {other}"),
        },
    }
}

/// The first bytes of other kinds of files, which may have a name like that of a database.
const OTHER_KINDS: [(&[u8], &str); 7] = [
    (b"\x1f\x8b", "compressed by gzip"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"PGDMP", "a dump of PostgreSQL"),
    (b"** This file contains an SQLite 2", "a database of SQLite 2"),
    (b"PAR1", "a Parquet file"),
];

/// The error for a file without SQLite's header.
pub(super) fn not_sqlite(path: &Path) -> ReadError {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut header = Vec::with_capacity(HEADER_BYTES);
    let read = File::open(path).and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut header));
    let known = OTHER_KINDS.iter().find(|(beginning, _)| read.is_ok() && header.starts_with(beginning));
    let is_text = !header.is_empty() && header.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    let kind = match known {
        Some((_, kind)) => format!("it is {kind}"),
        None if is_text => "it is a text file".to_owned(),
        None => "it is encrypted, or a file of another kind".to_owned(),
    };
    ReadError::Unreadable {
        problem: format!("{name} is not a plain SQLite database: {kind}"),
        remedy: "Decompress, decrypt or import the file with its own program, and set the path of the result."
            .to_owned(),
    }
}

/// Whether a rollback journal beside a file must be rolled back. After a transaction the journal is deleted, empty or
/// begins with zeros.
fn is_journal_hot(path: &Path) -> bool {
    let mut beginning = [0; 8];
    File::open(neighbour(path, "-journal"))
        .is_ok_and(|mut file| file.read_exact(&mut beginning).is_ok() && beginning.iter().any(|byte| *byte != 0))
}

/// Whether a rollback journal stands beside a file.
pub(super) fn has_journal(path: &Path) -> bool {
    path.canonicalize().is_ok_and(|path| neighbour(&path, "-journal").exists())
}

/// The error for a file with an unfinished transaction of another program.
pub(super) fn half_written(path: &Path) -> ReadError {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ReadError::Unreadable {
        problem: format!(
            "the last write to {name} did not end; {name}-journal is needed to undo it, and TUDB writes nothing"
        ),
        remedy: format!(
            "Open and close {name} once with the application, or query it with sqlite3, to undo the write."
        ),
    }
}

/// The error for a file that another program changed during each attempt to read it.
pub(super) fn changing(path: &Path) -> ReadError {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ReadError::Unreadable {
        problem: format!("another program changed {name} during each attempt to read it"),
        remedy: "Try again when the other program has finished.".to_owned(),
    }
}

fn neighbour(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_metadata: &Metadata) -> Option<(u64, u64)> {
    None
}

/// Encodes a path for a URI: <https://sqlite.org/uri.html>.
fn encoded(path: &Path) -> String {
    use std::fmt::Write as _;
    #[cfg(unix)]
    let bytes = {
        use std::os::unix::ffi::OsStrExt as _;
        path.as_os_str().as_bytes().to_vec()
    };
    #[cfg(not(unix))]
    let bytes = {
        let text = path.to_string_lossy().replace('\\', "/");
        if text.as_bytes().get(1) == Some(&b':') { format!("/{text}").into_bytes() } else { text.into_bytes() }
    };
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'/' | b':' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => text.push(char::from(byte)),
            other => {
                let _ = write!(text, "%{other:02x}");
            }
        }
    }
    text
}

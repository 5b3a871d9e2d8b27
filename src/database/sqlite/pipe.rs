//! The messages between the server and the process that reads a file. A message is a length, in four bytes with the
//! least significant byte first, and then that many bytes of JSON.
//!
//! The server sends one [`Setup`] and then one [`Request`] after the other. The process answers the setup and each
//! request with exactly one [`Reply::Done`] or [`Reply::Failed`]. Other replies may come before this answer.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::Date;

use crate::database::catalog::TableDescription;
use crate::database::result_set::{Budget, Format, ResultSet};
use crate::database::{DatabaseError, Explanation, ListRequest, TablePage};
use crate::guard::Rejection;
use crate::guard::columns::ColumnRules;
use crate::limits::Limits;

/// The database that a process reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Place {
    /// A file, by its absolute path.
    File {
        path: PathBuf,
        /// True if the settings promise that no program writes to the file (`?immutable=1`).
        is_immutable: bool,
    },
    /// The embedded sample as of a day, built in the memory of the process.
    Sample(Date),
}

/// The first message from the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    pub place: Place,
    pub rules: ColumnRules,
    pub bounds: Bounds,
}

/// The limits that the process enforces. Each field is a copy of the field of [`Limits`] with the same name.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Bounds {
    pub max_sql_bytes: usize,
    pub sampled_values: usize,
    pub max_snapshot_bytes: usize,
    pub sqlite_heap_bytes: usize,
    pub sqlite_large_heap_bytes: usize,
    pub sqlite_value_bytes: usize,
    pub sqlite_overrun_ms: u64,
    pub count_timeout_ms: u64,
}

impl Bounds {
    pub(super) fn of(limits: &Limits) -> Self {
        Bounds {
            max_sql_bytes: limits.max_sql_bytes,
            sampled_values: limits.sampled_values,
            max_snapshot_bytes: limits.max_snapshot_bytes,
            sqlite_heap_bytes: limits.sqlite_heap_bytes,
            sqlite_large_heap_bytes: limits.sqlite_large_heap_bytes,
            sqlite_value_bytes: limits.sqlite_value_bytes,
            sqlite_overrun_ms: limits.sqlite_overrun_ms,
            count_timeout_ms: limits.count_timeout_ms,
        }
    }
}

/// One read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub work: Work,
    /// Time left for the read, in milliseconds.
    pub timeout_ms: u64,
    /// True if the memory limit is `sqlite_large_heap_bytes`. In the whole server only one such read runs at a time.
    pub is_large: bool,
    /// True if the process sends [`Reply::Rows`] during the read.
    pub tells_rows: bool,
}

/// What to read. `sql` is a statement in the JSON that [`crate::guard::ApprovedSql::to_pipe`] returns.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Work {
    Run {
        sql: Box<RawValue>,
        format: Format,
        budget: Budget,
        max_rows_ceiling: u64,
    },
    Explain {
        sql: Box<RawValue>,
    },
    List(ListRequest),
    Describe(String),
    /// Describes all tables, unless the fingerprint of the schema equals `unless`.
    Snapshot {
        unless: Option<String>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The number of rows read so far.
    Rows(u64),
    /// One table of a snapshot. Each table is a separate message, so neither side needs the text of all tables in
    /// memory.
    Table(Box<TableDescription>),
    /// The read starts again; the tables sent so far are discarded.
    Again,
    Done(Box<Answer>),
    Failed(ReadError),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The setup has succeeded.
    Ready,
    Rows(ResultSet),
    Plan(Explanation),
    Page(TablePage),
    Table(Box<TableDescription>),
    /// The end of a snapshot; its tables were sent before.
    Snapshot {
        left_out: usize,
        fingerprint: String,
    },
    /// The schema has not changed.
    Unchanged,
}

/// Why a read failed. [`ReadError::told`] converts the error to a [`DatabaseError`] and adds what only the server
/// knows, such as the name of the source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum ReadError {
    Sql {
        message: String,
        hint: Option<String>,
        position: Option<u64>,
    },
    /// The statement reached its deadline.
    Timeout,
    /// The read needs more memory than its limit. If the limit was `sqlite_heap_bytes`, the server sends the request
    /// again with `sqlite_large_heap_bytes`.
    NeedsMemory,
    /// A value is longer than the limit.
    TooBig,
    Column {
        column: String,
        is_denied: bool,
        allowed: Vec<String>,
    },
    Relation {
        name: String,
        reason: Reason,
    },
    HeaderTooLong {
        bytes: usize,
    },
    UnknownTable {
        name: String,
        nearest: Vec<String>,
    },
    Missing {
        message: String,
    },
    /// A writer held the file's lock for longer than a read waits.
    Locked,
    /// The file is not a SQLite database. Never sent: the process sends the more exact error of
    /// [`super::file::not_sqlite`] instead.
    NotSqlite,
    /// The files of the database may have changed while the database was open ([`super::handle::Fault::is_stale`]). For
    /// a file, the process reads again and then sends a more exact error. For the sample in memory, this error is sent.
    Stale {
        message: String,
    },
    /// The file exists but cannot be read in its present state.
    Unreadable {
        problem: String,
        remedy: String,
    },
}

/// Why a relation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reason {
    Catalog,
    Virtual,
    /// A view that joins a table with a rule by USING or NATURAL.
    View,
    /// The name is not valid UTF-8, so it cannot be compared with the rules.
    Name,
    /// The relation is on the list of the guard.
    Listed,
    /// The plan scans a whole index that contains a column with a rule. The order of the rows could then reveal the
    /// order of the column's values.
    Order,
}

impl Reason {
    fn text(self) -> &'static str {
        match self {
            Reason::Catalog => "this source has rules, and the catalog may show names or values that the rules cover",
            Reason::Listed => "it can show settings, files or internal parts of the database",
            Reason::Order => {
                "this source has rules, and the rows would come in the order of a column with a rule; sort the rows by \
                 other columns"
            }
            Reason::Name => "this source has rules, and the name of this table is not valid UTF-8",
            Reason::View => {
                "this source has rules, and this view joins a table with a rule by USING or NATURAL, so SQLite does not tell \
                 which columns it shows"
            }
            Reason::Virtual => "this source has rules, and this virtual table may show values of a table with a rule",
        }
    }
}

impl ReadError {
    /// True if the cause may be another program that opens or closes the file at this moment.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, ReadError::Missing { .. } | ReadError::Unreadable { .. })
    }

    /// Converts the error to the [`DatabaseError`] that the caller gets.
    pub(super) fn into_error(self, source_name: &str, limit_ms: u64) -> DatabaseError {
        let source_name = source_name.to_owned();
        let sql = |message: &str| DatabaseError::Sql {
            message: message.to_owned(),
            hint: None,
            sqlstate: None,
            position: None,
            in_function: false,
        };
        match self {
            ReadError::Sql { message, hint, position } => {
                DatabaseError::Sql { message, hint, sqlstate: None, position, in_function: false }
            }
            ReadError::Timeout => DatabaseError::Timeout { limit_ms },
            ReadError::NeedsMemory => sql("out of memory"),
            ReadError::TooBig => sql("string or blob too big"),
            ReadError::Column { column, is_denied, allowed } => {
                DatabaseError::Ruled(Rejection::Column { column, is_denied, allowed })
            }
            ReadError::Relation { name, reason } => {
                DatabaseError::Ruled(Rejection::Relation { name, reason: reason.text() })
            }
            ReadError::HeaderTooLong { bytes } => DatabaseError::HeaderTooLong { bytes },
            ReadError::UnknownTable { name, nearest } => DatabaseError::UnknownTable { name, source_name, nearest },
            ReadError::Missing { message } | ReadError::Stale { message } => {
                DatabaseError::Missing { source_name, message }
            }
            ReadError::Unreadable { problem, remedy } => DatabaseError::Unreadable { source_name, problem, remedy },
            ReadError::Locked => DatabaseError::Locked { source_name },
            ReadError::NotSqlite => {
                DatabaseError::Missing { source_name, message: "the file is not a SQLite database".to_owned() }
            }
        }
    }
}

impl From<Rejection> for ReadError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Column { column, is_denied, allowed } => ReadError::Column { column, is_denied, allowed },
            other => ReadError::Sql { message: other.to_string(), hint: None, position: None },
        }
    }
}

/// Maximum number of bytes of a message. Encoding or receiving a longer message fails.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// Encodes a message with its length.
///
/// # Errors
///
/// If the message is too long, or cannot be written as JSON. The types of this module can always be written.
pub(super) fn encoded(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    let prefix = u32::try_from(length).ok().filter(|_| length <= MAX_MESSAGE_BYTES).ok_or_else(too_long)?;
    if let Some(start) = bytes.get_mut(..4) {
        start.copy_from_slice(&prefix.to_le_bytes());
    }
    Ok(bytes)
}

/// Decodes the length of a message from its first four bytes.
///
/// # Errors
///
/// If the length is more than [`MAX_MESSAGE_BYTES`].
pub(super) fn length(prefix: [u8; 4]) -> io::Result<usize> {
    usize::try_from(u32::from_le_bytes(prefix)).ok().filter(|length| *length <= MAX_MESSAGE_BYTES).ok_or_else(too_long)
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message of the pipe has more than 256 MB")
}

/// Reads one message. Returns `None` if the input ends before a complete length was read.
pub(super) fn receive<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<Option<T>> {
    let mut prefix = [0; 4];
    match input.read_exact(&mut prefix) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut bytes = vec![0; length(prefix)?];
    input.read_exact(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// Writes one message and flushes it.
pub(super) fn send(output: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    output.write_all(&encoded(message)?)?;
    output.flush()
}

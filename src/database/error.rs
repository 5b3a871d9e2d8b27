//! Errors between TUDB and a database, classified by what the caller can do about them.

use crate::error::{Code, ToolError};

/// A failed read. Hosts, users and paths go to the log only; the rest goes into a [`ToolError`].
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The database refused an approved statement.
    #[error("{message}")]
    Sql {
        message: String,
        hint: Option<String>,
        sqlstate: Option<String>,
        position: Option<u64>,
        /// True if the error may come from code of a function.
        in_function: bool,
    },
    #[error("the statement ran past its limit of {limit_ms} ms")]
    Timeout { limit_ms: u64 },
    #[error("the call was cancelled")]
    Cancelled,
    #[error("no connection to source {source_name} became free within {waited_ms} ms")]
    NoConnection { source_name: String, waited_ms: u64 },
    #[error("source {source_name} cannot be reached")]
    Unreachable { source_name: String, hint: String },
    #[error("source {source_name} refused the login")]
    AuthFailed { source_name: String, remedy: String },
    #[error("the encrypted connection to source {source_name} failed: {reason}")]
    Tls { source_name: String, reason: String, remedy: String },
    #[error("source {source_name}: {message}")]
    Missing { source_name: String, message: String },
    /// A SQLite file that exists but cannot be read in its present state.
    #[error("source {source_name} cannot be read: {problem}")]
    Unreadable { source_name: String, problem: String, remedy: String },
    /// A program that writes to a SQLite file holds its lock.
    #[error("source {source_name} is locked by another program, which is writing to the file")]
    Locked { source_name: String },
    #[error("source {source_name} has no connection slot left")]
    TooManyConnections { source_name: String },
    #[error("source {source_name} cannot be used: {problem}")]
    Config { source_name: String, problem: String },
    #[error("source {source_name} asks for a safe role: {summary}")]
    UnsafeRole { source_name: String, summary: String, remedy: String },
    /// In this database a name of the statement means an object that nobody vouches for.
    #[error("{name} {reason}")]
    NotVouched { name: String, reason: &'static str, hint: String, is_relation: bool },
    /// The rules of the source, or the encoding of the server, forbid the statement.
    #[error(transparent)]
    Ruled(#[from] crate::guard::Rejection),
    #[error("objects of the database changed while the statement was checked")]
    Changing,
    #[error("the database sent one row, plan or error of more than {} MB", limit_bytes >> 20)]
    MessageTooLarge { limit_bytes: usize },
    #[error("the reply's column list or plan alone takes {bytes} bytes, over the limit")]
    HeaderTooLong { bytes: usize },
    #[error("no table {name:?} in source {source_name}")]
    UnknownTable { name: String, source_name: String, nearest: Vec<String> },
    #[error("{name:?} is the name of {} tables", matches.len())]
    AmbiguousTable { name: String, matches: Vec<String> },
    #[error("{0}")]
    Invalid(String),
    /// Any other error of sqlx.
    #[error("the connection to the database failed")]
    Connection(#[source] sqlx::Error),
}

impl From<DatabaseError> for ToolError {
    fn from(error: DatabaseError) -> Self {
        let message = error.to_string();
        let new = |code| ToolError::new(code, message.clone());
        match error {
            DatabaseError::Sql { hint, sqlstate, position, .. } => {
                let mut told = new(Code::SqlError);
                told.hint =
                    hint.or_else(|| Some("Correct the statement; `describe_table` shows names and types.".to_owned()));
                told.sqlstate = sqlstate;
                told.position = position;
                told
            }
            DatabaseError::Timeout { .. } => new(Code::Timeout)
                .hint("Read less: add a WHERE on an indexed column, aggregate, or look at explain_query."),
            DatabaseError::Cancelled => new(Code::Cancelled),
            DatabaseError::NoConnection { .. } => {
                new(Code::Busy).hint("Other calls hold the connections; try again when they have ended.")
            }
            DatabaseError::Unreachable { hint, .. } => new(Code::Unreachable).hint(hint),
            DatabaseError::AuthFailed { remedy, .. } => new(Code::AuthFailed).hint(remedy),
            DatabaseError::Tls { remedy, .. } => new(Code::TlsFailed).hint(remedy),
            DatabaseError::Missing { .. } => {
                new(Code::DatabaseMissing).hint("Check the database's name or the file's path in the source's url.")
            }
            DatabaseError::Locked { .. } => {
                new(Code::Busy).hint("Try again; end the other program's transaction if the lock stays.")
            }
            DatabaseError::Unreadable { remedy, .. } => new(Code::Unreachable).hint(remedy),
            DatabaseError::TooManyConnections { .. } => {
                new(Code::TooManyConnections).hint("Close other clients of the database, or use its pooler.")
            }
            DatabaseError::Config { .. } => {
                new(Code::ConfigError).hint("Correct the source's settings and restart the server.")
            }
            DatabaseError::UnsafeRole { remedy, .. } => {
                new(Code::UnsafeRole).hint(format!("Connect as a role that can only read: {remedy}"))
            }
            DatabaseError::NotVouched { hint, is_relation, .. } => {
                new(if is_relation { Code::RelationRefused } else { Code::FunctionRefused }).hint(hint)
            }
            DatabaseError::Ruled(rejection) => rejection.into(),
            DatabaseError::Changing => new(Code::Busy).hint("Try again."),
            DatabaseError::MessageTooLarge { .. } => {
                new(Code::TooLong).hint("Compute shorter values: repeat, lpad and string_agg can make very long ones.")
            }
            DatabaseError::HeaderTooLong { .. } => new(Code::TooLong).hint("Select fewer columns."),
            DatabaseError::UnknownTable { nearest, .. } => new(Code::UnknownTable).hint(match nearest.as_slice() {
                [] => "`list_tables` shows all tables.".to_owned(),
                names => format!("Did you mean {}? `list_tables` shows all tables.", names.join(" or ")),
            }),
            DatabaseError::AmbiguousTable { matches, .. } => {
                new(Code::AmbiguousTable).hint(format!("Say which: {}.", matches.join(", ")))
            }
            DatabaseError::Invalid(_) => new(Code::InvalidArgument),
            DatabaseError::Connection(error) => {
                tracing::warn!(%error, "connection failed");
                new(Code::Unreachable).hint("Try again; the next call opens a new connection.")
            }
        }
    }
}

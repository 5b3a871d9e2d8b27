//! The databases: two engines behind one enum. Engines run approved statements and read catalogs; providers only say
//! how to connect. Nothing here decides what may run (the guard does) or records it (the gateway does), but every read
//! takes an `&OpenEntry` as proof that it is recorded.

pub mod advice;
pub mod bootstrap;
pub mod catalog;
pub(crate) mod dsn;
mod error;
#[cfg(test)]
mod lock_tests;
mod plan;
mod postgres;
mod presets;
pub mod result_set;
mod router;
#[cfg(test)]
mod snapshot_tests;
mod sqlite;
pub(crate) mod target;
pub mod value;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::audit::OpenEntry;
use crate::dialect::Dialect;
use crate::guard::ApprovedSql;
use catalog::{Snapshot, TableDescription, TableSummary};
use result_set::{Budget, Format, ResultSet};

pub use error::DatabaseError;
pub use plan::Explanation;
pub use postgres::{PostgresEngine, ServerReport};
pub use router::Router;
#[cfg(test)]
pub(crate) use sqlite::reads_only as sqlite_reads_only;
pub use sqlite::{Place, SqliteEngine, serve as serve_sqlite};

/// What one read may take and how it ends early.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    pub format: Format,
    pub budget: Budget,
    pub max_rows_ceiling: u64,
    /// Limit of the statement, told to the server too.
    pub timeout: Duration,
    /// The caller's own end, when it comes before the statement's limit.
    pub deadline: Option<Instant>,
    pub cancel: CancellationToken,
    /// Whom the read is for, where row-level security shall see it.
    pub identity: Option<Identity>,
    /// What the read is doing, for progress notifications.
    pub stage: Option<watch::Sender<String>>,
}

/// The role that a transaction takes, and the claims that its row-level security reads; none for catalog reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub role: String,
    /// JSON of `request.jwt.claims`.
    pub claims: Option<String>,
}

/// Rows between two words about them.
const TELL_EVERY: u64 = 1_000;

impl ReadOptions {
    /// Says how many rows have come, now and then.
    pub(crate) fn tell_rows(&self, rows: u64) {
        if let Some(stage) = self.stage.as_ref().filter(|_| rows > 0 && rows.is_multiple_of(TELL_EVERY)) {
            stage.send_replace(format!("running, {rows} rows"));
        }
    }

    /// Time left for a statement that starts now.
    pub(crate) fn time_left(&self) -> Duration {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        left.map_or(self.timeout, |left| left.min(self.timeout))
    }
}

/// Which part of the table list is wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListRequest {
    pub search: Option<String>,
    /// Whether the search looks at the names of tables alone.
    pub names_only: bool,
    pub schema: Option<String>,
    /// Where the page before ended, as [`ListedTable::cursor`] said.
    pub after: Option<String>,
    pub limit: u64,
}

/// One page of the table list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TablePage {
    pub tables: Vec<ListedTable>,
    /// Tables that match in all.
    pub total: u64,
    /// Whether tables follow the last one.
    pub more: bool,
}

/// A table and the cursor of a page that begins after it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListedTable {
    pub summary: TableSummary,
    pub cursor: String,
}

/// An engine with its connections, ready for reads.
#[derive(Debug)]
pub enum Database {
    Sqlite(Box<SqliteEngine>),
    Postgres(Box<PostgresEngine>),
}

/// What `doctor` says of a database; empty for SQLite.
#[derive(Clone, Debug, Default)]
pub struct DatabaseReport {
    /// Where a PostgreSQL source connects to and how, without a secret.
    pub place: Option<String>,
    /// What the server is and what its login role could do besides reading; `None` before the first connection.
    pub server: Option<ServerReport>,
    /// What is wrong with the encryption of a connection to another machine, and what mends it.
    pub unverified: Option<&'static str>,
    /// Schemas that are not shown.
    pub hidden_schemas: Vec<String>,
}

/// A connection made ready for one read: on PostgreSQL inside its read-only transaction.
pub enum Session<'a> {
    Sqlite(sqlite::SqliteSession<'a>),
    Postgres(postgres::PostgresSession<'a>),
}

impl Database {
    pub fn dialect(&self) -> Dialect {
        match self {
            Database::Sqlite(_) => Dialect::Sqlite,
            Database::Postgres(_) => Dialect::Postgresql,
        }
    }

    /// What is known of the database without asking it.
    pub fn report(&self) -> DatabaseReport {
        match self {
            Database::Sqlite(_) => DatabaseReport::default(),
            Database::Postgres(engine) => DatabaseReport {
                place: Some(engine.place().to_owned()),
                server: engine.server().cloned(),
                unverified: engine.unverified(),
                hidden_schemas: engine.hidden_schemas().to_vec(),
            },
        }
    }

    /// Takes a connection and prepares it, marked with the call's id; nothing of the caller's is sent yet. `sql` is the
    /// statement that will run, when one will: a remembered one needs no check before it.
    ///
    /// # Errors
    ///
    /// Those of connecting, and [`DatabaseError::NoConnection`] when none becomes free in time.
    pub async fn open(
        &self,
        call: &str,
        options: &ReadOptions,
        sql: Option<&ApprovedSql>,
    ) -> Result<Session<'_>, DatabaseError> {
        match self {
            Database::Sqlite(engine) => Ok(Session::Sqlite(engine.open(options).await?)),
            Database::Postgres(engine) => Ok(Session::Postgres(engine.open(call, options, sql).await?)),
        }
    }

    /// Whether what stopped a read, as `sqlstate` says it, is over, so that it may run once more.
    pub fn is_retryable(&self, sqlstate: &str) -> bool {
        match self {
            Database::Sqlite(_) => false,
            Database::Postgres(engine) => engine.is_retryable(sqlstate),
        }
    }

    /// Closes the connections.
    pub async fn close(&self) {
        match self {
            Database::Sqlite(engine) => engine.close().await,
            Database::Postgres(engine) => engine.close().await,
        }
    }
}

impl Session<'_> {
    /// Runs an approved statement, wrapped, inside the limits.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Sql`] when the database refuses it, and those of time and connection.
    pub async fn run(
        self,
        entry: &OpenEntry,
        sql: &ApprovedSql,
        options: &ReadOptions,
    ) -> Result<ResultSet, DatabaseError> {
        match self {
            Session::Sqlite(session) => session.run(entry, sql, options).await,
            Session::Postgres(session) => session.run(entry, sql, options).await,
        }
    }

    /// Explains an approved statement; with `analyze` it also runs, inside the limits (PostgreSQL).
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    pub async fn explain(
        self,
        entry: &OpenEntry,
        sql: &ApprovedSql,
        analyze: bool,
        options: &ReadOptions,
    ) -> Result<Explanation, DatabaseError> {
        match self {
            Session::Sqlite(session) => session.explain(entry, sql, analyze, options).await,
            Session::Postgres(session) => session.explain(entry, sql, analyze, options).await,
        }
    }

    /// One page of the tables that may be read.
    ///
    /// # Errors
    ///
    /// Those of time and connection.
    pub async fn list(
        self,
        entry: &OpenEntry,
        request: &ListRequest,
        options: &ReadOptions,
    ) -> Result<TablePage, DatabaseError> {
        match self {
            Session::Sqlite(session) => session.list(entry, request, options).await,
            Session::Postgres(session) => session.list(entry, request, options).await,
        }
    }

    /// Everything known of one table, by its name as a caller writes it.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::UnknownTable`], [`DatabaseError::AmbiguousTable`], and those of time and connection.
    pub async fn describe(
        self,
        entry: &OpenEntry,
        table: &str,
        options: &ReadOptions,
    ) -> Result<TableDescription, DatabaseError> {
        match self {
            Session::Sqlite(session) => session.describe(entry, table, options).await,
            Session::Postgres(session) => session.describe(entry, table, options).await,
        }
    }

    /// All tables that may be read, with keys, comments and known values; `None` when nothing has changed since the
    /// snapshot with the fingerprint `unless` was read.
    ///
    /// # Errors
    ///
    /// Those of time and connection.
    pub async fn snapshot(
        self,
        entry: &OpenEntry,
        unless: Option<&str>,
        options: &ReadOptions,
    ) -> Result<Option<Snapshot>, DatabaseError> {
        match self {
            Session::Sqlite(session) => session.snapshot(entry, unless, options).await,
            Session::Postgres(session) => session.snapshot(entry, unless, options).await,
        }
    }
}

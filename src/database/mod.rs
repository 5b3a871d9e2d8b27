//! The databases: two engines behind one enum. Engines run approved statements and read catalogs. A provider (RDS,
//! Supabase and so on) only determines how to connect.
//!
//! This module neither decides what may run (the guard does) nor records reads (the gateway does). Every read takes an
//! `&OpenEntry` as proof that it is recorded.

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
pub mod sampling;
#[cfg(test)]
mod snapshot_tests;
pub mod spelling;
mod sqlite;
pub(crate) mod target;
pub mod value;

use std::collections::HashSet;
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

/// Limits of one read, and what ends it early.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    pub format: Format,
    pub budget: Budget,
    pub max_rows_ceiling: u64,
    /// Time limit of the statement, also set on the server.
    pub timeout: Duration,
    /// Deadline of the caller, if it has one. The earlier of deadline and time limit ends the read.
    pub deadline: Option<Instant>,
    pub cancel: CancellationToken,
    /// The role and claims of the user, for sources with row-level security.
    pub identity: Option<Identity>,
    /// Receives the state of the read, for progress notifications.
    pub stage: Option<watch::Sender<String>>,
}

/// The role that a transaction takes on, and the claims that row-level security reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub role: String,
    /// JSON of `request.jwt.claims`; `None` for catalog reads.
    pub claims: Option<String>,
}

/// Rows between two progress messages.
const TELL_EVERY: u64 = 1_000;

impl ReadOptions {
    /// Reports the number of rows read so far, at each multiple of [`TELL_EVERY`].
    pub(crate) fn tell_rows(&self, rows: u64) {
        if let Some(stage) = self.stage.as_ref().filter(|_| rows > 0 && rows.is_multiple_of(TELL_EVERY)) {
            stage.send_replace(format!("running, {rows} rows"));
        }
    }

    /// Returns the time left for a statement that starts now.
    pub(crate) fn time_left(&self) -> Duration {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        left.map_or(self.timeout, |left| left.min(self.timeout))
    }

    /// Returns the time at which a read that starts now has to end.
    pub(crate) fn end(&self) -> Instant {
        Instant::now() + self.time_left()
    }
}

/// Which part of the table list is wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListRequest {
    /// Words, separated by blanks or commas. The tables with the most of these words are listed.
    pub search: Option<String>,
    /// True if the search covers only the names of tables.
    pub names_only: bool,
    pub schema: Option<String>,
    /// Cursor of the last table of the page before: its [`ListedTable::cursor`].
    pub after: Option<String>,
    pub limit: u64,
}

impl ListRequest {
    /// The words of the search, in lower case. `None` without a search.
    pub(crate) fn words(&self) -> Option<Vec<String>> {
        let search = self.search.as_deref()?;
        // A name that is being typed may contain blanks.
        if self.names_only {
            return Some(vec![search.to_lowercase()]);
        }
        let words = search.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
        let mut words: Vec<String> = words.map(str::to_lowercase).take(MOST_WORDS).collect();
        // A short word is part of many names: "to" is in "customers".
        if words.iter().any(|word| word.chars().count() >= TELLING_CHARACTERS) {
            words.retain(|word| word.chars().count() >= TELLING_CHARACTERS);
        }
        Some(words).filter(|words| !words.is_empty())
    }

    /// The error for a schema without tables. `schemas` are those with tables.
    pub(crate) fn unknown_schema(&self, schemas: &[String]) -> DatabaseError {
        let wanted = self.schema.as_deref().unwrap_or_default();
        let shown: Vec<&str> = schemas.iter().map(String::as_str).take(MOST_SCHEMAS).collect();
        let more = if schemas.len() > MOST_SCHEMAS { ", and more" } else { "" };
        DatabaseError::Invalid(format!(
            "schema {wanted:?} has no tables that can be read; schemas with tables: {}{more}",
            shown.join(", ")
        ))
    }
}

/// Maximum number of words of a search.
const MOST_WORDS: usize = 10;
/// Minimum characters of a word of a search. Shorter words are ignored if there is a longer one.
const TELLING_CHARACTERS: usize = 3;
/// Maximum number of schemas that an error names.
const MOST_SCHEMAS: usize = 30;

/// The hits of a search in one table, and the words of the search that have a hit.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    pub matched: Vec<String>,
    words: HashSet<usize>,
}

impl Hits {
    /// If one of the texts contains a word of the search, adds `hit` and records each word that was found.
    pub(crate) fn look(&mut self, words: &[String], texts: &[&str], hit: impl FnOnce() -> String) {
        let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
        let found: Vec<usize> = (0..words.len())
            .filter(|at| words.get(*at).is_some_and(|word| texts.iter().any(|text| text.contains(word.as_str()))))
            .collect();
        if !found.is_empty() {
            self.matched.push(hit());
            self.words.extend(found);
        }
    }

    /// Keeps the tables with the most words of the search.
    pub(crate) fn keep_best<T>(tables: &mut Vec<(T, Hits)>) {
        let most = tables.iter().map(|(_, hits)| hits.words.len()).max().unwrap_or(0);
        tables.retain(|(_, hits)| most > 0 && hits.words.len() == most);
    }
}

/// One page of the table list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TablePage {
    pub tables: Vec<ListedTable>,
    /// Number of tables that match, on all pages.
    pub total: u64,
    /// True if more tables follow this page.
    pub more: bool,
}

/// A table, and the cursor of the page that begins after it.
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

/// What is known about a database without connecting to it. For SQLite only `provider` is set.
#[derive(Clone, Debug, Default)]
pub struct DatabaseReport {
    /// `sqlite`, or the name of the PostgreSQL provider.
    pub provider: Option<&'static str>,
    /// The address of a PostgreSQL source and how TUDB connects to it, without a secret.
    pub place: Option<String>,
    /// The server and the rights of its login role; `None` before the first connection.
    pub server: Option<ServerReport>,
    /// What is wrong with the encryption of a connection to another machine, and the remedy.
    pub unverified: Option<&'static str>,
    /// Schemas that lists and snapshots leave out.
    pub hidden_schemas: Vec<String>,
    /// The time zone in which a PostgreSQL server shows moments.
    pub time_zone: Option<String>,
    /// Distance of that time zone from UTC in seconds, as of the last snapshot.
    pub utc_offset: i32,
}

/// What a session is opened for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// To read the catalog, or to run a statement that was not checked before.
    Catalog,
    /// To run this statement.
    Run(&'a ApprovedSql),
    /// To explain this statement.
    Plan(&'a ApprovedSql),
}

/// A connection that is ready for one read. On PostgreSQL its read-only transaction is open.
#[allow(clippy::large_enum_variant, reason = "there are as many sessions as calls that run, and each is used at once")]
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

    /// Returns what is known about the database without a connection.
    pub fn report(&self) -> DatabaseReport {
        match self {
            Database::Sqlite(engine) => {
                DatabaseReport { provider: Some("sqlite"), place: engine.path(), ..DatabaseReport::default() }
            }
            Database::Postgres(engine) => DatabaseReport {
                provider: Some(engine.provider()),
                place: Some(engine.place().to_owned()),
                server: engine.server().cloned(),
                unverified: engine.unverified(),
                hidden_schemas: engine.hidden_schemas().to_vec(),
                time_zone: Some(engine.time_zone()),
                utc_offset: engine.utc_offset(),
            },
        }
    }

    /// Takes a connection and prepares it for one read, marked with the id `call`. No text of the caller is sent yet.
    /// If the PostgreSQL engine remembers that it has checked the statement of `purpose`, or another one with the same
    /// names, the transaction begins under the `search_path` for running it, and not under the path for the check.
    ///
    /// # Errors
    ///
    /// Those of connecting, and [`DatabaseError::NoConnection`] if no connection becomes free in time.
    pub async fn open(
        &self,
        call: &str,
        options: &ReadOptions,
        purpose: Purpose<'_>,
    ) -> Result<Session<'_>, DatabaseError> {
        match self {
            Database::Sqlite(engine) => Ok(Session::Sqlite(engine.open(options).await?)),
            Database::Postgres(engine) => Ok(Session::Postgres(engine.open(call, options, purpose).await?)),
        }
    }

    /// True if a read that failed with `sqlstate` may run again, because the cause has passed.
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
    /// [`DatabaseError::Sql`] if the database refuses the statement, and the errors of time and connection.
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

    /// Explains an approved statement. With `analyze` the statement also runs, inside the limits (PostgreSQL only).
    ///
    /// # Errors
    ///
    /// As [`Session::run`]; on SQLite [`DatabaseError::Invalid`] with `analyze`.
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

    /// Returns one page of the tables that may be read.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Invalid`] for an unknown schema or for an invalid cursor (PostgreSQL), and the errors of time
    /// and connection.
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

    /// Describes one table. `table` is its name as a caller writes it.
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

    /// Returns all tables that may be read, with keys, comments and known values. `None` if the catalog still has the
    /// fingerprint `unless`.
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

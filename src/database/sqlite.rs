//! The SQLite engine: processes of TUDB's own binary read the user's file, each with one connection.
//!
//! Why processes and not threads: SQLite does not check a deadline inside one operation, and a text function over a few
//! megabytes can run for hours while it holds the read lock of the file. A thread in such an operation cannot be ended,
//! but a process can. The memory of a process can be limited too, and ending the process frees all of it.
//!
//! These protections do not depend on each other:
//!
//! - The file is opened read-only through a file system that creates no file beside it ([`vfs`], [`file`]).
//! - `query_only` is on, `trusted_schema` is off, and SQLite's limits are lowered.
//! - An authorizer checks what a statement does.
//! - The caller's text is placed inside a CTE or a sub-query, where SQLite accepts only a query.
//!
//! The guard checks the caller's text first. The engine accepts the text only as [`ApprovedSql`].
//!
//! This file and [`worker`] run in the server. [`pipe`] is used by both sides. The other modules run in the process
//! that reads the file.

mod catalog;
mod child;
mod closed;
mod created;
mod file;
mod functions;
mod handle;
mod pipe;
mod read;
mod rules;
mod vfs;
mod worker;

#[cfg(test)]
pub(crate) use handle::reads_only;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::catalog::{Snapshot, TableDescription};
use super::result_set::ResultSet;
use super::{DatabaseError, Explanation, ListRequest, ReadOptions, TablePage};
use crate::audit::OpenEntry;
use crate::config::SourceConfig;
use crate::guard::ApprovedSql;
use crate::limits::Limits;
pub use child::serve;
pub use pipe::Place;
use pipe::{Answer, Bounds, ReadError, Reply, Request, Setup, Work};
use worker::Worker;

/// The permit for the larger memory limit (`sqlite_large_heap_bytes`). Only one statement of the whole server may have it.
static LARGE: Semaphore = Semaphore::const_new(1);

impl Place {
    /// Returns the place of a file. A relative path is resolved against the working directory of the server.
    pub fn file(path: &Path, is_immutable: bool) -> Self {
        let is_memory = path.as_os_str() == ":memory:";
        let absolute = std::path::absolute(path).ok().filter(|_| !is_memory);
        Place::File { path: absolute.unwrap_or_else(|| path.to_owned()), is_immutable }
    }
}

/// One SQLite database and the processes that read it.
#[derive(Debug)]
pub struct SqliteEngine {
    source_name: String,
    setup: Setup,
    limits: Limits,
    idle: Mutex<Vec<Worker>>,
    places: Arc<Semaphore>,
}

impl SqliteEngine {
    /// Returns the path of the file. `None` for a sample in memory.
    pub fn path(&self) -> Option<String> {
        match &self.setup.place {
            Place::File { path, .. } => Some(path.display().to_string()),
            _ => None,
        }
    }

    pub fn new(source: &SourceConfig, place: Place) -> Self {
        SqliteEngine {
            source_name: source.name.clone(),
            setup: Setup { place, rules: source.column_rules.clone(), bounds: Bounds::of(&source.limits) },
            limits: source.limits.clone(),
            idle: Mutex::new(Vec::new()),
            places: Arc::new(Semaphore::new(source.limits.max_connections as usize)),
        }
    }

    pub(super) async fn open(&self, options: &ReadOptions) -> Result<SqliteSession<'_>, DatabaseError> {
        let waited_ms = self.limits.connect_timeout_ms.min(u64::try_from(options.time_left().as_millis()).unwrap_or(0));
        let no_connection = || DatabaseError::NoConnection { source_name: self.source_name.clone(), waited_ms };
        let waited = Duration::from_millis(waited_ms);
        let place = tokio::time::timeout(waited, Arc::clone(&self.places).acquire_owned())
            .await
            .map_err(|_| no_connection())?
            .map_err(|_| no_connection())?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let worker = match idle {
            Some(worker) => worker,
            None => tokio::time::timeout(waited, self.start()).await.map_err(|_| self.slow_to_open(waited_ms))??,
        };
        Ok(SqliteSession { engine: self, worker: Some(worker), place: Some(place) })
    }

    async fn start(&self) -> Result<Worker, DatabaseError> {
        match Worker::start(&self.setup).await {
            Ok((worker, Reply::Failed(error))) => {
                tracing::warn!(source = self.source_name, ?error, "cannot open the database file");
                worker.kill(None);
                Err(error.into_error(&self.source_name, 0))
            }
            Ok((worker, _)) => Ok(worker),
            Err(error) => {
                tracing::warn!(source = self.source_name, %error, "cannot start the process that reads the file");
                Err(self.unreadable("the process that reads the file cannot be started"))
            }
        }
    }

    fn unreadable(&self, problem: &str) -> DatabaseError {
        DatabaseError::Unreadable {
            source_name: self.source_name.clone(),
            problem: problem.to_owned(),
            remedy: "Try again; the next call starts a new process.".to_owned(),
        }
    }

    /// The error for a file whose opening takes too long.
    fn slow_to_open(&self, waited_ms: u64) -> DatabaseError {
        DatabaseError::Unreadable {
            source_name: self.source_name.clone(),
            problem: format!("the database file was not open after {waited_ms} ms"),
            remedy:
                "See whether a file beside it (-wal, -shm, -journal) is a pipe or damaged, and whether its schema is \
                     very large."
                    .to_owned(),
        }
    }

    pub(super) async fn close(&self) {
        self.places.close();
        let workers = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            worker.kill(None);
        }
    }
}

/// A session for one read, with the process that it uses. Later sessions may use the same process. If the session is
/// dropped during a statement, the process is killed.
pub struct SqliteSession<'a> {
    engine: &'a SqliteEngine,
    worker: Option<Worker>,
    place: Option<OwnedSemaphorePermit>,
}

impl Drop for SqliteSession<'_> {
    fn drop(&mut self) {
        // `ask_hearing` takes the worker during a request. A worker that is still here is idle, so another read can use
        // it.
        if let Some(worker) = self.worker.take() {
            self.engine.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        }
    }
}

impl SqliteSession<'_> {
    pub(super) async fn run(
        self,
        _entry: &OpenEntry,
        sql: &ApprovedSql,
        options: &ReadOptions,
    ) -> Result<ResultSet, DatabaseError> {
        let work = Work::Run {
            sql: piped(sql)?,
            format: options.format,
            budget: options.budget,
            max_rows_ceiling: options.max_rows_ceiling,
        };
        match self.ask(work, options).await? {
            Answer::Rows(rows) => Ok(rows),
            _ => Err(strange()),
        }
    }

    pub(super) async fn explain(
        self,
        _entry: &OpenEntry,
        sql: &ApprovedSql,
        analyze: bool,
        options: &ReadOptions,
    ) -> Result<Explanation, DatabaseError> {
        if analyze {
            return Err(DatabaseError::Invalid("SQLite has no EXPLAIN ANALYZE; leave analyze out".into()));
        }
        match self.ask(Work::Explain { sql: piped(sql)? }, options).await? {
            Answer::Plan(plan) => Ok(plan),
            _ => Err(strange()),
        }
    }

    pub(super) async fn list(
        self,
        _entry: &OpenEntry,
        request: &ListRequest,
        options: &ReadOptions,
    ) -> Result<TablePage, DatabaseError> {
        if request.schema.as_deref().is_some_and(|schema| schema != "main") {
            return Err(request.unknown_schema(&["main".to_owned()]));
        }
        match self.ask(Work::List(request.clone()), options).await? {
            Answer::Page(page) => Ok(page),
            _ => Err(strange()),
        }
    }

    pub(super) async fn describe(
        self,
        _entry: &OpenEntry,
        table: &str,
        options: &ReadOptions,
    ) -> Result<TableDescription, DatabaseError> {
        match self.ask(Work::Describe(table.to_owned()), options).await? {
            Answer::Table(table) => Ok(with_kin(*table)),
            _ => Err(strange()),
        }
    }

    pub(super) async fn snapshot(
        self,
        _entry: &OpenEntry,
        unless: Option<&str>,
        options: &ReadOptions,
    ) -> Result<Option<Snapshot>, DatabaseError> {
        let mut tables = Vec::new();
        let mut type_names = HashSet::new();
        let work = Work::Snapshot { unless: unless.map(str::to_owned) };
        let mut hear = |reply| match reply {
            Reply::Table(table) => tables.push(with_kin(compact(*table, &mut type_names))),
            Reply::Again => tables.clear(),
            _ => {}
        };
        match self.ask_hearing(work, options, &mut hear).await? {
            Answer::Snapshot { left_out, fingerprint } => {
                Ok(Some(Snapshot { tables, left_out, fingerprint: Some(fingerprint), ..Snapshot::default() }))
            }
            Answer::Unchanged => Ok(None),
            _ => Err(strange()),
        }
    }

    async fn ask(self, work: Work, options: &ReadOptions) -> Result<Answer, DatabaseError> {
        self.ask_hearing(work, options, &mut |_| {}).await
    }

    /// Sends a request to the process and waits for the answer, at most until `sqlite_grace_ms` after the deadline, or
    /// until the call is cancelled. A process that has answered is used again by later reads, unless it had the larger memory.
    ///
    /// If the process ends before it answers, a new process gets the request, but only once. If a statement needs more
    /// memory, its request is sent again as soon as the permit of [`LARGE`] is free. Sending a request again is safe,
    /// because requests only read.
    ///
    /// `hear` gets the replies before the answer, except [`Reply::Rows`]. If the replies start again from the
    /// beginning, `hear` first gets [`Reply::Again`].
    async fn ask_hearing(
        mut self,
        work: Work,
        options: &ReadOptions,
        hear: &mut (dyn FnMut(Reply) + Send),
    ) -> Result<Answer, DatabaseError> {
        let engine = self.engine;
        let left = options.time_left();
        let limit_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let end = Instant::now() + left;
        let mut request = Request { work, timeout_ms: limit_ms, is_large: false, tells_rows: options.stage.is_some() };
        let mut is_repeated = false;
        let mut large: Option<SemaphorePermit<'static>> = None;
        loop {
            let worker = match self.worker.take() {
                Some(worker) => worker,
                None => until(end, limit_ms, options, engine.start()).await??,
            };
            // Dropping this future (on a panic, or at the end of the server) drops the worker, which kills the process.
            let mut asked = worker;
            request.timeout_ms = u64::try_from(end.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(0);
            let grace = Duration::from_millis(engine.limits.sqlite_grace_ms);
            let mut told = |reply| match reply {
                Reply::Rows(rows) => options.tell_rows(rows),
                other => hear(other),
            };
            match until(end + grace, limit_ms, options, asked.ask(&request, &mut told)).await {
                Err(error) => {
                    asked.kill(self.place.take());
                    return Err(error);
                }
                Ok(Err(error)) => {
                    asked.kill(None);
                    tracing::warn!(source = engine.source_name, %error, "a process that reads the file ended");
                    if is_repeated {
                        return Err(engine.unreadable("the process that reads the file ended during the call"));
                    }
                    is_repeated = true;
                    hear(Reply::Again);
                }
                Ok(Ok(Reply::Failed(ReadError::NeedsMemory))) if !request.is_large => {
                    self.worker = Some(asked);
                    large = until(end, limit_ms, options, LARGE.acquire()).await?.ok();
                    request.is_large = true;
                    hear(Reply::Again);
                }
                Ok(Ok(reply)) => {
                    if large.is_some() {
                        // Ending the process frees its memory.
                        asked.kill(self.place.take());
                    } else {
                        self.worker = Some(asked);
                    }
                    return match reply {
                        Reply::Done(answer) => Ok(*answer),
                        Reply::Failed(ReadError::NeedsMemory) => Err(too_much(&engine.limits)),
                        Reply::Failed(ReadError::TooBig) => Err(too_big(&engine.limits)),
                        Reply::Failed(error) => Err(error.into_error(&engine.source_name, limit_ms)),
                        Reply::Rows(_) | Reply::Table(_) | Reply::Again => Err(strange()),
                    };
                }
            }
        }
    }
}

/// Waits for `work` until `end`, or until the call is cancelled.
async fn until<T>(
    end: Instant,
    limit_ms: u64,
    options: &ReadOptions,
    work: impl Future<Output = T>,
) -> Result<T, DatabaseError> {
    tokio::select! {
        done = work => Ok(done),
        () = options.cancel.cancelled() => Err(DatabaseError::Cancelled),
        () = tokio::time::sleep_until(end.into()) => Err(DatabaseError::Timeout { limit_ms }),
    }
}

fn piped(sql: &ApprovedSql) -> Result<Box<serde_json::value::RawValue>, DatabaseError> {
    sql.to_pipe().map_err(|error| DatabaseError::Invalid(error.to_string()))
}

/// Sets `kin`, the table names with which the rules are compared. The process does not send `kin`, because it is not
/// serialized.
fn with_kin(mut table: TableDescription) -> TableDescription {
    table.kin = Arc::new(vec![(String::new(), table.name.clone())]);
    table
}

/// Reduces the memory of a table: lists are shrunk, and equal type names are shared.
fn compact(mut table: TableDescription, type_names: &mut HashSet<Arc<str>>) -> TableDescription {
    table.columns.shrink_to_fit();
    for column in &mut table.columns {
        match type_names.get(&column.type_name) {
            Some(known) => column.type_name = Arc::clone(known),
            None => drop(type_names.insert(Arc::clone(&column.type_name))),
        }
    }
    table
}

/// The error for an answer whose kind does not fit the request.
fn strange() -> DatabaseError {
    DatabaseError::Invalid("the process that reads the file gave another answer than was asked for".into())
}

fn too_much(limits: &Limits) -> DatabaseError {
    let megabytes = limits.sqlite_large_heap_bytes >> 20;
    bounded(
        format!("out of memory: the statement needs more than {megabytes} MB at once"),
        "Select fewer or shorter values (substr, LIMIT), and sort or group by a part of long texts.",
    )
}

fn too_big(limits: &Limits) -> DatabaseError {
    let megabytes = limits.sqlite_value_bytes >> 20;
    bounded(
        format!("string or blob too big: a value may have at most {megabytes} MB here"),
        "Leave out the column of a longer stored value (substr() cannot read a part of it), or build a shorter value.",
    )
}

fn bounded(message: String, hint: &str) -> DatabaseError {
    DatabaseError::Sql { message, hint: Some(hint.to_owned()), sqlstate: None, position: None, in_function: false }
}

/// Tests the protections of a connection one after the other. No statement is inside a CTE. Before a protection is
/// tested, the protections that act earlier are removed.
#[cfg(test)]
pub(super) fn locks_one_by_one(path: &Path) {
    use handle::Handle;
    let open = |vfs| {
        let handle = Handle::open(&file::look(path, false).unwrap().uri(path), vfs, true).unwrap();
        handle.execute("PRAGMA query_only = on").unwrap();
        handle.lock(1_000, 1_000_000);
        handle
    };
    let refusal = |handle: &Handle, sql: &str| handle.execute(sql).expect_err(sql).message;
    // The authorizer acts first, while a statement is compiled.
    let handle = open(vfs::name());
    for sql in
        ["DELETE FROM t", "PRAGMA query_only = off", "ATTACH ':memory:' AS x", "CREATE TEMP TABLE x (a)", "BEGIN"]
    {
        assert!(refusal(&handle, sql).contains("not authorized"), "{sql}");
    }
    // Without the authorizer: query_only, and the limit on attached databases.
    handle.forget_authorizer();
    assert!(refusal(&handle, "DELETE FROM t").contains("readonly"));
    assert!(refusal(&handle, "ATTACH ':memory:' AS x").contains("too many attached"));
    // Without query_only too: the file is open read-only.
    handle.execute("PRAGMA query_only = off").unwrap();
    assert!(refusal(&handle, "DELETE FROM t").contains("readonly"));
    drop(handle);
    // The connection asks for write access, but the file system opens the file read-only.
    let uri = file::look(path, false).unwrap().uri(path).replace("mode=ro", "mode=rw");
    let handle = Handle::open(&uri, vfs::name(), false).unwrap();
    assert!(refusal(&handle, "DELETE FROM t").contains("readonly"));
    assert!(refusal(&handle, "PRAGMA journal_mode = wal; DELETE FROM t").contains("readonly"));
}

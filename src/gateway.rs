//! The only access to the data. For each call the gateway opens a record, approves the statement, runs it and closes
//! the record. `tools` and `ask` call the gateway and hold no connection pool.
//!
//! The intent (the part of a record that is written before the call runs) is committed before any text of the caller is
//! sent to a database. During the commit, the gateway already takes a connection and opens a transaction. If the claims
//! of a user are sent with that opening, the gateway waits for the commit first. Refusals and failures are recorded as
//! successes are. The gateway does not write the text of a reply, but it enforces the limits on a reply.

mod describe;
mod grant;
mod hints;
mod options;
mod reads;
mod requests;
mod snapshots;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use crate::allocation;
use crate::audit::{AuditLog, EntryStart, Finished, OpenEntry, Outcomes};
use crate::blocking;
use crate::config::{Config, SourceConfig};
use crate::database::result_set::{Format, ResultSet};
use crate::database::{
    Database, DatabaseError, DatabaseReport, Explanation, ListRequest, Purpose, ReadOptions, Router, Session, TablePage,
};
use crate::dialect::Dialect;
use crate::error::{Code, ToolError};
use crate::guard::{self, ApprovedSql};
use crate::limits::LARGE_SQL_BYTES;
use crate::quoting::printable;
use options::{plain_options, read_options};
use reads::{ExplainStatement, List, Reading, RunStatement, Work};
use snapshots::Snapshots;

pub use grant::{DailyTokens, Grant};
pub use options::{user, wanted_rows};
pub use reads::Described;
pub use requests::{AskDatabase, DescribeTable, ExplainQuery, ListTables, RunSql};
pub use snapshots::SourceCheck;

/// How many statements over [`LARGE_SQL_BYTES`] are checked at once.
const LARGE_CHECKS: usize = 1;

/// Maximum time to close the connections.
const CLOSING: Duration = Duration::from_millis(300);

/// Who calls, and how the call may end early.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Name and version of the client.
    pub client: Option<String>,
    /// What the caller's API key allows. `None` allows everything.
    pub grant: Option<Arc<Grant>>,
    pub traceparent: Option<String>,
    pub cancel: CancellationToken,
    /// Deadline of the question that the call belongs to. A statement's own time limit applies too.
    pub deadline: Option<Instant>,
    /// Id of the question's record, for the statements that belong to a question.
    pub question_id: Option<String>,
    /// Collects whether the outcomes of the call's records were written.
    pub outcomes: Outcomes,
    /// What the call is doing, for progress notifications.
    pub stage: Option<watch::Sender<String>>,
}

impl Caller {
    /// The name under which the conversations of this caller with a source are remembered. Each API key has its own.
    pub fn memory(&self, source: &str) -> String {
        self.grant.as_ref().map_or_else(|| source.to_owned(), |grant| format!("{source}\n{}", grant.key))
    }

    /// Reports what the call is doing now.
    pub fn stage(&self, stage: impl Into<String>) {
        if let Some(sender) = &self.stage {
            sender.send_replace(stage.into());
        }
    }
}

/// What `run_sql` found: rows, or the plan when the statement was an EXPLAIN.
#[derive(Debug)]
pub enum Ran {
    Rows(ResultSet),
    Plan(Explanation),
}

/// A finished read. Its record is still open, so that the reply's size can be recorded.
#[derive(Debug)]
pub struct Read<T> {
    pub source: String,
    pub dialect: Dialect,
    pub value: T,
    /// Tables the statement reads; empty for catalog reads.
    pub tables: Vec<String>,
    entry: OpenEntry,
}

impl<T> Read<T> {
    /// The id of the read's record.
    pub fn id(&self) -> &str {
        self.entry.id()
    }

    pub fn elapsed_ms(&self) -> u64 {
        self.entry.elapsed_ms()
    }

    /// Closes the record as successful.
    pub fn close(self, row_count: Option<u64>, reply_bytes: usize) -> T {
        let mut finished = Finished::new(crate::audit::OutcomeKind::Ok);
        finished.row_count = row_count;
        finished.reply_bytes = Some(reply_bytes as u64);
        self.entry.close(finished);
        self.value
    }
}

/// The gateway. A process has one.
#[derive(Debug)]
pub struct Gateway {
    config: Arc<Config>,
    router: Router,
    audit: AuditLog,
    slots: HashMap<String, Slots>,
    snapshots: Snapshots,
    large_checks: Semaphore,
}

/// Call slots of one source: how many calls run at once, and how many calls may wait.
#[derive(Debug)]
struct Slots {
    running: Semaphore,
    waiting: AtomicUsize,
    max_waiting: usize,
}

impl Slots {
    /// Waits for a slot.
    ///
    /// # Errors
    ///
    /// [`Code::Busy`] when too many calls wait already.
    async fn wait(&self) -> Result<SemaphorePermit<'_>, ToolError> {
        let busy = || {
            ToolError::new(Code::Busy, "too many calls wait for this source")
                .hint("Wait for answers before sending more calls.")
        };
        // Decrements the counter when dropped, because a waiting call can be cancelled.
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.max_waiting {
            return Err(busy());
        }
        self.running.acquire().await.map_err(|_| busy())
    }
}

impl Gateway {
    pub fn new(config: Arc<Config>, audit: AuditLog) -> Self {
        let slots = config
            .sources
            .iter()
            .map(|source| {
                let slots = Slots {
                    running: Semaphore::new(source.limits.max_calls),
                    waiting: AtomicUsize::new(0),
                    max_waiting: source.limits.max_queued_calls,
                };
                (source.name.clone(), slots)
            })
            .collect();
        let snapshots = Snapshots::new(config.sources.iter().map(|source| source.name.as_str()));
        let large_checks = Semaphore::new(LARGE_CHECKS);
        Gateway { router: Router::new(&config), config, audit, slots, snapshots, large_checks }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the source of that name, or the default source.
    ///
    /// # Errors
    ///
    /// `unknown_source`, with the configured names.
    pub fn source(&self, name: Option<&str>) -> Result<&SourceConfig, ToolError> {
        let wanted = name.unwrap_or(&self.config.default_source);
        self.config.source(wanted).ok_or_else(|| {
            let names: Vec<&str> = self.config.sources.iter().map(|source| source.name.as_str()).collect();
            ToolError::new(Code::UnknownSource, format!("no source {wanted:?} is configured"))
                .hint(format!("Sources: {}.", names.join(", ")))
        })
    }

    /// Returns the dialect of a source, without connecting to it.
    ///
    /// # Errors
    ///
    /// `config_error` for settings that cannot be used.
    pub fn dialect(&self, source: &SourceConfig) -> Result<Dialect, ToolError> {
        Ok(self.router.dialect(&source.name)?)
    }

    /// For each source: its name, the calls that run, and the calls that wait for a slot.
    pub fn load(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.config.sources.iter().filter_map(|source| {
            let slots = self.slots.get(&source.name)?;
            let running = source.limits.max_calls.saturating_sub(slots.running.available_permits());
            Some((source.name.as_str(), running, slots.waiting.load(Ordering::Relaxed)))
        })
    }

    /// The number of intents that are not committed yet plus the number of outcomes that are not written yet.
    pub fn audit_backlog(&self) -> usize {
        self.audit.backlog()
    }

    /// Runs one statement of a client or of the model.
    ///
    /// # Errors
    ///
    /// Refusals of the guard, errors of the database, invalid arguments, an exceeded time limit, and
    /// `audit_unavailable`.
    pub async fn run_sql(
        &self,
        caller: &Caller,
        request: &RunSql,
        reserved_bytes: usize,
    ) -> Result<Read<Ran>, ToolError> {
        if caller.question_id.is_some() {
            return self.run_sql_of("ask_database", caller, request, reserved_bytes).await;
        }
        let mut read = self.run_sql_of("run_sql", caller, request, reserved_bytes).await?;
        self.warn_of_result(caller, &request.sql, &mut read).await;
        Ok(read)
    }

    async fn run_sql_of(
        &self,
        tool: &'static str,
        caller: &Caller,
        request: &RunSql,
        reserved_bytes: usize,
    ) -> Result<Read<Ran>, ToolError> {
        let start =
            EntryStart { sql: Some(request.sql.clone()), user_id: request.user_id.clone(), ..self.start(caller, tool) };
        let options = |source: &SourceConfig| {
            let limits = &source.limits;
            let format = Format::named(request.format.as_deref().unwrap_or("json"))
                .ok_or_else(|| ToolError::invalid("format must be json, csv or markdown"))?;
            let max_rows = wanted_rows(request.max_rows, limits)?;
            Ok(read_options(caller, source, format, max_rows, reserved_bytes))
        };
        self.read(caller, start, request.source.as_deref(), RunStatement(&request.sql), options).await
    }

    /// Explains one statement of a client. With `analyze`, the statement also runs.
    ///
    /// # Errors
    ///
    /// As [`Gateway::run_sql`].
    pub async fn explain_query(&self, caller: &Caller, request: &ExplainQuery) -> Result<Read<Explanation>, ToolError> {
        let start = EntryStart {
            sql: Some(request.sql.clone()),
            user_id: request.user_id.clone(),
            ..self.start(caller, "explain_query")
        };
        let reading = ExplainStatement { sql: &request.sql, analyze: request.analyze.unwrap_or(false) };
        self.read(caller, start, request.source.as_deref(), reading, |source| Ok(plain_options(caller, source))).await
    }

    /// Lists one page of tables.
    ///
    /// # Errors
    ///
    /// Invalid arguments, a failed connection, an exceeded time limit, and `audit_unavailable`.
    pub async fn list_tables(&self, caller: &Caller, request: &ListTables) -> Result<Read<TablePage>, ToolError> {
        self.list(caller, request, false).await
    }

    /// Lists the tables whose names contain the text typed so far.
    ///
    /// # Errors
    ///
    /// As [`Gateway::list_tables`].
    pub async fn complete_table(&self, caller: &Caller, request: &ListTables) -> Result<Read<TablePage>, ToolError> {
        self.list(caller, request, true).await
    }

    async fn list(
        &self,
        caller: &Caller,
        request: &ListTables,
        names_only: bool,
    ) -> Result<Read<TablePage>, ToolError> {
        let asked = [("search", &request.search), ("schema", &request.schema)];
        let asked = asked.into_iter().filter_map(|(key, text)| Some(format!("{key} {}", text.as_ref()?)));
        let asked: String = printable(&asked.collect::<Vec<_>>().join(", ")).take(MAX_TARGET_CHARACTERS).collect();
        let target = Some(asked).filter(|asked| !asked.is_empty());
        let start = EntryStart { target, ..self.start(caller, "list_tables") };
        let limits = &self.config.limits;
        let list = ListRequest {
            search: request.search.clone().filter(|word| !word.is_empty()),
            names_only,
            schema: request.schema.clone(),
            after: request.cursor.clone(),
            limit: request.limit.unwrap_or(limits.list_page),
        };
        let given = [&request.search, &request.schema, &request.cursor];
        let ceiling = limits.list_page_ceiling;
        let options = |source: &SourceConfig| {
            if !(1..=ceiling).contains(&list.limit) {
                return Err(ToolError::invalid(format!("limit must be from 1 to {ceiling}")));
            }
            if given.into_iter().flatten().any(|text| text.contains('\0') || text.len() > source.limits.max_text_bytes)
            {
                return Err(ToolError::invalid("search, schema and cursor must be short texts without NUL"));
            }
            Ok(plain_options(caller, source))
        };
        self.read(caller, start, request.source.as_deref(), List(&list), options).await
    }

    /// Opens the record of a question. The records of the statements that answer it carry its id.
    ///
    /// # Errors
    ///
    /// `audit_unavailable`.
    pub async fn open_question(&self, caller: &Caller, request: &AskDatabase) -> Result<OpenEntry, ToolError> {
        let start = EntryStart {
            source: Some(request.source.clone().unwrap_or_else(|| self.config.default_source.clone())),
            question: Some(match &request.choice {
                Some(choice) => format!("{} [{choice}]", request.question),
                None => request.question.clone(),
            }),
            user_id: request.user_id.clone(),
            session_id: request.session_id.clone(),
            ..self.start(caller, "ask_database")
        };
        Ok(self.audit.begin(start, &caller.outcomes).committed().await?)
    }

    /// Records a call that was refused before a request could be built: an unknown tool, or unreadable arguments.
    ///
    /// # Errors
    ///
    /// `audit_unavailable`.
    pub async fn refuse(&self, caller: &Caller, tool: &str, error: &ToolError) -> Result<(), ToolError> {
        let tool = printable(tool).take(MAX_TOOL_CHARACTERS).collect::<String>();
        let entry = self.audit.begin(self.start(caller, tool), &caller.outcomes).committed().await?;
        entry.close(Finished::of_error(error));
        Ok(())
    }

    /// Returns what is already known of a source's database. Sends no query. `None` if the settings of the source
    /// cannot be used.
    pub async fn database_report(&self, source: &SourceConfig) -> Option<DatabaseReport> {
        Some(self.router.database(&source.name).await.ok()?.report())
    }

    /// Closes the connections, and writes the remaining records.
    pub async fn close(&self) {
        // A connection that is not returned must not prevent the records from being written.
        let _ = tokio::time::timeout(CLOSING, self.router.close()).await;
        self.audit.finish().await;
    }

    fn start(&self, caller: &Caller, tool: impl Into<Cow<'static, str>>) -> EntryStart {
        EntryStart {
            client: caller.client.clone(),
            tool: tool.into(),
            traceparent: caller.traceparent.clone(),
            question_id: caller.question_id.clone(),
            ..EntryStart::default()
        }
    }

    /// Runs one read: opens the record, prepares the read and runs it. Closes the record if the read fails.
    async fn read<R: Reading>(
        &self,
        caller: &Caller,
        mut start: EntryStart,
        source_name: Option<&str>,
        reading: R,
        options: impl FnOnce(&SourceConfig) -> Result<ReadOptions, ToolError>,
    ) -> Result<Read<R::Found>, ToolError> {
        let source_name = Some(match (source_name, &caller.grant) {
            (Some(name), _) => name,
            (None, Some(grant)) => grant.default_source(&self.config),
            (None, None) => &self.config.default_source,
        });
        start.source = source_name.map(str::to_owned);
        start.system = self.source(source_name).and_then(|source| self.dialect(source)).ok().map(Dialect::name);
        caller.stage("checking");
        let user_id = start.user_id.clone();
        let pending = self.audit.begin(start, &caller.outcomes);
        let call = pending.id();
        // The audit writer commits the intent while the read is prepared. None of the caller's text is sent before that
        // commit.
        let mut committed = std::pin::pin!(pending.committed());
        let prepared = self.prepare(caller, source_name, user_id.as_deref(), &reading, options).await;
        // The claims of a user are sent when the session opens, so the intent is committed first.
        let identity = prepared.as_ref().ok().and_then(|prepared| prepared.options.identity.as_ref());
        let sends_claims = identity.is_some_and(|identity| identity.claims.is_some());
        let recorded = if sends_claims { Some(committed.as_mut().await?) } else { None };
        let opened = match &prepared {
            Ok(prepared) if !reading.needs_session(prepared.source) => Ok(None),
            Ok(prepared) => prepared.open(&call).await.map(Some),
            Err(error) => Err(error.clone()),
        };
        let entry = match recorded {
            Some(entry) => entry,
            None => committed.await?,
        };
        let found = match (&prepared, opened) {
            (Ok(prepared), Ok(session)) => {
                caller.stage("running");
                let work = |session| Work { gateway: self, caller, entry: &entry, prepared, session };
                // Boxed: a question nests this future so deeply that computing its layout can exceed the compiler's
                // recursion limit.
                let mut found = Box::pin(reading.run(work(session))).await;
                for _ in 0..MOST_REPEATS {
                    let is_retryable = |state: &String| prepared.database.is_retryable(state);
                    if !matches!(&found, Err(error) if error.sqlstate.as_ref().is_some_and(is_retryable)) {
                        break;
                    }
                    found = match prepared.open(&call).await {
                        Ok(session) => Box::pin(reading.run(work(Some(session)))).await,
                        Err(error) => Err(error),
                    };
                }
                found
            }
            (_, Err(error)) => Err(error),
            (Err(error), Ok(_)) => Err(error.clone()),
        };
        match (found, prepared) {
            (Ok(value), Ok(prepared)) => {
                let tables = prepared.approved.map(|approved| approved.names().relations.clone()).unwrap_or_default();
                let (source, dialect) = (prepared.source.name.clone(), prepared.dialect);
                Ok(Read { source, dialect, value, tables, entry })
            }
            (Err(error), prepared) => {
                let tables = prepared.as_ref().ok().and_then(|prepared| prepared.approved.as_ref());
                let tables = tables.map(|approved| approved.names().relations.clone()).unwrap_or_default();
                // Frees the call slot for other calls. Explaining the error may read the schema, but it needs no slot.
                drop(prepared);
                let error = match self.source(source_name) {
                    Ok(source) => {
                        let error =
                            Box::pin(self.explained(caller, source, (reading.sql(), &tables), error, &entry)).await;
                        // The model that answers a question can only read the question's source, so its errors do not
                        // name other sources.
                        if caller.question_id.is_some() { error } else { self.elsewhere(caller, source, error) }
                    }
                    Err(_) => error,
                };
                entry.close(Finished::of_error(&error));
                Err(error)
            }
            (Ok(_), Err(error)) => {
                entry.close(Finished::of_error(&error));
                Err(error)
            }
        }
    }

    /// Runs the steps before a session is opened: the source, the arguments, the guard, a call slot.
    async fn prepare(
        &self,
        caller: &Caller,
        source_name: Option<&str>,
        user_id: Option<&str>,
        reading: &impl Reading,
        options: impl FnOnce(&SourceConfig) -> Result<ReadOptions, ToolError>,
    ) -> Result<Prepared<'_>, ToolError> {
        // The grant is checked first, because the error for an unknown source lists the names of all sources.
        if let (Some(grant), Some(name)) = (&caller.grant, source_name) {
            grant.check_source(name)?;
        }
        let source = self.source(source_name)?;
        let mut options = options(source)?;
        let dialect = self.dialect(source)?;
        let check = async || match reading.sql() {
            Some(sql) => self.check(caller, sql, reading.plans(), dialect, source).await.map(Some),
            None => Ok(None),
        };
        let mut approved = check().await?;
        if reading.sql().is_some() {
            options.identity = user(source, user_id)?;
            // The counts of `analyze` include rows that the user may not see.
            if options.identity.is_some() && reading.analyzes() {
                return Err(ToolError::new(Code::StatementRefused, "analyze counts rows of other users too")
                    .hint("Call explain_query without analyze: this source is read on behalf of a user."));
            }
        }
        let slots = self.slots.get(&source.name).ok_or_else(ToolError::internal)?;
        let permit = match slots.running.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                caller.stage("waiting for other calls");
                // The list of names that the guard found in a statement takes much more memory than the text. So a
                // waiting call keeps only the text, and is checked again afterwards.
                drop(approved.take());
                let permit = tokio::select! {
                    permit = slots.wait() => permit?,
                    () = caller.cancel.cancelled() => return Err(DatabaseError::Cancelled.into()),
                };
                approved = check().await?;
                permit
            }
        };
        let database = self.router.database(&source.name).await?;
        let runs = reading.runs();
        Ok(Prepared { source, options, dialect, approved, runs, _permit: permit, database })
    }

    /// Asks the guard about a statement. A large statement waits for its turn, and does not hold up other calls.
    async fn check(
        &self,
        caller: &Caller,
        sql: &str,
        plans: bool,
        dialect: Dialect,
        source: &SourceConfig,
    ) -> Result<ApprovedSql, ToolError> {
        let approve = if plans { guard::approve_plan } else { guard::approve };
        if sql.len() <= LARGE_SQL_BYTES {
            return Ok(approve(sql, dialect, &source.limits)?);
        }
        let _turn = tokio::select! {
            turn = self.large_checks.acquire() => turn.map_err(|_| ToolError::internal())?,
            () = caller.cancel.cancelled() => return Err(DatabaseError::Cancelled.into()),
        };
        let approved = blocking::run(|| approve(sql, dialect, &source.limits));
        allocation::give_back();
        Ok(approved?)
    }
}

/// How often a read is repeated if the cause of its error has passed. It is more than once because several idle
/// sessions may have lost their prepared statements.
const MOST_REPEATS: usize = 3;
/// Maximum number of characters of a tool name in a record.
const MAX_TOOL_CHARACTERS: usize = 64;
/// Maximum number of characters of `target` in a record.
const MAX_TARGET_CHARACTERS: usize = 256;

/// A read that passed all checks and holds a call slot.
struct Prepared<'a> {
    source: &'a SourceConfig,
    options: ReadOptions,
    dialect: Dialect,
    approved: Option<ApprovedSql>,
    /// True if the approved statement may run, false if it may only be planned.
    runs: bool,
    database: Arc<Database>,
    _permit: SemaphorePermit<'a>,
}

impl Prepared<'_> {
    /// Opens a session for the approved statement, or for a read of the catalog.
    async fn open(&self, call: &str) -> Result<Session<'_>, ToolError> {
        let purpose = match &self.approved {
            Some(sql) if self.runs && !sql.is_explain() => Purpose::Run(sql),
            Some(sql) => Purpose::Plan(sql),
            None => Purpose::Catalog,
        };
        Ok(self.database.open(call, &self.options, purpose).await?)
    }
}

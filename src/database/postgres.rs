//! The PostgreSQL engine: each read in a read-only transaction of its own, always rolled back.
//!
//! One fixed message of TUDB's own opens the transaction, sets its limits and reads the backend's pid; the caller's
//! text follows by the extended protocol only, wrapped in a sub-query; the rollback runs after the reply. A connection
//! that is dropped in the middle of a transaction is closed, never used again, and its statement is cancelled on the
//! server. It approves nothing itself.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgDatabaseError, PgErrorPosition, PgPool, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, Column as _, Connection, Executor, Postgres, Row, SqlSafeStr, Statement, ValueRef};

use super::catalog::{Snapshot, TableDescription};
use super::postgres_types::{Kind, TypeNames};
use super::presets::Preset;
use super::result_set::{ResultColumn, ResultSet, ResultWriter};
use super::target::PostgresTarget;
use super::value::{Cell, cut};
use super::{DatabaseError, Explanation, ListRequest, ReadOptions, TablePage, postgres_catalog};
use crate::audit::OpenEntry;
use crate::config::SourceConfig;
use crate::guard::ApprovedSql;
use crate::limits::Limits;

/// How long the process waits past the server's own limit before it cancels by itself.
const SERVER_HEAD_START: Duration = Duration::from_millis(250);
/// How long a lock may be waited for.
const LOCK_TIMEOUT_MS: u64 = 5_000;
/// Bytes of the database's own words that a reply repeats: an error can quote a value of any size.
pub(super) const MAX_MESSAGE_BYTES: usize = 1_000;
/// Bytes of a plan that is read at all; a literal of the statement stands in it as often as it is used.
const MAX_PLAN_BYTES: usize = 4 << 20;
/// How often the catalog is looked at for changes that make remembered shapes wrong.
const FINGERPRINT_EVERY: Duration = Duration::from_secs(5);

/// One PostgreSQL source and the connections to it.
#[derive(Debug)]
pub struct PostgresEngine {
    source_name: String,
    pool: PgPool,
    canceller: Canceller,
    settings: Settings,
    limits: Limits,
    preset: &'static Preset,
    pooled: bool,
    connect: sqlx::postgres::PgConnectOptions,
    shapes: Arc<Shapes>,
    types: TypeNames,
}

/// What the opening message sets, besides the limits.
#[derive(Debug)]
struct Settings {
    time_zone: String,
    schemas: Vec<String>,
    hidden_schemas: Vec<String>,
}

/// A column of a statement: its name, and how its values travel.
#[derive(Clone, Debug)]
struct ShapeColumn {
    name: String,
    type_name: String,
    kind: Kind,
}

type Shape = Arc<[ShapeColumn]>;

/// Shapes of statements seen before, for as long as the catalog's fingerprint stands.
#[derive(Debug, Default)]
struct Shapes {
    known: Mutex<HashMap<String, Shape>>,
    /// Part of every text that the server remembers by name, so that a new generation is prepared anew.
    generation: AtomicU64,
    fingerprint: Mutex<(Option<Instant>, String)>,
}

impl Shapes {
    fn get(&self, sql: &str) -> Option<Shape> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned()
    }

    fn insert(&self, sql: &str, shape: &Shape, most: usize) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= most {
            known.clear();
        }
        known.insert(sql.to_owned(), Arc::clone(shape));
    }

    fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it is time to look at the catalog again; says yes once.
    fn is_due(&self) -> bool {
        let mut fingerprint = self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner);
        let due = fingerprint.0.is_none_or(|at| at.elapsed() >= FINGERPRINT_EVERY);
        if due {
            fingerprint.0 = Some(Instant::now());
        }
        due
    }

    fn saw(&self, now: String) {
        let mut fingerprint = self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = !fingerprint.1.is_empty() && fingerprint.1 != now;
        fingerprint.1 = now;
        drop(fingerprint);
        if changed {
            self.forget();
        }
    }
}

/// Ends statements on the server from a connection of its own.
#[derive(Clone, Debug)]
struct Canceller {
    pool: PgPool,
    grace: Duration,
}

impl Canceller {
    /// Cancels what the backend runs, if it still runs it under the call's mark. A reused pid, or another server
    /// behind the same name, is never hit.
    async fn cancel(&self, pid: i32, application_name: &str) {
        const CANCEL: &str = "SELECT pg_catalog.pg_cancel_backend(pid) FROM pg_catalog.pg_stat_activity
            WHERE pid = $1 AND application_name = $2";
        let sent = async {
            let mut transaction = self.pool.begin_with("BEGIN READ ONLY").await?;
            sqlx::query(CANCEL)
                .bind(pid)
                .bind(application_name.to_owned())
                .persistent(false)
                .execute(&mut *transaction)
                .await?;
            transaction.rollback().await
        };
        match tokio::time::timeout(self.grace, sent).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a statement could not be cancelled"),
            Err(_) => tracing::warn!("cancelling a statement took too long"),
        }
    }
}

impl PostgresEngine {
    /// An engine over a target; connects on first use.
    pub fn new(source: &SourceConfig, target: PostgresTarget) -> Self {
        let limits = source.limits.clone();
        let ping_after = Duration::from_millis(limits.ping_after_idle_ms);
        let pool = PgPoolOptions::new()
            .max_connections(limits.max_connections)
            .min_connections(0)
            .acquire_timeout(Duration::from_millis(limits.acquire_timeout_ms))
            .idle_timeout(Duration::from_secs(60))
            .max_lifetime(Duration::from_secs(600))
            .test_before_acquire(false)
            .before_acquire(move |connection, meta| {
                Box::pin(async move {
                    if meta.idle_for < ping_after {
                        return Ok(true);
                    }
                    Ok(matches!(tokio::time::timeout(Duration::from_secs(1), connection.ping()).await, Ok(Ok(()))))
                })
            })
            .connect_lazy_with(target.options.clone());
        let canceller = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(Duration::from_secs(10))
            .acquire_timeout(Duration::from_millis(limits.cancel_grace_ms))
            .connect_lazy_with(target.options.clone());
        let mut hidden_schemas = source.hidden_schemas.clone();
        hidden_schemas.extend(target.preset.hidden_schemas.iter().map(|schema| (*schema).to_owned()));
        PostgresEngine {
            source_name: source.name.clone(),
            pool,
            canceller: Canceller { pool: canceller, grace: Duration::from_millis(limits.cancel_grace_ms) },
            settings: Settings { time_zone: source.time_zone.clone(), schemas: source.schemas.clone(), hidden_schemas },
            limits,
            preset: target.preset,
            pooled: target.pooled,
            connect: target.options,
            shapes: Arc::default(),
            types: TypeNames::default(),
        }
    }

    /// Takes a connection and opens the read-only transaction in one round trip.
    pub(super) async fn open(&self, call: &str, options: &ReadOptions) -> Result<PostgresSession<'_>, DatabaseError> {
        let application_name = format!("tudb/{} {call}", env!("CARGO_PKG_VERSION"));
        let message = self.opening_message(&application_name, options.time_left());
        // A connection that broke while it was idle shows here, before anything of the caller's was sent; all of them
        // may have broken at once.
        let mut last = None;
        for _ in 0..=self.limits.max_connections {
            let mut held = Held {
                connection: Some(self.acquire().await?),
                pid: None,
                application_name: application_name.clone(),
                canceller: self.canceller.clone(),
            };
            let Some(connection) = held.connection.as_mut() else { continue };
            let opened = async {
                let row = connection.fetch_one(AssertSqlSafe(message.clone())).await?;
                let pid = row.try_get_raw(0)?.as_str().map_err(sqlx::Error::Decode)?.parse::<i32>();
                pid.map_err(|error| sqlx::Error::Decode(error.into()))
            };
            let patience = Duration::from_millis(self.limits.connect_timeout_ms);
            match tokio::time::timeout(patience, opened).await {
                Ok(Ok(pid)) => {
                    held.pid = Some(pid);
                    return Ok(PostgresSession { engine: self, held });
                }
                Ok(Err(error)) if is_broken(&error) => last = Some(error),
                Ok(Err(error)) => return Err(self.connect_error(error)),
                Err(_) => break,
            }
        }
        Err(last.map_or_else(|| self.unreachable(), |error| self.connect_error(error)))
    }

    /// TUDB's own text, from configuration and the call's id alone: BEGIN, every setting local to the transaction, and
    /// the pid. The SELECT is the transaction's first query, after which it cannot be made read-write any more. SET
    /// LOCAL is a third cheaper than as many set_config calls (pgbench, PostgreSQL 15).
    fn opening_message(&self, application_name: &str, timeout: Duration) -> String {
        let timeout_ms = timeout.as_millis().max(1);
        let lock_timeout_ms = LOCK_TIMEOUT_MS.min(self.limits.statement_timeout_ms);
        let (time_zone, application_name) = (literal(&self.settings.time_zone), literal(application_name));
        let search_path = if self.settings.schemas.is_empty() {
            "'pg_catalog'||coalesce(', '||nullif(current_setting('search_path'),''),'')".to_owned()
        } else {
            let quoted: Vec<String> =
                self.settings.schemas.iter().map(|schema| format!("\"{}\"", schema.replace('"', "\"\""))).collect();
            literal(&format!("pg_catalog, {}", quoted.join(", ")))
        };
        // From version 14 on the server notices by itself that the client has gone, however it went.
        format!(
            "BEGIN READ ONLY;SET LOCAL statement_timeout={timeout_ms};SET LOCAL lock_timeout={lock_timeout_ms};\
             SET LOCAL idle_in_transaction_session_timeout={idle};SET LOCAL TimeZone={time_zone};\
             SET LOCAL DateStyle='ISO';SET LOCAL IntervalStyle='postgres';SET LOCAL bytea_output='hex';\
             SET LOCAL extra_float_digits=1;SET LOCAL standard_conforming_strings=on;SET LOCAL application_name={application_name};\
             SELECT pg_catalog.pg_backend_pid(),pg_catalog.set_config('search_path',{search_path},true),\
             CASE WHEN current_setting('server_version_num')::int>=140000 \
             THEN pg_catalog.set_config('client_connection_check_interval','1000',true) END",
            idle = timeout_ms + 10_000,
        )
    }

    async fn acquire(&self) -> Result<PoolConnection<Postgres>, DatabaseError> {
        match self.pool.acquire().await {
            Ok(connection) => Ok(connection),
            Err(sqlx::Error::PoolTimedOut) => Err(self.why_no_connection().await),
            Err(error) => Err(self.connect_error(error)),
        }
    }

    /// The pool tells a server that refuses connections and a pool in use the same way; one more try tells which.
    async fn why_no_connection(&self) -> DatabaseError {
        if self.pool.size() >= self.limits.max_connections && self.pool.num_idle() == 0 {
            return DatabaseError::NoConnection {
                source_name: self.source_name.clone(),
                waited_ms: self.limits.acquire_timeout_ms,
            };
        }
        let attempt = PgConnection::connect_with(&self.connect);
        match tokio::time::timeout(Duration::from_secs(2), attempt).await {
            Ok(Err(error)) => self.connect_error(error),
            Ok(Ok(_)) | Err(_) => self.unreachable(),
        }
    }

    fn unreachable(&self) -> DatabaseError {
        DatabaseError::Unreachable { source_name: self.source_name.clone(), hint: self.preset.unreachable.to_owned() }
    }

    fn connect_error(&self, error: sqlx::Error) -> DatabaseError {
        let source_name = self.source_name.clone();
        tracing::warn!(source = source_name, %error, "cannot connect");
        match &error {
            sqlx::Error::Database(refused) => match refused.code().as_deref() {
                Some("28P01" | "28000") => DatabaseError::AuthFailed { source_name },
                Some("3D000") => DatabaseError::Missing { source_name, message: "the database does not exist".into() },
                Some("53300") => DatabaseError::TooManyConnections { source_name },
                Some("57P03") => self.unreachable(),
                _ => sql_error(error, None),
            },
            sqlx::Error::Tls(reason) => DatabaseError::Tls { source_name, reason: reason.to_string() },
            sqlx::Error::Configuration(problem) => DatabaseError::Config { source_name, problem: problem.to_string() },
            sqlx::Error::Io(_) => self.unreachable(),
            _ => DatabaseError::Connection(error),
        }
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
        self.canceller.pool.close().await;
    }

    /// Names and types of a statement's columns, remembered or asked for.
    async fn shape(&self, connection: &mut PgConnection, approved: &ApprovedSql) -> Result<Shape, DatabaseError> {
        let sql = approved.text();
        if let Some(shape) = self.shapes.get(sql) {
            return Ok(shape);
        }
        // Remembered with the shape: what may be chosen for a name changes with the catalog too.
        postgres_catalog::vouch(connection, approved.names()).await?;
        let columns = if self.pooled { None } else { self.prepare(connection, sql).await? };
        let columns = match columns {
            Some(columns) => columns,
            None => probe(connection, sql).await?,
        };
        let oids: Vec<u32> = columns.iter().map(|(_, oid)| *oid).collect();
        let names = self.types.names(connection, &oids).await.map_err(|error| sql_error(error, None))?;
        let shape: Shape = columns
            .into_iter()
            .zip(names)
            .map(|((name, oid), type_name)| ShapeColumn { name, type_name, kind: Kind::of(oid) })
            .collect();
        self.shapes.insert(sql, &shape, self.limits.remembered_shapes);
        Ok(shape)
    }

    /// One prepare of the caller's own text. `None` when the driver cannot name a type of it (multiranges).
    async fn prepare(
        &self,
        connection: &mut PgConnection,
        sql: &str,
    ) -> Result<Option<Vec<(String, u32)>>, DatabaseError> {
        let text = format!("{sql}{}", self.generation_mark());
        match connection.prepare(approved(text).into_sql_str()).await {
            Ok(statement) => {
                let columns = statement.columns().iter();
                Ok(columns
                    .map(|column| Some((column.name().to_owned(), column.type_info().oid()?.0)))
                    .collect::<Option<Vec<_>>>())
            }
            Err(error @ sqlx::Error::Database(_)) => Err(sql_error(error, Some((0, sql)))),
            Err(error @ (sqlx::Error::Io(_) | sqlx::Error::Tls(_))) => Err(DatabaseError::Connection(error)),
            Err(error) => {
                tracing::debug!(%error, "the driver cannot describe this statement; probing instead");
                Ok(None)
            }
        }
    }

    fn generation_mark(&self) -> String {
        match self.shapes.generation.load(Ordering::Relaxed) {
            0 => String::new(),
            generation => format!("\n/* {generation} */"),
        }
    }

    /// Runs the wrapped statement. The flag says that rows were left unread.
    async fn rows(
        &self,
        connection: &mut PgConnection,
        sql: &ApprovedSql,
        options: &ReadOptions,
    ) -> Result<(ResultSet, bool), DatabaseError> {
        let shape = self.shape(connection, sql).await?;
        let (mut text, prefix) = wrap(sql.text(), &shape, options.budget.max_cell_bytes);
        let _ = write!(text, " LIMIT {}{}", options.budget.max_rows.saturating_add(1), self.generation_mark());
        let columns = shape
            .iter()
            .map(|column| ResultColumn { name: column.name.clone(), type_name: Some(column.type_name.clone()) })
            .collect();
        let mut writer = ResultWriter::new(columns, options.format, options.budget, options.max_rows_ceiling)
            .map_err(|error| DatabaseError::HeaderTooLong { bytes: error.bytes })?;
        let mut rows = connection.fetch(sqlx::query(approved(text)).persistent(!self.pooled));
        let mut unread = false;
        while let Some(row) = rows.try_next().await.map_err(|error| sql_error(error, Some((prefix, sql.text()))))? {
            if !writer.wants_row() {
                writer.more_rows();
                break;
            }
            if !write_row(&mut writer, &row, &shape)? {
                unread = true;
                break;
            }
        }
        Ok((writer.finish(), unread))
    }
}

/// A connection in a transaction. Dropped before [`Held::finish`] it is closed, and its statement is cancelled.
struct Held {
    connection: Option<PoolConnection<Postgres>>,
    pid: Option<i32>,
    application_name: String,
    canceller: Canceller,
}

impl Held {
    /// Rolls back and gives the connection back, without holding up the reply.
    fn finish(mut self, unread: bool) {
        let Some(connection) = self.connection.take() else { return };
        let (pid, name, canceller) = (self.pid, std::mem::take(&mut self.application_name), self.canceller.clone());
        tokio::spawn(async move {
            let mut connection = connection;
            if let (true, Some(pid)) = (unread, pid) {
                // The rest of the rows would have to be read first; the server can stop instead.
                canceller.cancel(pid, &name).await;
            }
            let rolled_back = tokio::time::timeout(canceller.grace, connection.execute("ROLLBACK")).await;
            if !matches!(rolled_back, Ok(Ok(_))) {
                drop(connection.detach());
            }
        });
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        drop(connection.detach());
        if let (Some(pid), Ok(runtime)) = (self.pid, tokio::runtime::Handle::try_current()) {
            let (name, canceller) = (std::mem::take(&mut self.application_name), self.canceller.clone());
            runtime.spawn(async move { canceller.cancel(pid, &name).await });
        }
    }
}

/// A read-only transaction, opened for one read.
pub struct PostgresSession<'a> {
    engine: &'a PostgresEngine,
    held: Held,
}

impl PostgresSession<'_> {
    pub(super) async fn run(
        self,
        _entry: &OpenEntry,
        sql: &ApprovedSql,
        options: &ReadOptions,
    ) -> Result<ResultSet, DatabaseError> {
        let engine = self.engine;
        let name = self.held.application_name.clone();
        let remembered = engine.shapes.get(sql.text()).is_some();
        let result = self.within(options, async |connection| engine.rows(connection, sql, options).await).await;
        match result {
            Err(DatabaseError::Sql { sqlstate: Some(state), .. }) if remembered && is_about_shape(&state) => {
                // A table has changed since: the shape is asked for again, in a new transaction, once.
                engine.shapes.forget();
                let call = name.rsplit(' ').next().unwrap_or_default().to_owned();
                let session = engine.open(&call, options).await?;
                session.within(options, async |connection| engine.rows(connection, sql, options).await).await
            }
            other => other,
        }
    }

    pub(super) async fn explain(
        self,
        _entry: &OpenEntry,
        sql: &ApprovedSql,
        analyze: bool,
        options: &ReadOptions,
    ) -> Result<Explanation, DatabaseError> {
        self.within(options, async |connection| {
            postgres_catalog::vouch(connection, sql.names()).await?;
            let opening = if analyze {
                "EXPLAIN (FORMAT JSON, VERBOSE, ANALYZE) SELECT * FROM ("
            } else {
                "EXPLAIN (FORMAT JSON, VERBOSE) SELECT * FROM ("
            };
            let text = format!("{opening}{}\n) q", sql.text());
            let row = connection
                .fetch_one(sqlx::query(approved(text)).persistent(false))
                .await
                .map_err(|error| sql_error(error, Some((opening.chars().count(), sql.text()))))?;
            let plan = row.try_get_raw(0).map_err(DatabaseError::Connection)?;
            let plan = plan.as_str().map_err(|error| DatabaseError::Connection(sqlx::Error::Decode(error)))?;
            if plan.len() > MAX_PLAN_BYTES {
                return Err(DatabaseError::HeaderTooLong { bytes: plan.len() });
            }
            let plan = serde_json::from_str(plan)
                .map_err(|error| DatabaseError::Connection(sqlx::Error::Decode(error.into())))?;
            Ok((Explanation::from_postgres(plan), false))
        })
        .await
    }

    pub(super) async fn list(
        self,
        _entry: &OpenEntry,
        request: &ListRequest,
        options: &ReadOptions,
    ) -> Result<TablePage, DatabaseError> {
        let settings = &self.engine.settings;
        let (hidden, shown) = (settings.hidden_schemas.clone(), settings.schemas.clone());
        self.within(options, async |connection| {
            postgres_catalog::list(connection, hidden, shown, request).await.map(|page| (page, false))
        })
        .await
    }

    pub(super) async fn describe(
        self,
        _entry: &OpenEntry,
        table: &str,
        options: &ReadOptions,
    ) -> Result<TableDescription, DatabaseError> {
        let source_name = self.engine.source_name.clone();
        self.within(options, async |connection| {
            postgres_catalog::describe(connection, table, &source_name).await.map(|table| (table, false))
        })
        .await
    }

    pub(super) async fn snapshot(self, _entry: &OpenEntry, options: &ReadOptions) -> Result<Snapshot, DatabaseError> {
        let settings = &self.engine.settings;
        let (hidden, shown) = (settings.hidden_schemas.clone(), settings.schemas.clone());
        let sampled = self.engine.limits.sampled_values;
        self.within(options, async |connection| {
            postgres_catalog::snapshot(connection, hidden, shown, sampled).await.map(|snapshot| (snapshot, false))
        })
        .await
    }

    /// Runs `read` until the deadline or until the call is cancelled; then the statement is cancelled on the server,
    /// the original call is waited for, and a connection that does not come back is closed.
    async fn within<T>(
        self,
        options: &ReadOptions,
        read: impl AsyncFnOnce(&mut PgConnection) -> Result<(T, bool), DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let PostgresSession { engine, mut held } = self;
        let (pid, name, canceller) = (held.pid, held.application_name.clone(), held.canceller.clone());
        let Some(connection) = held.connection.as_mut() else { return Err(DatabaseError::Cancelled) };
        let left = options.time_left();
        let limit_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let (result, ended_early) = {
            let reading = read(connection);
            tokio::pin!(reading);
            let ended = tokio::select! {
                result = &mut reading => Ok(result),
                () = options.cancel.cancelled() => Err(DatabaseError::Cancelled),
                () = tokio::time::sleep(left + SERVER_HEAD_START) => Err(DatabaseError::Timeout { limit_ms }),
            };
            match ended {
                Ok(result) => (result, false),
                Err(why) => {
                    let cancelled = async {
                        if let Some(pid) = pid {
                            canceller.cancel(pid, &name).await;
                        }
                        reading.await
                    };
                    let back = tokio::time::timeout(canceller.grace, cancelled).await.is_ok();
                    (Err(why), !back)
                }
            }
        };
        if ended_early {
            drop(held);
            return result.map(|(value, _)| value);
        }
        match result {
            Ok((value, unread)) => {
                held.finish(unread);
                engine.look_for_changes();
                Ok(value)
            }
            Err(error @ DatabaseError::Connection(_)) => {
                drop(held);
                Err(error)
            }
            Err(error) => {
                held.finish(false);
                Err(match error {
                    DatabaseError::Sql { sqlstate, .. } if sqlstate.as_deref() == Some("57014") => {
                        DatabaseError::Timeout { limit_ms }
                    }
                    other => other,
                })
            }
        }
    }
}

impl PostgresEngine {
    /// Compares the catalog's fingerprint with the one seen before, in the background and now and then.
    fn look_for_changes(&self) {
        if !self.shapes.is_due() {
            return;
        }
        let (pool, shapes) = (self.pool.clone(), Arc::clone(&self.shapes));
        tokio::spawn(async move {
            match postgres_catalog::fingerprint(&pool).await {
                Ok(fingerprint) => shapes.saw(fingerprint),
                Err(error) => {
                    tracing::debug!(%error, "the catalog's fingerprint could not be read");
                    shapes.forget();
                }
            }
        });
    }
}

/// The one place where text from outside becomes a statement of this engine. `text` is built from an [`ApprovedSql`].
fn approved(text: String) -> AssertSqlSafe<String> {
    AssertSqlSafe(text)
}

/// Whether the connection is gone rather than the message wrong.
fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        // admin_shutdown, crash_shutdown, cannot_connect_now, idle session and idle transaction timeouts.
        sqlx::Error::Database(error) => {
            matches!(error.code().as_deref(), Some("57P01" | "57P02" | "57P03" | "57P05" | "25P03"))
        }
        _ => false,
    }
}

/// Whether the error may come from a table that changed under a remembered shape.
fn is_about_shape(sqlstate: &str) -> bool {
    // feature_not_supported ("cached plan must not change result type"), undefined column, too many column aliases.
    matches!(sqlstate, "0A000" | "42703" | "42P10" | "42804" | "42846")
}

/// A string literal for TUDB's own settings.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The caller's text as a sub-query, each column in the form in which it travels; also the characters before the text.
fn wrap(sql: &str, shape: &[ShapeColumn], max_cell_bytes: usize) -> (String, usize) {
    let mut text = String::with_capacity(sql.len() + 48 * shape.len() + 64);
    text.push_str("SELECT ");
    for (index, column) in shape.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let n = index + 1;
        let _ = match column.kind {
            Kind::Bool | Kind::Int2 | Kind::Int4 | Kind::Int8 => write!(text, "{comma}c{n}"),
            Kind::Float | Kind::Digits | Kind::Short => write!(text, "{comma}c{n}::text"),
            Kind::Long => write!(text, "{comma}left(c{n}::text,{max_cell_bytes})"),
        };
    }
    for (index, column) in shape.iter().enumerate() {
        if column.kind == Kind::Long {
            let _ = write!(text, ",octet_length(c{}::text)", index + 1);
        }
    }
    text.push_str(" FROM (");
    let prefix = text.chars().count();
    let _ = write!(text, "{sql}\n) AS tudb_result");
    for index in 1..=shape.len() {
        let separator = if index == 1 { "(" } else { "," };
        let _ = write!(text, "{separator}c{index}");
    }
    if !shape.is_empty() {
        text.push(')');
    }
    (text, prefix)
}

fn write_row(writer: &mut ResultWriter, row: &PgRow, shape: &[ShapeColumn]) -> Result<bool, DatabaseError> {
    let mut length_at = shape.len();
    writer.begin_row();
    for (index, column) in shape.iter().enumerate() {
        let value = row.try_get_raw(index).map_err(DatabaseError::Connection)?;
        let is_long = column.kind == Kind::Long;
        if value.is_null() {
            writer.cell(Cell::Null);
        } else {
            let bytes = value.as_bytes().map_err(|error| DatabaseError::Connection(sqlx::Error::Decode(error)))?;
            let text = || {
                std::str::from_utf8(bytes).map_err(|error| DatabaseError::Connection(sqlx::Error::Decode(error.into())))
            };
            match column.kind {
                Kind::Bool => writer.cell(Cell::Bool(bytes.first() == Some(&1))),
                Kind::Int2 | Kind::Int4 | Kind::Int8 => writer.cell(Cell::Integer(big_endian(bytes))),
                Kind::Float => writer.cell(Cell::Float(text()?)),
                Kind::Digits => writer.cell(Cell::Digits(text()?)),
                Kind::Short => writer.cell(Cell::text(text()?)),
                Kind::Long => {
                    let length: i32 = row.try_get_unchecked(length_at).map_err(DatabaseError::Connection)?;
                    let full_bytes = usize::try_from(length).unwrap_or(bytes.len());
                    writer.cell(Cell::Text { text: text()?, full_bytes });
                }
            }
        }
        length_at += usize::from(is_long);
    }
    Ok(writer.end_row())
}

/// A signed integer of two, four or eight bytes, as it travels in the binary format.
fn big_endian(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    bytes.iter().fold(if negative { -1 } else { 0 }, |value, byte| (value << 8) | i64::from(*byte))
}

/// Names, then types, by two unnamed statements that return built-in types only and run nothing: the join on false
/// makes the planner drop the sub-query. For poolers, and for types that the driver cannot look up.
async fn probe(connection: &mut PgConnection, sql: &str) -> Result<Vec<(String, u32)>, DatabaseError> {
    let opening = "SELECT row_to_json(r)::text FROM (SELECT t.* FROM (SELECT 1) d LEFT JOIN (";
    let text = format!("{opening}{sql}\n) t ON false) r");
    let row = connection
        .fetch_one(sqlx::query(approved(text)).persistent(false))
        .await
        .map_err(|error| sql_error(error, Some((opening.chars().count(), sql))))?;
    let names: String = row.try_get(0).map_err(DatabaseError::Connection)?;
    let Keys(names) =
        serde_json::from_str(&names).map_err(|error| DatabaseError::Connection(sqlx::Error::Decode(error.into())))?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let list = |item: &dyn Fn(usize) -> String| (1..=names.len()).map(item).collect::<Vec<_>>().join(",");
    let opening = format!("SELECT ARRAY[{}] FROM (SELECT 1) d LEFT JOIN (", list(&|n| format!("pg_typeof(c{n})::oid")));
    let text = format!("{opening}{sql}\n) t({}) ON false", list(&|n| format!("c{n}")));
    let row = connection
        .fetch_one(sqlx::query(approved(text)).persistent(false))
        .await
        .map_err(|error| sql_error(error, Some((opening.chars().count(), sql))))?;
    let oids: Vec<sqlx::postgres::types::Oid> = row.try_get(0).map_err(DatabaseError::Connection)?;
    Ok(names.into_iter().zip(oids).map(|(name, oid)| (name, oid.0)).collect())
}

/// The keys of a JSON object, in order, duplicates included.
struct Keys(Vec<String>);

impl<'de> serde::Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Keys;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, serde::de::IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// The database's own words about a statement. `sent` is the number of characters before the caller's text, and the
/// text, so that a position can be told in the caller's own text.
pub(super) fn sql_error(error: sqlx::Error, sent: Option<(usize, &str)>) -> DatabaseError {
    let sqlx::Error::Database(refused) = &error else { return DatabaseError::Connection(error) };
    let Some(refused) = refused.try_downcast_ref::<PgDatabaseError>() else {
        return DatabaseError::Connection(error);
    };
    if is_broken(&error) {
        return DatabaseError::Connection(error);
    }
    let position = match (refused.position(), sent) {
        (Some(PgErrorPosition::Original(at)), Some((before, sql))) => {
            at.checked_sub(before).filter(|at| (1..=sql.chars().count() + 1).contains(at)).map(|at| at as u64)
        }
        _ => None,
    };
    let mut message = cut(refused.message(), MAX_MESSAGE_BYTES).to_owned();
    if let Some(detail) = refused.detail() {
        message = format!("{message} ({})", cut(detail, MAX_MESSAGE_BYTES));
    }
    DatabaseError::Sql {
        message,
        hint: refused.hint().map(|hint| cut(hint, MAX_MESSAGE_BYTES).to_owned()),
        sqlstate: Some(refused.code().to_owned()),
        position,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_keep_their_sign() {
        assert_eq!(big_endian(&(-2i16).to_be_bytes()), -2);
        assert_eq!(big_endian(&7i32.to_be_bytes()), 7);
        assert_eq!(big_endian(&i64::MIN.to_be_bytes()), i64::MIN);
    }

    #[test]
    fn keys_keep_order_and_duplicates() {
        let Keys(keys) = serde_json::from_str(r#"{"b":null,"a":1,"b":2}"#).unwrap();
        assert_eq!(keys, ["b", "a", "b"]);
    }
}

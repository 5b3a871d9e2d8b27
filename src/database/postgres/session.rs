//! Runs one read in a transaction of [`PostgresEngine::open`], to the read's end, deadline or cancellation. Then rolls
//! back the transaction or closes the connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Postgres, Row};
use tokio::sync::OwnedSemaphorePermit;

use super::canceller::{Backend, Canceller};
use super::recent::{Idle, Known, Recent};
use super::shapes::{Shapes, is_large};
use super::statement::{approved, limit_planner};
use super::{OWN_PATH, PostgresEngine, SearchPath, ServerReport, catalog, plan_indexes, schema, sql_error, under_path};
use crate::allocation::{Bounded, TooLarge};
use crate::audit::OpenEntry;
use crate::database::catalog::{Snapshot, TableDescription};
use crate::database::result_set::ResultSet;
use crate::database::{DatabaseError, Explanation, ListRequest, Purpose, ReadOptions, TablePage};
use crate::guard::{ApprovedSql, Rejection};
use crate::quoting;

/// How long TUDB waits after a read's deadline, so that the server's limit can act first.
const SERVER_HEAD_START: Duration = Duration::from_millis(250);

/// How long a call waits for a cancelled statement. After that the call fails, and its connection is closed in the
/// background.
const CANCEL_PATIENCE: Duration = Duration::from_millis(250);

/// Pause between two attempts to cancel a statement that has not returned.
const CANCEL_AGAIN: Duration = Duration::from_millis(50);

/// Maximum number of statements that the driver keeps prepared by name on one connection.
pub(super) const MOST_STATEMENTS: usize = 100;

/// Number of statements that one call may prepare by name.
const OF_ONE_CALL: usize = 8;

/// Maximum bytes of a plan. A plan may repeat a long literal many times. A plan parsed into JSON values takes ten times
/// its bytes.
const MAX_PLAN_BYTES: usize = 1 << 20;

/// What is known of a transaction when it is open.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    /// Process id of the backend.
    pub(super) pid: i32,
    /// The `search_path` of the session. An administrator may have set it to any text, so it never becomes part of a
    /// statement.
    pub(super) set_path: String,
    /// The caller's `search_path`: quoted `schemas` without `pg_catalog`, then `pg_temp`.
    pub(super) callers_path: String,
    /// The schemas of that path, in order; `pg_catalog` is the first.
    pub(super) schemas: Vec<String>,
    /// The path that is set when the opening message ends.
    pub(super) path: SearchPath,
    /// The mark of a session whose settings TUDB made.
    pub(super) session_mark: Option<String>,
    /// The session's `plan_cache_mode`, if a whole opening message replaced it for TUDB's look-ups. TUDB restores it
    /// before the caller's statement runs.
    pub(super) plan_cache_mode: Option<String>,
    /// True after the short opening message: all but `path` is known from an earlier transaction.
    pub(super) is_short: bool,
}

impl Opened {
    /// Returns statements that set `search_path` to `path` and restore the session's `plan_cache_mode`.
    pub(super) fn settings_of_caller(&self, path: &str) -> String {
        let mode = self
            .plan_cache_mode
            .as_ref()
            .map(|mode| format!("SET LOCAL plan_cache_mode = {}; ", quoting::literal(mode)));
        format!("{}{}", mode.unwrap_or_default(), under_path(path))
    }

    /// True if this process made the settings of the session.
    pub(super) fn has_session_settings(&self, mark: &str) -> bool {
        self.session_mark.as_deref() == Some(mark)
    }
}

/// A connection in a transaction. If it is dropped before [`OpenTransaction::finish`], the connection is closed and its
/// statement is cancelled.
pub(super) struct OpenTransaction {
    pub(super) connection: Option<PoolConnection<Postgres>>,
    /// `None` until the transaction is open.
    pub(super) opened: Option<Opened>,
    /// What the last whole opening message returned.
    pub(super) known: Option<Known>,
    pub(super) application_name: String,
    /// When the transaction was opened, if the connection is proved direct.
    pub(super) seen_at: Option<Instant>,
    pub(super) canceller: Canceller,
    /// Released when the backend is idle or gone.
    pub(super) permit: Option<Permit>,
    /// True while the transaction of an earlier call is open on the connection.
    pub(super) is_open: bool,
    /// True if the driver may have cached a large statement. Its statement cache is then cleared before the connection
    /// is used again.
    pub(super) is_large: bool,
    /// A clone of the engine's counter of reads that are going on.
    pub(super) reading: Option<Arc<()>>,
    /// Keeps the connection for later calls.
    pub(super) recent: Arc<Recent>,
}

/// Permission to use one of the source's connections, until the backend has left its transaction.
pub(super) struct Permit {
    pub(super) permit: OwnedSemaphorePermit,
    /// The engine's counter of connections in use. `None` while waiting for a connection, and after an unanswered
    /// cancel.
    pub(super) in_use: Option<Arc<()>>,
}

impl OpenTransaction {
    /// Returns the backend of the transaction. `None` until the transaction is open.
    fn backend(&self) -> Option<Backend> {
        let pid = self.opened.as_ref()?.pid;
        Some(Backend { pid, application_name: self.application_name.clone(), seen_at: self.seen_at })
    }

    /// Rolls back and keeps or closes the connection in the background, so the reply does not wait.
    fn finish(mut self, unread: bool) {
        let Some(connection) = self.connection.take() else { return };
        let (backend, canceller, permit) = (self.backend(), self.canceller.clone(), self.permit.take());
        let (recent, reading, is_large) = (Arc::clone(&self.recent), self.reading.take(), self.is_large);
        let known = self.known.take();
        let has_place = connection.cached_statements_size() <= MOST_STATEMENTS - OF_ONE_CALL;
        let is_short = self.opened.as_ref().is_some_and(|opened| opened.is_short);
        if !unread && !is_large && has_place && is_short && recent.is_awaited() {
            // Another call waits. It sends ROLLBACK in the message that opens its own transaction.
            recent.keep(Idle::new(connection, known, true));
            drop((reading, permit));
            tokio::spawn(async move {
                let Some((Some(mut connection), known, _)) = recent.take_left().await.map(Idle::into_parts) else {
                    return;
                };
                match tokio::time::timeout(canceller.grace, connection.execute("ROLLBACK")).await {
                    Ok(Ok(_)) => recent.keep(Idle::new(connection, known, false)),
                    _ => drop(connection.detach()),
                }
            });
            return;
        }
        tokio::spawn(async move {
            let mut connection = connection;
            // Gives way to the task that writes the reply.
            tokio::task::yield_now().await;
            if let (true, Some(backend)) = (unread, &backend) {
                // Before the rollback the driver would read the remaining rows. A cancel makes the server stop sending
                // them.
                Box::pin(canceller.cancel(backend)).await;
            }
            let rolled_back = tokio::time::timeout(canceller.grace, connection.execute("ROLLBACK")).await;
            // After the rollback or its timeout the read is no longer counted, even if its backend still runs.
            drop(reading);
            let is_kept = match rolled_back {
                // With a full cache, the driver would wait for the end of an old statement in each later call.
                Ok(Ok(_)) if is_large || !has_place => {
                    let forgotten = tokio::time::timeout(canceller.grace, connection.clear_cached_statements());
                    matches!(forgotten.await, Ok(Ok(())))
                }
                rolled_back => matches!(rolled_back, Ok(Ok(_))),
            };
            if is_kept {
                recent.keep(Idle::new(connection, known, false));
            } else {
                drop(connection.detach());
                if let Some(backend) = backend {
                    Box::pin(canceller.end(&backend, permit)).await;
                }
            }
        });
    }
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        drop(connection.detach());
        if let (Some(backend), Ok(runtime)) = (self.backend(), tokio::runtime::Handle::try_current()) {
            let (canceller, permit) = (self.canceller.clone(), self.permit.take());
            runtime.spawn(async move { canceller.end(&backend, permit).await });
        }
    }
}

/// A read-only transaction, opened for one read.
pub struct PostgresSession<'a> {
    pub(super) engine: &'a PostgresEngine,
    pub(super) transaction: OpenTransaction,
}

impl PostgresSession<'_> {
    /// Id of the call's record, for a second transaction of the same call.
    fn call(&self) -> String {
        self.transaction.application_name.rsplit(' ').next().unwrap_or_default().to_owned()
    }

    pub(in crate::database) async fn run(
        self,
        _entry: &OpenEntry,
        sql: &ApprovedSql,
        options: &ReadOptions,
    ) -> Result<ResultSet, DatabaseError> {
        let engine = self.engine;
        let call = self.call();
        let end = options.end();
        let read =
            async |connection: &mut PgConnection, opened: &Opened| engine.rows(connection, opened, sql, options).await;
        let mut session = self;
        let mut may_repeat = true;
        loop {
            session.transaction.is_large = is_large(sql.text());
            let was_remembered = engine.shapes.get(&Shapes::key(sql, options)).is_some();
            let was_ahead = session.is_ahead();
            let error = match Box::pin(session.within(options, end, read)).await {
                Err(error) => error,
                result => return result,
            };
            if was_ahead && matches!(error, DatabaseError::Changing) {
                session = engine.open(&call, options, Purpose::Catalog).await?;
                continue;
            }
            // An object changed during the check, or after the shape was remembered. Check the statement again, once.
            let is_changing = matches!(error, DatabaseError::Changing);
            let is_stale = is_changing
                || was_remembered && is_about_shape(&error)
                || !was_remembered && was_ahead && is_about_objects(&error);
            let is_stale = is_stale && may_repeat;
            if is_stale {
                may_repeat = false;
                if was_remembered {
                    engine.shapes.forget();
                }
            }
            if !is_stale && !engine.wants_whole_path(sql, &error) {
                return Err(engine.withheld(error));
            }
            session = engine.open(&call, options, Purpose::Catalog).await?;
        }
    }

    /// True if the transaction began for a remembered statement, or for one of known names. If these were forgotten
    /// meanwhile, the statement must be looked up in another transaction.
    fn is_ahead(&self) -> bool {
        let opened = self.transaction.opened.as_ref();
        opened.is_some_and(|opened| opened.is_short || opened.path != SearchPath::Own)
    }

    pub(in crate::database) async fn explain(
        self,
        _entry: &OpenEntry,
        sql: &ApprovedSql,
        analyze: bool,
        options: &ReadOptions,
    ) -> Result<Explanation, DatabaseError> {
        let engine = self.engine;
        let version = engine.server().map_or("", |server| server.version.as_str());
        let major = engine.server().and_then(ServerReport::major);
        if sql.has_parameters() && major.is_none_or(|major| major < 16) {
            return Err(DatabaseError::Ruled(Rejection::parameter_of_plan(version)));
        }
        let call = self.call();
        let end = options.end();
        let read = async |connection: &mut PgConnection, opened: &Opened| {
            let mut checked = engine.judged(connection, opened, sql).await?;
            limit_planner(connection, sql).await?;
            // A verbose plan names every column that a scan reads, also denied columns.
            let verbose = if engine.settings.column_rules.is_empty() { ", VERBOSE" } else { "" };
            let kind = if sql.has_parameters() {
                ", GENERIC_PLAN"
            } else if analyze {
                ", ANALYZE"
            } else {
                ""
            };
            let opening = format!("EXPLAIN (FORMAT JSON{verbose}{kind}) SELECT * FROM (");
            let sent = format!("{opening}{}\n) q", sql.with_parameters(&checked.text));
            let explained = if sql.has_parameters() {
                // A prepared statement would want values. This text is one statement, because the guard refuses
                // semicolons.
                sqlx::raw_sql(approved(sent)).fetch_one(&mut *connection).await
            } else {
                (&mut *connection).fetch_one(sqlx::query(approved(sent)).persistent(false)).await
            };
            let place = opening.chars().count();
            let row = explained
                .map_err(|error| sql_error(error, Some((place, &checked.text))))
                .map_err(|error| checked.explain(error))?;
            let plan = row.try_get_raw(0).map_err(DatabaseError::Connection)?;
            let plan = plan.as_str().map_err(|error| DatabaseError::Connection(sqlx::Error::Decode(error)))?;
            if plan.len() > MAX_PLAN_BYTES {
                return Err(DatabaseError::HeaderTooLong { bytes: plan.len() });
            }
            // The server writes valid JSON, but the plan of many joins can be nested deeper than serde_json reads.
            let plan = serde_json::from_str(plan).map_err(|_| DatabaseError::HeaderTooLong { bytes: plan.len() })?;
            let explanation = if engine.settings.column_rules.is_empty() {
                let mut explanation = Explanation::from_postgres(plan);
                if !explanation.candidates.is_empty() {
                    let relations = explanation.candidates.iter().map(|candidate| candidate.relation.clone()).collect();
                    let is_own_path = checked.path == OWN_PATH;
                    let keep_plan = engine.may_name() && is_own_path && !checked.is_replaceable && !checked.may_change;
                    let indexed = plan_indexes::indexed(connection, relations, is_own_path, keep_plan).await?;
                    explanation.keep_missing(&indexed);
                }
                explanation
            } else {
                Explanation::from_ruled_postgres(plan, |name| sql.names().reads.iter().any(|(_, table)| table == name))
            };
            Ok((explanation, false))
        };
        let mut session = self;
        loop {
            let was_ahead = session.is_ahead();
            match session.within(options, end, read).await {
                Err(error) if was_ahead && is_about_objects(&error) || engine.wants_whole_path(sql, &error) => {
                    session = engine.open(&call, options, Purpose::Catalog).await?;
                }
                result => return result.map_err(|error| engine.withheld(error)),
            }
        }
    }

    pub(in crate::database) async fn list(
        self,
        _entry: &OpenEntry,
        request: &ListRequest,
        options: &ReadOptions,
    ) -> Result<TablePage, DatabaseError> {
        let settings = &self.engine.settings;
        let (hidden, shown) = (settings.hidden_schemas.clone(), settings.schemas.clone());
        let keep_plan = self.engine.may_name();
        self.within(options, options.end(), async |connection, _| {
            catalog::list(connection, hidden, shown, request, keep_plan).await.map(|page| (page, false))
        })
        .await
    }

    pub(in crate::database) async fn describe(
        self,
        _entry: &OpenEntry,
        table: &str,
        options: &ReadOptions,
    ) -> Result<TableDescription, DatabaseError> {
        let source_name = self.engine.source_name.clone();
        let keep_plan = self.engine.may_name();
        self.within(options, options.end(), async |connection, _| {
            catalog::describe(connection, table, &source_name, keep_plan).await.map(|table| (table, false))
        })
        .await
    }

    pub(in crate::database) async fn snapshot(
        self,
        _entry: &OpenEntry,
        unless: Option<&str>,
        options: &ReadOptions,
    ) -> Result<Option<Snapshot>, DatabaseError> {
        let settings = &self.engine.settings;
        let schemas = (settings.hidden_schemas.clone(), settings.schemas.clone());
        let limits = &self.engine.limits;
        let utc_offset = &self.engine.utc_offset;
        let drafts = self.within(options, options.end(), async |connection, opened| {
            let bounds = schema::Bounds {
                sampled: limits.sampled_values,
                max_bytes: limits.max_snapshot_bytes,
                rules: &settings.column_rules,
                path: &opened.schemas,
                utc_offset,
            };
            schema::snapshot(connection, schemas, &bounds, unless).await.map(|drafts| (drafts, false))
        });
        Ok(drafts.await?.map(schema::Drafts::snapshot))
    }

    /// Runs `read`. If it has not returned shortly after `end`, or if the call is cancelled, cancels the statement on
    /// the server and waits a short time for `read`. A connection whose `read` does not return in time is closed.
    ///
    /// A second transaction of [`Self::run`] or [`Self::explain`] has the same `end`.
    async fn within<T>(
        self,
        options: &ReadOptions,
        end: Instant,
        read: impl AsyncFnOnce(&mut PgConnection, &Opened) -> Result<(T, bool), DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let mut transaction = self.transaction;
        let (backend, canceller) = (transaction.backend(), transaction.canceller.clone());
        let (Some(connection), Some(opened), Some(backend)) =
            (transaction.connection.as_mut(), transaction.opened.as_ref(), backend)
        else {
            return Err(DatabaseError::Cancelled);
        };
        let limit_bytes = self.engine.limits.max_message_bytes.max(4 * options.budget.max_reply_bytes);
        let limit_ms = u64::try_from(options.time_left().as_millis()).unwrap_or(u64::MAX);
        let (result, ended_early) = {
            let reading = Bounded::new(read(connection, opened), limit_bytes);
            tokio::pin!(reading);
            let ended = tokio::select! {
                result = &mut reading => match result {
                    Ok(result) => Ok(result),
                    // The connection cannot be used again without reading the rest of the message.
                    Err(TooLarge { .. }) => Err(DatabaseError::MessageTooLarge { limit_bytes }),
                },
                () = options.cancel.cancelled() => Err(DatabaseError::Cancelled),
                () = tokio::time::sleep_until((end + SERVER_HEAD_START).into()) => Err(DatabaseError::Timeout { limit_ms }),
            };
            match ended {
                Ok(result) => (result, false),
                Err(why @ DatabaseError::MessageTooLarge { .. }) => (Err(why), true),
                Err(why) => {
                    // Cancels repeatedly, because a cancel between two statements of the read has no effect.
                    let is_sending = AtomicBool::new(false);
                    let mut cancelling = Box::pin(async {
                        loop {
                            is_sending.store(true, Ordering::Relaxed);
                            canceller.cancel(&backend).await;
                            is_sending.store(false, Ordering::Relaxed);
                            tokio::time::sleep(CANCEL_AGAIN).await;
                        }
                    });
                    let is_back = tokio::select! {
                        back = &mut reading => back.is_ok(),
                        () = &mut cancelling => false,
                        () = tokio::time::sleep(CANCEL_PATIENCE) => false,
                    };
                    // A cancel that is still under way would meet the next call on this connection.
                    let is_sent = poll_fn(|context| {
                        let _ = cancelling.as_mut().poll(context);
                        if is_sending.load(Ordering::Relaxed) { Poll::Pending } else { Poll::Ready(()) }
                    });
                    let is_clear = is_back && tokio::time::timeout(canceller.grace, is_sent).await.is_ok();
                    (Err(why), !is_clear)
                }
            }
        };
        if ended_early {
            drop(transaction);
            return result.map(|(value, _)| value);
        }
        match result {
            Ok((value, unread)) => {
                transaction.finish(unread);
                Ok(value)
            }
            Err(error) if makes_unusable(&error) => {
                drop(transaction);
                Err(error)
            }
            Err(error) => {
                transaction.finish(false);
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

/// True if the connection cannot be used again. Either it failed, or code of another user deallocated its prepared
/// statements (invalid_sql_statement_name).
fn makes_unusable(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Connection(_) => true,
        DatabaseError::Sql { sqlstate, .. } => sqlstate.as_deref() == Some("26000"),
        _ => false,
    }
}

/// True if the statement may name an object that was created or changed after its names became known.
fn is_about_objects(error: &DatabaseError) -> bool {
    let DatabaseError::Sql { sqlstate: Some(sqlstate), .. } = error else {
        return matches!(error, DatabaseError::Changing);
    };
    // undefined_table, invalid_schema_name, undefined_function, undefined_object, insufficient_privilege,
    // datatype_mismatch, cannot_coerce. A wrong column (42703) is the most frequent mistake and asks for no second look-up.
    matches!(sqlstate.as_str(), "42P01" | "3F000" | "42883" | "42704" | "42501" | "42804" | "42846")
}

/// True if an object that changed after the shape was remembered may be the cause.
fn is_about_shape(error: &DatabaseError) -> bool {
    let DatabaseError::Sql { sqlstate: Some(sqlstate), message, .. } = error else {
        return matches!(error, DatabaseError::Changing);
    };
    // The server's message (XX000) for an object that another session dropped while the statement was parsed.
    if message.contains("cache lookup failed") {
        return true;
    }
    // feature_not_supported ("cached plan must not change result type"), undefined_column, invalid_column_reference
    // (too many column aliases), datatype_mismatch, cannot_coerce, undefined_table and invalid_schema_name (TUDB adds
    // the schemas of tables to the text), undefined_function, undefined_object.
    matches!(sqlstate.as_str(), "0A000" | "42703" | "42P10" | "42804" | "42846" | "42P01" | "3F000" | "42883" | "42704")
}

//! The PostgreSQL engine: each read in a read-only transaction of its own, always rolled back.
//!
//! One fixed message of TUDB's own opens the transaction, sets its limits and reads the backend's pid; the caller's
//! text follows by the extended protocol only, wrapped in a sub-query; the rollback runs after the reply. A connection
//! that is dropped in the middle of a transaction is closed, never used again, and its statement is cancelled on the
//! server. It approves nothing itself.

mod catalog;
mod password;
mod refused;
mod ruled;
mod server;
mod session;
mod statement;
mod types;
mod vouching;
mod ways;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgErrorPosition, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, Postgres, Row};

use self::password::PasswordSource;
pub use self::server::ServerReport;
use self::session::Held;
pub use self::session::PostgresSession;
use self::statement::Shapes;
use self::types::TypeNames;
use self::ways::{NoWay, Ways};
use super::presets::Preset;
use super::target::{PostgresTarget, ServerRole};
use super::value::cut;
use super::{DatabaseError, ReadOptions};
use crate::config::SourceConfig;
use crate::guard::QualifiedSql;
use crate::guard::columns::ColumnRules;
use crate::limits::Limits;

/// How long a lock may be waited for.
const LOCK_TIMEOUT_MS: u64 = 5_000;
/// Bytes of the database's own words that a reply repeats: an error can quote a value of any size.
const MAX_MESSAGE_BYTES: usize = 1_000;

/// One PostgreSQL source and the connections to it.
#[derive(Debug)]
pub struct PostgresEngine {
    source_name: String,
    pool: PgPool,
    canceller: Canceller,
    settings: Box<Settings>,
    limits: Limits,
    preset: &'static Preset,
    pooled: bool,
    has_password: bool,
    /// Where the password comes from, when it is asked for again.
    password: Option<PasswordSource>,
    ways: Ways,
    shapes: Arc<Shapes>,
    server: OnceLock<ServerReport>,
    place: String,
    types: TypeNames,
}

/// What the opening message sets, besides the limits.
#[derive(Debug)]
struct Settings {
    time_zone: String,
    schemas: Vec<String>,
    hidden_schemas: Vec<String>,
    /// Functions that the configuration vouches for, as `schema.name`.
    allow_functions: Vec<String>,
    column_rules: ColumnRules,
    require_safe_role: bool,
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
            .connect_lazy_with(target.first().clone());
        let canceller = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(Duration::from_secs(10))
            .acquire_timeout(Duration::from_millis(limits.cancel_grace_ms))
            .connect_lazy_with(target.first().clone());
        let mut hidden_schemas = source.hidden_schemas.clone();
        hidden_schemas.extend(target.preset.hidden_schemas.iter().map(|schema| (*schema).to_owned()));
        PostgresEngine {
            source_name: source.name.clone(),
            pool,
            canceller: Canceller { pool: canceller, grace: Duration::from_millis(limits.cancel_grace_ms) },
            settings: Box::new(Settings {
                time_zone: source.time_zone.clone(),
                schemas: source.schemas.clone(),
                hidden_schemas,
                allow_functions: source.allow_functions.clone(),
                column_rules: source.column_rules.clone(),
                require_safe_role: source.require_safe_role,
            }),
            preset: target.preset,
            pooled: target.pooled,
            has_password: target.has_password,
            password: source.password.clone().map(PasswordSource::new),
            ways: Ways::new(
                target.ways,
                target.role,
                target.choose_first,
                Duration::from_millis(limits.connect_timeout_ms),
            ),
            shapes: Arc::default(),
            server: OnceLock::new(),
            place: target.place,
            types: TypeNames::default(),
            limits,
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
                    self.look_at_role(&mut held).await?;
                    return Ok(PostgresSession { engine: self, held });
                }
                Ok(Err(error)) if is_broken(&error) => last = Some(error),
                Ok(Err(error)) => return Err(self.connect_error(error)),
                Err(_) => break,
            }
        }
        Err(last.map_or_else(|| self.unreachable(), |error| self.connect_error(error)))
    }

    /// Says once what the login role could do, and refuses it where the configuration wants a safe one.
    async fn look_at_role(&self, held: &mut Held) -> Result<(), DatabaseError> {
        let report = match (self.server.get(), held.connection.as_mut()) {
            (Some(report), _) => report,
            (None, None) => return Ok(()),
            (None, Some(connection)) => {
                let report = ServerReport::read(connection).await?;
                if !report.is_safe() {
                    tracing::warn!(
                        source = self.source_name,
                        "{}. `tudb doctor` prints the SQL for a role that can only read",
                        report.summary()
                    );
                }
                self.server.get_or_init(|| report)
            }
        };
        if self.settings.require_safe_role && !report.is_safe() {
            return Err(DatabaseError::UnsafeRole {
                source_name: self.source_name.clone(),
                summary: report.summary(),
                remedy: report.remedy(),
            });
        }
        Ok(())
    }

    /// What the server is and what its role could do; known after the first connection.
    pub fn server(&self) -> Option<&ServerReport> {
        self.server.get()
    }

    /// Where it connects to and how, in words.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// TUDB's own text, from configuration and the call's id alone: BEGIN, every setting local to the transaction, and
    /// the pid. The SELECT is the transaction's first query, after which it cannot be made read-write any more. SET
    /// LOCAL is a third cheaper than as many set_config calls (pgbench, PostgreSQL 15).
    fn opening_message(&self, application_name: &str, timeout: Duration) -> String {
        let timeout_ms = timeout.as_millis().max(1);
        let lock_timeout_ms = LOCK_TIMEOUT_MS.min(self.limits.statement_timeout_ms);
        let (time_zone, application_name) = (literal(&self.settings.time_zone), literal(application_name));
        let search_path = if self.settings.schemas.is_empty() {
            "'pg_catalog'||coalesce(', '||nullif(current_setting('search_path'),''),'')||', pg_temp'".to_owned()
        } else {
            let quoted: Vec<String> =
                self.settings.schemas.iter().map(|schema| format!("\"{}\"", schema.replace('"', "\"\""))).collect();
            literal(&format!("pg_catalog, {}, pg_temp", quoted.join(", ")))
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

    /// A connection of the pool, by another way when the one in use does not work any more.
    async fn acquire(&self) -> Result<PoolConnection<Postgres>, DatabaseError> {
        self.refresh_password(false).await?;
        if self.ways.is_open() {
            self.choose_way().await?;
        }
        let mut error = match self.pool.acquire().await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        // It may have been changed since it was asked for.
        if ways::is_password(&error) && self.refresh_password(true).await? {
            error = match self.pool.acquire().await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
        }
        let in_use = self.pool.size() >= self.limits.max_connections && self.pool.num_idle() == 0;
        if matches!(error, sqlx::Error::PoolTimedOut) && in_use {
            return Err(DatabaseError::NoConnection {
                source_name: self.source_name.clone(),
                waited_ms: self.limits.acquire_timeout_ms,
            });
        }
        // The pool tells a server that refuses connections and one that is silent the same way: one more try tells
        // which, and whether another way works.
        if ways::is_password(&error) || !matches!(error, sqlx::Error::PoolTimedOut) && !self.ways.are_several() {
            return Err(self.connect_error(error));
        }
        self.choose_way().await?;
        self.pool.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => self.unreachable(),
            error => self.connect_error(error),
        })
    }

    /// Gives new connections a new password when it is time for one; says whether it did.
    async fn refresh_password(&self, anew: bool) -> Result<bool, DatabaseError> {
        let (Some(source), Some(way)) = (&self.password, self.ways.current()) else { return Ok(false) };
        let fresh = source.fresh(way.get_host(), way.get_port(), way.get_username(), anew).await;
        let fresh =
            fresh.map_err(|problem| DatabaseError::Config { source_name: self.source_name.clone(), problem })?;
        let Some(password) = fresh else { return Ok(false) };
        self.ways.set_password(&password);
        self.use_way(way.password(password.reveal()));
        Ok(true)
    }

    fn use_way(&self, way: PgConnectOptions) {
        self.canceller.pool.set_connect_options(way.clone());
        self.pool.set_connect_options(way);
    }

    /// Chooses the way that new connections take.
    async fn choose_way(&self) -> Result<(), DatabaseError> {
        match self.ways.choose().await {
            Ok(way) => {
                self.use_way(way);
                Ok(())
            }
            Err(NoWay::Failed(error)) => Err(self.connect_error(error)),
            Err(NoWay::Silent) => Err(self.unreachable()),
            Err(NoWay::WrongRole(role)) => Err(DatabaseError::Unreachable {
                source_name: self.source_name.clone(),
                hint: format!(
                    "Servers of its list answer, but none is a {}, which target_session_attrs asks for.",
                    if role == ServerRole::Standby { "standby" } else { "primary" }
                ),
            }),
        }
    }

    fn unreachable(&self) -> DatabaseError {
        refused::unreachable(self.source_name.clone(), self.preset.unreachable)
    }

    fn connect_error(&self, error: sqlx::Error) -> DatabaseError {
        refused::explain(error, &self.source_name, self.preset, self.has_password)
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
        self.canceller.pool.close().await;
    }
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

/// A string literal for TUDB's own settings.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The database's own words about a statement. `sent` is the number of characters before the caller's text, and that
/// text as it was sent, so that a position can be told in the caller's own.
fn sql_error(error: sqlx::Error, sent: Option<(usize, &QualifiedSql)>) -> DatabaseError {
    let sqlx::Error::Database(refused) = &error else { return DatabaseError::Connection(error) };
    let Some(refused) = refused.try_downcast_ref::<PgDatabaseError>() else {
        return DatabaseError::Connection(error);
    };
    if is_broken(&error) {
        return DatabaseError::Connection(error);
    }
    let position = match (refused.position(), sent) {
        (Some(PgErrorPosition::Original(at)), Some((before, sql))) => {
            at.checked_sub(before).and_then(|at| sql.original_position(at)).map(|at| at as u64)
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

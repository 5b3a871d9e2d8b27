//! The PostgreSQL engine: each read runs in its own read-only transaction, which is always rolled back.
//!
//! A fixed message of TUDB opens the transaction, sets its limits and reads the pid of the backend. The caller's text
//! follows later, by the extended protocol. Only EXPLAIN of a statement with parameters uses the simple protocol. The
//! caller's text is run only as a sub-query of TUDB's statement. The rollback runs after the reply, or in the message
//! that opens the transaction of a call that waits for the connection. A connection that is dropped inside a
//! transaction is closed and never used again, and its statement is cancelled on the server. The engine approves no
//! statement itself.

mod canceller;
mod catalog;
mod catalog_check;
mod column_rules;
mod connect;
mod connect_error;
mod endpoints;
mod expansion;
mod finding;
mod left_out;
mod look_up;
mod lossy;
mod password;
mod plain;
mod plain_names;
mod plan_indexes;
mod pooler_proof;
mod probe;
mod recent;
mod schema;
mod server;
mod session;
mod shapes;
mod statement;
mod user_role;
mod value_kinds;
mod verdict;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgDatabaseError, PgErrorPosition, PgPool, PgPoolOptions, PgSeverity};
use tokio::sync::Semaphore;

use self::canceller::Canceller;
#[cfg(test)]
pub(in crate::database) use self::catalog_check::REG_TYPES;
use self::catalog_check::Vouched;
use self::endpoints::Endpoints;
use self::password::PasswordSource;
use self::recent::Recent;
pub use self::server::ServerReport;
pub use self::session::PostgresSession;
use self::shapes::Shapes;
use self::value_kinds::TypeNames;
use super::DatabaseError;
use super::presets::Preset;
use super::target::PostgresTarget;
use super::value::cut;
use crate::config::SourceConfig;
use crate::guard::QualifiedSql;
use crate::guard::columns::ColumnRules;
use crate::limits::Limits;
use crate::quoting;

/// The path under which TUDB's own statements are parsed. It contains no schema of a user, so no user's function or
/// operator can be chosen for a name in them.
const OWN_PATH: &str = "pg_catalog, pg_temp";

/// Opens a transaction, whatever the defaults are. The role, the database or another client of a pooler can set them.
///
/// Under REPEATABLE READ or SERIALIZABLE, a look-up would read the catalog as it was at the beginning of the transaction,
/// but the server parses a statement with the newest catalog. A deferrable transaction waits for those of other users.
const BEGIN_ALONE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED,READ ONLY,NOT DEFERRABLE";

/// Opens a transaction of TUDB's own on a connection that no caller uses: [`BEGIN_ALONE`], the role of the login and the
/// path. Behind a pooler another client may have left any setting and any role in the session. The login may also have a
/// default role, which may neither see nor cancel the statements of the login.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED,READ ONLY,NOT DEFERRABLE;RESET ALL;\
    SET LOCAL SESSION AUTHORIZATION DEFAULT;SET LOCAL role=none;SET LOCAL search_path=pg_catalog,pg_temp";

/// The `search_path` of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SearchPath {
    /// [`OWN_PATH`], for catalog reads and for the checks before a caller's text.
    Own,
    /// [`OWN_PATH`], for a remembered text of a caller that needs no schema of a user.
    OwnForCaller,
    /// The path of the role or of the source's settings, for a caller's text only.
    Callers,
}

/// Returns the text of a `search_path` in which built-ins come first.
fn path_of(schemas: &[String]) -> String {
    let quoted = schemas.iter().filter(|schema| *schema != "pg_catalog" && !schema.starts_with("pg_temp"));
    let quoted: Vec<String> = quoted.map(|schema| quoting::quoted_name(schema)).collect();
    let middle = if quoted.is_empty() { String::new() } else { format!("{}, ", quoted.join(", ")) };
    format!("{middle}pg_temp")
}

/// A custom setting that marks a session in which TUDB has made its settings. No other process knows its value, but
/// code that runs in such a session can read it.
const SESSION_MARK: &str = "tudb.session";

/// See [`PostgresEngine::prepared`]. Every name has its schema, because the column is parsed under the role's own path.
const PREPARED: &str = ",EXISTS(SELECT FROM pg_catalog.pg_prepared_statement() s WHERE s.from_sql) AS is_prepared";

/// How long settings hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Transaction,
    Session,
}

/// Longest wait for a lock.
const LOCK_TIMEOUT_MS: u64 = 5_000;

/// Maximum bytes of an error message of the database in a reply. An error can quote a value of any size.
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
    /// True behind a pooler in transaction mode, known from the settings or detected.
    pooled: AtomicBool,
    /// True if there is certainly no such pooler, known from the settings or the host name, or proved.
    direct: AtomicBool,
    /// True if the server sees the very socket of this process, so that no pooler and no other server is between.
    proved: AtomicBool,
    /// Whether BEGIN is a message of its own, as pgpool-II needs it.
    splits_begin: AtomicBool,
    /// Value of [`SESSION_MARK`]. Code that runs in a session can read it, so it is not the mark of the look-ups.
    session_mark: String,
    has_password: bool,
    sslmode: Option<&'static str>,
    /// Set if the password is read again while TUDB runs.
    password: Option<PasswordSource>,
    endpoints: Endpoints,
    /// Longest wait for a connection.
    patience: Duration,
    /// One permit for each connection that may be in use. A backend that does not end keeps its permit.
    permits: Arc<Semaphore>,
    /// Cloned for each connection in use, so their number is the reference count minus one.
    connections_in_use: Arc<()>,
    /// Cloned for each read that is going on, its rollback included. A read that waits for its backend to end does not
    /// count.
    reading: Arc<()>,
    recent: Arc<Recent>,
    /// Number of permits that are taken away for a while, because the server lets in no more connections.
    given_up: Arc<AtomicUsize>,
    shapes: Shapes,
    server: OnceLock<Box<ServerReport>>,
    /// Locked by the call that inspects the server first.
    looking: tokio::sync::Mutex<()>,
    place: String,
    types: TypeNames,
    /// Distance of the source's time zone from UTC in seconds, as the last look at the schema found it.
    utc_offset: AtomicI32,
}

/// What the opening message sets, besides the limits.
#[derive(Debug)]
struct Settings {
    /// The time zone from the source's settings. `None` means the server's own.
    time_zone: Option<String>,
    schemas: Vec<String>,
    hidden_schemas: Vec<String>,
    vouched: Vouched,
    column_rules: ColumnRules,
    require_safe_role: bool,
}

impl PostgresEngine {
    /// Creates an engine; it connects on first use.
    pub fn new(source: &SourceConfig, target: PostgresTarget) -> Self {
        let limits = source.limits.clone();
        let patience_ms = if target.preset.sleeps { limits.wake_timeout_ms } else { limits.connect_timeout_ms };
        let patience = Duration::from_millis(patience_ms);
        let ping_after = Duration::from_millis(limits.ping_after_idle_ms);
        let pool = PgPoolOptions::new()
            .max_connections(limits.max_connections)
            .min_connections(0)
            .acquire_timeout(patience)
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
                vouched: Vouched::new(
                    source.allow_functions.clone(),
                    source.allow_extensions.clone(),
                    source.allow_foreign_tables,
                    !source.column_rules.is_empty(),
                ),
                column_rules: source.column_rules.clone(),
                require_safe_role: source.require_safe_role,
            }),
            preset: target.preset,
            pooled: AtomicBool::new(target.pooled),
            direct: AtomicBool::new(target.direct),
            proved: AtomicBool::new(false),
            splits_begin: AtomicBool::new(false),
            session_mark: uuid::Uuid::now_v7().to_string(),
            has_password: target.has_password,
            sslmode: target.sslmode,
            password: source.password.clone().map(PasswordSource::new),
            endpoints: Endpoints::new(target.endpoints, target.role, target.choose_first, patience),
            patience,
            connections_in_use: Arc::default(),
            given_up: Arc::default(),
            reading: Arc::default(),
            recent: Arc::default(),
            permits: Arc::new(Semaphore::new(limits.max_connections as usize)),
            shapes: Shapes::default(),
            server: OnceLock::new(),
            looking: tokio::sync::Mutex::new(()),
            place: target.place,
            types: TypeNames::default(),
            utc_offset: AtomicI32::new(0),
            limits,
        }
    }

    /// Returns the report on the server and its role; `None` before the first connection.
    pub fn server(&self) -> Option<&ServerReport> {
        self.server.get().map(AsRef::as_ref)
    }

    /// True if the cause of the error has passed, so the read may run again. Reads change nothing. If the error shows
    /// an undetected pooler, the source counts as pooled from now on.
    pub(super) fn is_retryable(&self, sqlstate: &str) -> bool {
        match sqlstate {
            // A standby cancelled the statement because it had to apply a change to the same data. At isolation level
            // READ COMMITTED there is no other cause.
            "40001" => true,
            // A deadlock between a lock of the look-up and another session.
            "40P01" => true,
            // On a direct connection, code of another user deallocated the statements of the session, which is closed.
            // The code may have run in the other idle sessions too.
            "26000" if self.is_direct() => {
                self.drop_idle();
                true
            }
            // A named statement is missing, exists already or is another one: a pooler that was not detected shares
            // backends.
            "26000" | "42P05" | "08P01" if !self.is_direct() => {
                self.pooled.store(true, Ordering::Relaxed);
                true
            }
            _ => false,
        }
    }

    fn is_direct(&self) -> bool {
        self.direct.load(Ordering::Relaxed)
    }

    fn splits_begin(&self) -> bool {
        self.splits_begin.load(Ordering::Relaxed)
    }

    fn is_pooled(&self) -> bool {
        self.pooled.load(Ordering::Relaxed)
    }

    /// True if statements may be prepared by name across transactions. Behind a pooler the name could stand for another
    /// client's statement, and its rows would be the answer. So it must be certain that there is no pooler.
    fn may_name(&self) -> bool {
        self.is_direct() && !self.is_pooled()
    }

    /// Returns the schemas that lists and snapshots leave out.
    pub fn hidden_schemas(&self) -> &[String] {
        &self.settings.hidden_schemas
    }

    /// Returns what is wrong with the encryption of a connection to another machine, and the remedy.
    pub fn unverified(&self) -> Option<&'static str> {
        match self.sslmode? {
            "disable" | "allow" | "prefer" => {
                Some("the connection may be unencrypted: set sslmode=verify-full, or at least sslmode=require")
            }
            "require" => Some(
                "encrypted, but the server's identity is not checked: set sslmode=verify-full, and sslrootcert if its \
                 certificate is not from a public authority",
            ),
            "verify-ca" => Some("the host name is not checked: set sslmode=verify-full"),
            _ => None,
        }
    }

    /// The time zone in which the server reads and shows timestamps with a time zone.
    pub fn time_zone(&self) -> String {
        let own = || self.server().map(|server| server.own_settings.time_zone.clone());
        self.settings.time_zone.clone().or_else(own).unwrap_or_else(|| "UTC".to_owned())
    }

    /// Distance of [`Self::time_zone`] from UTC in seconds, as of the last look at the schema.
    pub fn utc_offset(&self) -> i32 {
        self.utc_offset.load(Ordering::Relaxed)
    }

    /// The name of the provider's preset.
    pub fn provider(&self) -> &'static str {
        self.preset.name
    }

    /// Returns a text that says where the engine connects to and how, without a secret.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Returns the message that opens a transaction: BEGIN, settings local to the transaction, and a SELECT of the pid
    /// and the path. The text is made of the configuration, the time limit, the call's id and settings that the server
    /// reported. It contains no text of a caller.
    ///
    /// The SELECT is the first query of the transaction, after which the transaction can no longer become read-write.
    /// SET LOCAL is a third cheaper than as many calls of set_config (pgbench, PostgreSQL 15).
    ///
    /// The SELECT is parsed under the role's own `search_path`, so it names every function with its schema and contains
    /// no operator and no cast. It also reads the schemas of the caller's path and sets the wanted path.
    fn opening_message(&self, application_name: &str, timeout: Duration, path: SearchPath) -> String {
        format!(
            "{begin}SELECT pg_catalog.pg_backend_pid(),{callers},pg_catalog.current_setting('{SESSION_MARK}',true){own}{prepared}",
            begin = self.begin_message(application_name, timeout),
            callers = self.callers_path(),
            prepared = self.prepared(),
            own = match path {
                // One plan is kept for each look-up: planning it takes longer than running it.
                SearchPath::Own => format!(
                    ",pg_catalog.current_setting('plan_cache_mode'),\
                     pg_catalog.set_config('plan_cache_mode','force_generic_plan',true),\
                     pg_catalog.set_config('search_path','{OWN_PATH}',true)"
                ),
                SearchPath::OwnForCaller => {
                    format!(",pg_catalog.set_config('search_path','{OWN_PATH}',true)")
                }
                SearchPath::Callers => String::new(),
            },
        )
    }

    /// Returns a column of the opening messages: whether a statement was prepared by SQL in this session. TUDB's own
    /// PREPARE ends within its transaction. Code of another user, in a policy for example, can leave a statement behind. If
    /// that statement has the name of one of TUDB's, it answers in its place. Unless the connection is certainly direct,
    /// TUDB's statements have no names, and such a statement may be another client's.
    fn prepared(&self) -> &'static str {
        if self.may_name() { PREPARED } else { "" }
    }

    /// The first part of the opening message, which returns no row.
    fn begin_message(&self, application_name: &str, timeout: Duration) -> String {
        let timeout_ms = timeout.as_millis().max(1);
        let application_name = quoting::literal(application_name);
        // Settings of the session are made once, on a connection that is certainly not shared through a pooler. In another
        // session, another client may have left any setting, also one that a policy reads. RESET ALL lasts until the
        // rollback. It does not reset the role, nor the user that a superuser's session took on.
        let (reset, settings) = if self.has_session_settings() {
            ("", String::new())
        } else {
            (
                "RESET ALL;SET LOCAL SESSION AUTHORIZATION DEFAULT;SET LOCAL role=DEFAULT;",
                self.settings(Scope::Transaction),
            )
        };
        format!(
            "{BEGIN_ALONE};{reset}SET LOCAL statement_timeout={timeout_ms};{settings}SET LOCAL application_name={application_name};"
        )
    }

    /// Replaces the error of a function on a source with rules. The message, the hint and the SQLSTATE of such an error are
    /// the function's own choice, so they may hold values that the rules hide.
    fn withheld(&self, error: DatabaseError) -> DatabaseError {
        match error {
            DatabaseError::Sql { in_function: true, .. } if self.settings.vouched.judges_owners_code => {
                DatabaseError::Sql {
                    message: "a function failed; its message is not shown, because this source has rules".to_owned(),
                    hint: Some("The message is in the log of the database server.".to_owned()),
                    sqlstate: None,
                    position: None,
                    in_function: true,
                }
            }
            error => error,
        }
    }

    /// True if the settings that never change are made for the session. Behind a pooler, another client may use the
    /// same session next.
    fn has_session_settings(&self) -> bool {
        self.may_name() && self.server().is_some()
    }

    /// Returns the statement that makes a session's settings, with its mark.
    fn session_message(&self) -> String {
        format!("{}SET {SESSION_MARK}={}", self.settings(Scope::Session), quoting::literal(&self.session_mark))
    }

    /// Returns the settings that are the same for every transaction, as statements.
    fn settings(&self, scope: Scope) -> String {
        let lock_timeout_ms = LOCK_TIMEOUT_MS.min(self.limits.statement_timeout_ms);
        let idle_ms = self.limits.ask_timeout_ms.max(self.limits.statement_timeout_ms) + 10_000;
        let own = self.server().map(|server| &server.own_settings);
        let date_style = format!("'ISO, {}'", own.map_or("MDY", |own| own.order_of_fields));
        // `sql_standard` also changes how intervals are read, so it is kept. The other styles only change how they are
        // written.
        let is_standard = own.is_some_and(|own| own.interval_style.eq_ignore_ascii_case("sql_standard"));
        let mut settings = vec![
            ("lock_timeout", lock_timeout_ms.to_string()),
            ("idle_in_transaction_session_timeout", idle_ms.to_string()),
            ("TimeZone", quoting::literal(&self.time_zone())),
            ("DateStyle", date_style),
            ("IntervalStyle", if is_standard { "sql_standard" } else { "postgres" }.to_owned()),
            ("bytea_output", "hex".to_owned()),
            ("extra_float_digits", "1".to_owned()),
            // Otherwise types come as `"text"[]`, and identities of functions match no entry of the settings.
            ("quote_all_identifiers", "off".to_owned()),
            ("standard_conforming_strings", "on".to_owned()),
            // Otherwise the planner would evaluate the constant parts of CHECKs of children and partitions.
            ("constraint_exclusion", "off".to_owned()),
            // Compilation does not react to a cancel, and nothing bounds its memory. A statement of 1,500 bytes took
            // 540 MB, and a harmless one of 5 KB took 78 s instead of 2 s.
            ("jit", "off".to_owned()),
            // The planner tries every order of eight tables. For eleven tables that are joined by equal keys, this
            // takes 1.2 GB. The other search (GEQO) takes a few MB, and the guard relies on it. See also
            // `limit_planner`.
            ("geqo", "on".to_owned()),
            ("geqo_threshold", "9".to_owned()),
        ];
        // An index-only scan returns rows in the order of the index, which would reveal the ranking of a ruled column.
        if !self.settings.column_rules.is_empty() {
            settings.push(("enable_indexonlyscan", "off".to_owned()));
        }
        // The planner then refuses a foreign table, also one that its owner attaches to another table after the look-up.
        let restricted = self.server().and_then(|server| server.restricted_relations.as_deref());
        if let Some(restricted) = restricted.filter(|_| !self.settings.vouched.foreign_tables) {
            let views = if restricted.contains("view") { "view, " } else { "" };
            settings.push(("restrict_nonsystem_relation_kind", format!("'{views}foreign-table'")));
        }
        // A database with the encoding SQL_ASCII does not know the encoding of its texts. With another client encoding,
        // it refuses to send texts that are not valid in it.
        if self.server().is_some_and(|server| server.encoding == "SQL_ASCII") {
            settings.push(("client_encoding", "SQL_ASCII".to_owned()));
        } else if scope == Scope::Transaction {
            // After RESET ALL the encoding is the one that the pooler asked for when it connected.
            settings.push(("client_encoding", "UTF8".to_owned()));
        }
        // From version 14 on the server can check at this interval whether the client is still connected. This is set
        // only for direct connections: a proxy may close one half of a silent connection while the answer is still
        // awaited, and the server would take the client for lost.
        if self.is_direct() && self.server().is_some_and(|server| server.major().is_some_and(|major| major >= 14)) {
            settings.push(("client_connection_check_interval", "1000".to_owned()));
        }
        let set = if scope == Scope::Session { "SET" } else { "SET LOCAL" };
        settings.into_iter().fold(String::new(), |mut text, (name, value)| {
            let _ = write!(text, "{set} {name}={value};");
            text
        })
    }

    /// Returns three items of a select list: the path as it is set, the path for the caller's text (set by the same
    /// expression), and the schemas of that path.
    ///
    /// The path that the server reports never becomes part of a statement, because an administrator may have set it to
    /// any text. The path that TUDB sets is made of the quoted names of its schemas.
    fn callers_path(&self) -> String {
        let path = if self.settings.schemas.is_empty() {
            // If the path has no existing schema, the pattern does not match, and concat_ws leaves out the NULL.
            "pg_catalog.concat_ws(', ',pg_catalog.\"substring\"(pg_catalog.array_to_string(ARRAY(\
             SELECT pg_catalog.format('%I',s) FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) s \
             WHERE pg_catalog.nameregexne(s,'^pg_(catalog$|temp)')),', '),'.+'),'pg_temp')"
                .to_owned()
        } else {
            quoting::literal(&path_of(&self.settings.schemas))
        };
        format!(
            "pg_catalog.current_setting('search_path'),pg_catalog.set_config('search_path',{path},true),\
             pg_catalog.array_to_json(pg_catalog.current_schemas(true))"
        )
    }

    pub(super) async fn close(&self) {
        while let Some(idle) = self.recent.take() {
            drop(idle);
        }
        self.pool.close().await;
        self.canceller.pool.close().await;
    }
}

/// True if the connection is lost. False if the server only rejected the statement.
fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        // admin_shutdown, crash_shutdown, cannot_connect_now; timeouts of an idle session, an idle transaction and a
        // transaction. A function may raise these codes too, but it cannot end the session (FATAL).
        sqlx::Error::Database(error) => {
            let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
            matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
                && matches!(error.code().as_deref(), Some("57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04"))
        }
        _ => false,
    }
}

/// Converts an error of the database into [`DatabaseError::Sql`], or [`DatabaseError::Connection`] if the connection is
/// lost. `sent` holds the number of characters before the caller's text, and that text as it was sent. With it the
/// position is given in the caller's own text.
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
        // The server names the functions that were running in the context of the error, one a line. The context of bad JSON
        // is the place in the JSON.
        in_function: refused
            .r#where()
            .is_some_and(|place| !place.starts_with("JSON data, line ") || place.contains('\n')),
    }
}

/// Returns the statement that sets the path for a caller's text. After this statement, names without a schema are
/// resolved by that path.
fn under_path(path: &str) -> String {
    format!("SET LOCAL search_path = {path}")
}

//! Takes a connection for a read, from the pool or newly opened, and sends TUDB's opening message on it. Explains the
//! error when no connection can be had. No SQL of the caller is sent here. Of the call, only its id and the role and
//! claims of its user are sent. So every step may be repeated.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Executor, Row};

use super::endpoints::{self, ConnectFailure};
use super::recent::{Idle, Known};
use super::session::{OpenTransaction, Opened, Permit, PostgresSession};
use super::{
    BEGIN_ALONE, OWN_PATH, PREPARED, PostgresEngine, SESSION_MARK, SearchPath, ServerReport, connect_error, is_broken,
    path_of, pooler_proof, under_path,
};
use crate::database::target::ServerRole;
use crate::database::{DatabaseError, Identity, Purpose, ReadOptions};

/// Interval at which the endpoints are probed while a read waits for the pool. The pool retries without saying why it
/// waits.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long connection attempts may be refused by a server that TUDB never reached. A server that TUDB reached before
/// may be restarting. For such a server TUDB waits as long as for any connection.
const NEVER_REACHED: Duration = Duration::from_secs(3);

/// Pause before another attempt after a connection broke while it was opened.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Maximum number of further pauses while a server closes each new connection.
const CLOSED_PAUSES: u32 = 5;

/// How long a source uses one connection fewer after the server accepted no more connections.
const GIVEN_UP_FOR: Duration = Duration::from_secs(60);

/// The server's error `too_many_connections`.
const TOO_MANY_CONNECTIONS: &str = "53300";

/// Hint for a server that accepts the connection and then does not answer.
const NO_ANSWER: &str =
    "The server accepts connections but does not answer: all backends of its pooler may be in use, or it hangs.";

/// Why a transaction could not be opened on a connection.
pub(super) enum NotOpened {
    Failed(sqlx::Error),
    /// Another connection would be refused for the same reason.
    Refused(DatabaseError),
}

impl From<sqlx::Error> for NotOpened {
    fn from(error: sqlx::Error) -> Self {
        NotOpened::Failed(error)
    }
}

/// Why the pool gave no connection.
enum NoConnection {
    /// All connections of the source are in use.
    AllTaken,
    ConnectFailure(ConnectFailure),
    Failed(sqlx::Error),
}

impl PostgresEngine {
    /// Takes a connection and opens the read-only transaction. The wait ends at the caller's deadline and on
    /// cancellation.
    pub(in crate::database) async fn open(
        &self,
        call: &str,
        options: &ReadOptions,
        purpose: Purpose<'_>,
    ) -> Result<PostgresSession<'_>, DatabaseError> {
        let path = self.first_path(purpose, options);
        let end = async {
            match options.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            opened = self.open_in_time(call, options, path) => opened,
            () = options.cancel.cancelled() => Err(DatabaseError::Cancelled),
            () = end => Err(self.unreachable()),
        }
    }

    async fn open_in_time(
        &self,
        call: &str,
        options: &ReadOptions,
        path: SearchPath,
    ) -> Result<PostgresSession<'_>, DatabaseError> {
        let application_name = format!("tudb/{} {call}", env!("CARGO_PKG_VERSION"));
        // Behind a pooler the opening message may wait as long as a new connection does. The first inspection of the
        // server is slow too.
        let is_slow = self.is_pooled() || self.server.get().is_none();
        let patience = if is_slow { self.patience } else { Duration::from_millis(self.limits.opening_timeout_ms) };
        // An idle connection may have broken without notice. All idle connections may have broken at once, so there is
        // one attempt more than there are connections.
        let (mut last, mut was_silent) = (None, false);
        for _ in 0..=self.limits.max_connections {
            let mut permit = self.permit().await?;
            let Some(idle) = self.acquire().await? else {
                self.give_up(permit);
                continue;
            };
            let (connection, known, is_open) = idle.into_parts();
            permit.in_use = Some(Arc::clone(&self.connections_in_use));
            // A remembered statement may run unchecked only for a short time. The wait for a connection may have been longer.
            let path = if self.shapes.is_due() { SearchPath::Own } else { path };
            let mut transaction = OpenTransaction {
                connection,
                opened: None,
                known,
                is_open,
                application_name: application_name.clone(),
                seen_at: None,
                canceller: self.canceller.clone(),
                permit: Some(permit),
                is_large: false,
                reading: Some(Arc::clone(&self.reading)),
                recent: Arc::clone(&self.recent),
            };
            // The inspection and the opening have a timeout each, because both may wait in a pooler's queue.
            let looked = match self.server.get() {
                None => {
                    let look = async {
                        // One call inspects the server. The other calls wait for its result.
                        let _turn = self.looking.lock().await;
                        match self.server.get() {
                            None => Box::pin(self.look_at_server(&mut transaction, options.identity.as_ref())).await,
                            Some(_) => Ok(()),
                        }
                    };
                    tokio::time::timeout(patience, look).await
                }
                Some(_) => Ok(Ok(())),
            };
            let opened = match looked {
                Ok(Ok(())) => {
                    let open = self.begin_for(&mut transaction, &application_name, options, path);
                    tokio::time::timeout(patience, open).await
                }
                failed => failed,
            };
            match opened {
                Ok(Ok(())) => {
                    transaction.seen_at = self.proved.load(Ordering::Relaxed).then(Instant::now);
                    self.judge_role()?;
                    return Ok(PostgresSession { engine: self, transaction });
                }
                // The transaction of an earlier call may have a limit of its own, which ends the message that rolls it back.
                Ok(Err(NotOpened::Failed(error)))
                    if is_open
                        || is_broken(&error)
                        || self.is_forgotten(&error)
                        || connect_error::is_cancelled(&error) =>
                {
                    last = Some(error)
                }
                Ok(Err(NotOpened::Failed(error))) => return Err(self.connect_error(error)),
                Ok(Err(NotOpened::Refused(error))) => return Err(error),
                // The network may have failed while the connection was idle. Then the other idle connections are broken
                // too, so all are closed.
                Err(_) if !is_slow && !was_silent => {
                    was_silent = true;
                    self.drop_idle();
                }
                Err(_) => return Err(connect_error::unreachable(self.source_name.clone(), NO_ANSWER)),
            }
        }
        Err(last.map_or_else(|| self.unreachable(), |error| self.connect_error(error)))
    }

    /// True if the session has lost its prepared statements. On a direct connection, code of another user may have
    /// removed them, also in other idle sessions, which are closed then. Otherwise the source counts as pooled from now
    /// on.
    fn is_forgotten(&self, error: &sqlx::Error) -> bool {
        let sqlstate = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        sqlstate.is_some_and(|sqlstate| sqlstate == "26000" && self.is_retryable(&sqlstate))
    }

    /// Opens the transaction of one call and takes on the role of its user, if it has one.
    async fn begin_for(
        &self,
        transaction: &mut OpenTransaction,
        application_name: &str,
        options: &ReadOptions,
        path: SearchPath,
    ) -> Result<(), NotOpened> {
        let Some(connection) = transaction.connection.as_mut() else { return Err(sqlx::Error::WorkerCrashed.into()) };
        transaction.known.take_if(|known| !self.may_use(known, options, path));
        if let Some(known) = &transaction.known {
            let opened = Opened { path, is_short: true, ..known.opened.clone() };
            let message = self.begin_message(application_name, options.time_left());
            // The transaction of an earlier call may still be open on the connection.
            let rollback = if transaction.is_open { "ROLLBACK;" } else { "" };
            let is_same = self.begin_short(connection, &format!("{rollback}{message}"), &opened).await?;
            transaction.is_open = false;
            if is_same {
                transaction.opened = Some(opened);
                return Ok(());
            }
            connection.execute("ROLLBACK").await?;
        }
        if std::mem::take(&mut transaction.is_open) {
            connection.execute("ROLLBACK").await?;
        }
        let read_at = Instant::now();
        let message = self.opening_message(application_name, options.time_left(), path);
        let is_split = self.splits_begin();
        let mut opened = self.begin(connection, message, path, is_split).await?;
        if self.has_session_settings() && !opened.has_session_settings(&self.session_mark) {
            connection.execute("ROLLBACK").await?;
            connection.execute(AssertSqlSafe(self.session_message())).await?;
            let message = self.opening_message(application_name, options.time_left(), path);
            opened = self.begin(connection, message, path, is_split).await?;
            if !opened.has_session_settings(&self.session_mark) {
                return Err(sqlx::Error::Protocol("the session did not keep its settings".into()).into());
            }
        }
        // With a user's role nothing is kept for the next transaction, because each role may have its own search_path.
        transaction.known = options.identity.is_none().then(|| Known::new(opened.clone(), read_at));
        let opened = transaction.opened.insert(opened);
        match &options.identity {
            Some(identity) => self.take_role(connection, opened, identity).await,
            None => Ok(()),
        }
    }

    /// Sends the opening message and reads the row that it returns.
    ///
    /// If `is_split` is true, BEGIN is sent as a message of its own. pgpool-II sends a message of several statements to the
    /// primary and does not see the BEGIN in it, so that the next statement may run on a standby, outside of the
    /// transaction and its limits.
    async fn begin(
        &self,
        connection: &mut PgConnection,
        mut message: String,
        path: SearchPath,
        is_split: bool,
    ) -> Result<Opened, sqlx::Error> {
        if is_split && let Some(rest) = message.strip_prefix(BEGIN_ALONE) {
            let rest = rest.trim_start_matches(';').to_owned();
            connection.execute(BEGIN_ALONE).await?;
            message = rest;
        }
        let row = connection.fetch_one(AssertSqlSafe(message)).await?;
        refuse_prepared(&row)?;
        let text = |at: usize| row.try_get_raw(at)?.as_str().map_err(sqlx::Error::Decode);
        let pid = text(0)?.parse::<i32>().map_err(|error| sqlx::Error::Decode(error.into()))?;
        let schemas = names(text(3)?)?;
        let session_mark: Option<String> = row.try_get_raw(4)?.as_str().ok().map(str::to_owned);
        let plan_cache_mode = if path == SearchPath::Own { Some(text(5)?.to_owned()) } else { None };
        let (set_path, callers_path) = (text(1)?.to_owned(), path_of(&schemas));
        Ok(Opened { pid, set_path, callers_path, schemas, path, session_mark, plan_cache_mode, is_short: false })
    }

    /// Sends the short opening message. Returns false if `opened` describes another session, or if the caller's path
    /// leads to other schemas now. The SELECT is the first query of the transaction, as in the whole message.
    async fn begin_short(
        &self,
        connection: &mut PgConnection,
        begin: &str,
        opened: &Opened,
    ) -> Result<bool, sqlx::Error> {
        let schemas = ",pg_catalog.array_to_json(pg_catalog.current_schemas(true))";
        // TUDB's own path has no schemas that could change.
        let (path, schemas) = match opened.path {
            SearchPath::Callers => (opened.callers_path.as_str(), schemas),
            SearchPath::Own | SearchPath::OwnForCaller => (OWN_PATH, ""),
        };
        let message = format!(
            "{begin}{};SELECT pg_catalog.pg_backend_pid(),pg_catalog.current_setting('{SESSION_MARK}',true){schemas}{PREPARED}",
            under_path(path)
        );
        let row = connection.fetch_one(AssertSqlSafe(message)).await?;
        refuse_prepared(&row)?;
        let text = |at: usize| row.try_get_raw(at)?.as_str().map_err(sqlx::Error::Decode);
        let is_same_session = text(0)? == opened.pid.to_string() && text(1).ok() == opened.session_mark.as_deref();
        Ok(is_same_session && (schemas.is_empty() || names(text(2)?)? == opened.schemas))
    }

    /// True if the next transaction of a connection needs only a short opening message. Four conditions hold then: the
    /// statement is remembered or uses only known names, no user's role is taken on, the session has TUDB's settings,
    /// and `known` is recent.
    fn may_use(&self, known: &Known, options: &ReadOptions, path: SearchPath) -> bool {
        path != SearchPath::Own
            && options.identity.is_none()
            && self.has_session_settings()
            && known.opened.has_session_settings(&self.session_mark)
            && known.is_current()
    }

    /// Waits for a permit to use a connection. A read whose backend does not end keeps its permit, so abandoned calls
    /// cannot fill the server with backends.
    async fn permit(&self) -> Result<Permit, DatabaseError> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(Permit { permit, in_use: None });
        }
        let _waiting = self.recent.wait();
        match tokio::time::timeout(self.patience, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Permit { permit, in_use: None }),
            _ if self.are_all_taken() => Err(self.no_connection(NoConnection::AllTaken)),
            // The other permits belong to calls that are still waiting for the server.
            _ => Err(self.unreachable()),
        }
    }

    /// Closes all idle connections of the source.
    pub(super) fn drop_idle(&self) {
        while let Some(idle) = self.recent.take().or_else(|| self.pool.try_acquire().map(Idle::from)) {
            idle.close();
        }
    }

    /// Inspects the server once: its version, the rights of the login role and of the user's role, and whether a pooler
    /// shares its backends. Decides whether the connection counts as direct. Afterwards no transaction is open.
    async fn look_at_server(
        &self,
        transaction: &mut OpenTransaction,
        identity: Option<&Identity>,
    ) -> Result<(), NotOpened> {
        let Some(connection) = transaction.connection.as_mut() else { return Ok(()) };
        let timeout = Duration::from_millis(self.limits.opening_timeout_ms);
        let message = self.opening_message("tudb", timeout, SearchPath::Own);
        let mut opened = self.begin(connection, message, SearchPath::Own, true).await?;
        let user_role = identity.map(|identity| identity.role.as_str());
        let mut report = ServerReport::read(connection, user_role).await?;
        if let Some(identity) = identity {
            // Statements run as this role, so its rights are inspected too.
            self.take_role(connection, &mut opened, identity).await?;
            report.add(ServerReport::read(connection, None).await?);
        }
        connection.execute("ROLLBACK").await?;
        let is_open = !self.is_direct() && !self.is_pooled();
        let is_own = |(client, server)| pooler_proof::is_own_socket(client, server);
        let is_proved = self.endpoints.lead_to_one_place() && report.ends.is_some_and(is_own);
        self.proved.store(is_proved, Ordering::Relaxed);
        if is_open && is_proved {
            self.direct.store(true, Ordering::Relaxed);
        } else if is_open {
            // A pooler whose backends are all in use gives no answer either.
            let said = match self.canceller.shares_backends(opened.pid, &report.seen_at).await {
                Some(false) => None,
                Some(true) => Some("a pooler in transaction mode was detected"),
                None => Some("no answer shows whether there is a pooler: one is assumed"),
            };
            if let Some(said) = said {
                tracing::info!(source = self.source_name, "{said}");
                self.pooled.store(true, Ordering::Relaxed);
            }
        }
        // No direct connection goes through pgpool-II, so a direct connection is not asked.
        report.is_pgpool = !self.is_direct() && pooler_proof::is_pgpool(connection).await?;
        self.splits_begin.store(report.is_pgpool, Ordering::Relaxed);
        report.is_pooled = self.is_pooled();
        if !report.is_safe() {
            tracing::warn!(
                source = self.source_name,
                "{}. `tudb doctor` prints the SQL for a role that can only read",
                report.summary(self.settings.vouched.foreign_tables)
            );
        }
        if self.settings.require_safe_role && !report.knows_rights {
            // The cause may pass, so the next call reads them again.
            return Err(NotOpened::Refused(self.unsafe_role(&report)));
        }
        self.server.get_or_init(|| Box::new(report));
        Ok(())
    }

    /// If the configuration requires a safe role, refuses a role that could do more than read.
    fn judge_role(&self) -> Result<(), DatabaseError> {
        match self.server.get() {
            Some(report) if self.settings.require_safe_role && !report.is_safe() => Err(self.unsafe_role(report)),
            _ => Ok(()),
        }
    }

    fn unsafe_role(&self, report: &ServerReport) -> DatabaseError {
        DatabaseError::UnsafeRole {
            source_name: self.source_name.clone(),
            summary: report.summary(self.settings.vouched.foreign_tables),
            remedy: report.remedy(),
        }
    }

    /// Takes the connection that was used last, or one from the pool. `None` if the server accepts no more connections
    /// than those in use.
    async fn acquire(&self) -> Result<Option<Idle>, DatabaseError> {
        match self.recent.take() {
            Some(idle) => Ok(Some(idle)),
            // Boxed: this is rare, and its future is large.
            None => Box::pin(self.acquire_from_pool()).await,
        }
    }

    /// Takes a connection from the pool. After a failure TUDB tries once more: with a new password, with another endpoint,
    /// or after a short pause. While the server closes each new connection, TUDB tries up to [`CLOSED_PAUSES`] times
    /// more.
    async fn acquire_from_pool(&self) -> Result<Option<Idle>, DatabaseError> {
        self.refresh_password(false).await?;
        if self.endpoints.is_open() {
            self.choose_endpoint().await?;
        }
        let error = match self.wait().await {
            Ok(idle) => return Ok(Some(idle)),
            Err(NoConnection::Failed(error)) if self.is_full(&error) => return Ok(None),
            Err(NoConnection::Failed(error)) => error,
            Err(other) => return Err(self.no_connection(other)),
        };
        if endpoints::is_password(&error) {
            if !self.refresh_password(true).await? {
                return Err(self.connect_error(error));
            }
        } else if self.endpoints.are_several() {
            self.choose_endpoint().await?;
        } else if matches!(error, sqlx::Error::Io(_)) {
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        } else {
            return Err(self.connect_error(error));
        }
        let mut pauses = 0;
        loop {
            match self.wait().await {
                Err(NoConnection::Failed(error)) if self.is_full(&error) => return Ok(None),
                // Another call of this source may have got the server's last connection, and does not count as a read
                // yet.
                Err(NoConnection::Failed(error)) if connect_error::is_closed(&error) && pauses < CLOSED_PAUSES => {
                    pauses += 1;
                    tokio::time::sleep(TRY_AGAIN_AFTER).await;
                }
                waited => return waited.map(Some).map_err(|error| self.no_connection(error)),
            }
        }
    }

    /// True if the server closed a new connection, or refused it with `too_many_connections`, while other reads of this
    /// source go on. PGlite's socket server accepts one connection, and resets the second connection.
    fn is_full(&self, error: &sqlx::Error) -> bool {
        let has_too_many = error.as_database_error().and_then(|error| error.code());
        (connect_error::is_closed(error) || has_too_many.as_deref() == Some(TOO_MANY_CONNECTIONS))
            && Arc::strong_count(&self.reading) > 1
    }

    /// Makes the source use one connection fewer for [`GIVEN_UP_FOR`]. The call then waits for the permit of another
    /// read of this source.
    fn give_up(&self, permit: Permit) {
        permit.permit.forget();
        self.given_up.fetch_add(1, Ordering::Relaxed);
        let (permits, given_up) = (Arc::clone(&self.permits), Arc::clone(&self.given_up));
        tokio::spawn(async move {
            tokio::time::sleep(GIVEN_UP_FOR).await;
            given_up.fetch_sub(1, Ordering::Relaxed);
            permits.add_permits(1);
        });
    }

    /// Waits for a connection. The pool keeps trying a server that refuses, which is right while the server restarts.
    /// The pool does not say why it waits. So the endpoints are probed meanwhile, one after another. The pool then uses
    /// the first endpoint that works. A failure that cannot pass ends the wait.
    async fn wait(&self) -> Result<Idle, NoConnection> {
        let began = Instant::now();
        let seen = Mutex::new(None);
        let looking = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                if self.are_all_taken() {
                    continue;
                }
                match self.endpoints.choose().await {
                    Ok(endpoint) => self.use_endpoint(endpoint),
                    Err(failure) => {
                        let is_refused = failure.may_pass() && !matches!(failure, ConnectFailure::Silent);
                        let is_new = self.server.get().is_none() && began.elapsed() >= NEVER_REACHED;
                        if !failure.may_pass() || is_refused && is_new {
                            return failure;
                        }
                        *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                    }
                }
            }
        };
        // If another call returns its connection first, a connection that is being opened is still finished. Otherwise the
        // source would never have more connections than at its first calls: a call takes less time than a connect.
        let is_opening = self.pool.size() < self.limits.max_connections;
        let mut acquiring = Box::pin(self.pool.acquire());
        tokio::select! {
            biased;
            idle = self.recent.next() => {
                if is_opening {
                    let recent = Arc::clone(&self.recent);
                    tokio::spawn(async move {
                        if let Ok(connection) = acquiring.await {
                            recent.keep(Idle::from(connection));
                        }
                    });
                }
                Ok(idle)
            }
            acquired = &mut acquiring => acquired.map(Idle::from).map_err(|error| match error {
                sqlx::Error::PoolTimedOut if self.are_all_taken() => NoConnection::AllTaken,
                sqlx::Error::PoolTimedOut => {
                    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
                    NoConnection::ConnectFailure(seen.unwrap_or(ConnectFailure::Silent))
                }
                other => NoConnection::Failed(other),
            }),
            failure = looking => Err(NoConnection::ConnectFailure(failure)),
        }
    }

    /// True if all connections that the source may have are in use.
    fn are_all_taken(&self) -> bool {
        let most = (self.limits.max_connections as usize).saturating_sub(self.given_up.load(Ordering::Relaxed));
        Arc::strong_count(&self.connections_in_use) > most
    }

    /// Gives new connections a new password if the current password is old, or if `anew` says that the server refused
    /// it. Returns true if there is a new password.
    async fn refresh_password(&self, anew: bool) -> Result<bool, DatabaseError> {
        let (Some(source), Some(endpoint)) = (&self.password, self.endpoints.current()) else { return Ok(false) };
        let fresh = source.fresh(endpoint.get_host(), endpoint.get_port(), endpoint.get_username(), anew).await;
        let fresh =
            fresh.map_err(|problem| DatabaseError::Config { source_name: self.source_name.clone(), problem })?;
        let Some(password) = fresh else { return Ok(false) };
        self.endpoints.set_password(&password);
        self.use_endpoint(endpoint.password(password.reveal()));
        Ok(true)
    }

    fn use_endpoint(&self, endpoint: PgConnectOptions) {
        self.canceller.pool.set_connect_options(endpoint.clone());
        self.pool.set_connect_options(endpoint);
    }

    /// Chooses the endpoint of new connections.
    async fn choose_endpoint(&self) -> Result<(), DatabaseError> {
        let endpoint = self
            .endpoints
            .choose()
            .await
            .map_err(|failure| self.no_connection(NoConnection::ConnectFailure(failure)))?;
        self.use_endpoint(endpoint);
        Ok(())
    }

    fn no_connection(&self, error: NoConnection) -> DatabaseError {
        let source_name = self.source_name.clone();
        match error {
            NoConnection::AllTaken => {
                let waited_ms = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX);
                DatabaseError::NoConnection { source_name, waited_ms }
            }
            NoConnection::Failed(sqlx::Error::PoolTimedOut) | NoConnection::ConnectFailure(ConnectFailure::Silent) => {
                self.unreachable()
            }
            NoConnection::Failed(error) | NoConnection::ConnectFailure(ConnectFailure::Failed(error)) => {
                self.connect_error(error)
            }
            NoConnection::ConnectFailure(ConnectFailure::WrongRole(role)) => DatabaseError::Unreachable {
                source_name,
                hint: format!(
                    "Servers of its list answer, but none is a {}, which target_session_attrs asks for.",
                    if role == ServerRole::Standby { "standby" } else { "primary" }
                ),
            },
        }
    }

    fn unreachable(&self) -> DatabaseError {
        connect_error::unreachable(self.source_name.clone(), self.preset.unreachable)
    }

    fn connect_error(&self, error: sqlx::Error) -> DatabaseError {
        connect_error::explain(error, &self.source_name, self.preset, self.has_password)
    }
}

/// Parses a JSON array of names.
pub(super) fn names(text: &str) -> Result<Vec<String>, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Refuses a session in which SQL prepared a statement. `row` is the row of an opening message.
///
/// # Errors
///
/// [`sqlx::Error::WorkerCrashed`], after which the connection is closed.
fn refuse_prepared(row: &PgRow) -> Result<(), sqlx::Error> {
    match row.try_get_raw("is_prepared") {
        Ok(value) if value.as_str().map_err(sqlx::Error::Decode)? == "t" => Err(sqlx::Error::WorkerCrashed),
        _ => Ok(()),
    }
}

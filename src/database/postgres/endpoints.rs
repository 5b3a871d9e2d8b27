//! Chooses the endpoint of a source. The hosts of the list are tried in order, each with the fallbacks of `sslmode`
//! `allow` and `prefer`. The first endpoint that answers and has the wanted role is chosen.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::BEGIN_ALONE;
use super::session::MOST_STATEMENTS;
use crate::database::target::ServerRole;
use crate::secret::Secret;

/// The endpoints of one source.
#[derive(Debug)]
pub(super) struct Endpoints {
    list: Mutex<Vec<PgConnectOptions>>,
    /// Index of the endpoint in use.
    chosen: AtomicUsize,
    wanted: ServerRole,
    /// True until an endpoint is chosen for the first use. False from the start if none has to be chosen.
    is_open: AtomicBool,
    /// Longest wait for one endpoint before the first use.
    patience: Duration,
}

/// Longest wait for one endpoint after a connection failed. The caller has waited already.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// Why no endpoint can be used.
#[derive(Debug)]
pub(super) enum ConnectFailure {
    /// The first error. If an endpoint refused the password, that error, because every endpoint would refuse it.
    Failed(sqlx::Error),
    /// No endpoint answered in time.
    Silent,
    /// Every server that answered has another role than the wanted one.
    WrongRole(ServerRole),
}

impl ConnectFailure {
    /// True if the failure may end soon: a server that restarts, is full, changes its role, or does not answer.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            ConnectFailure::Silent | ConnectFailure::WrongRole(_) => true,
            ConnectFailure::Failed(sqlx::Error::Io(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
            ConnectFailure::Failed(sqlx::Error::Database(error)) => error.is_transient_in_connect_phase(),
            ConnectFailure::Failed(_) => false,
        }
    }
}

impl Endpoints {
    pub(super) fn new(list: Vec<PgConnectOptions>, wanted: ServerRole, choose_first: bool, patience: Duration) -> Self {
        let patience = patience / u32::try_from(list.len().max(1)).unwrap_or(1);
        let list: Vec<PgConnectOptions> =
            list.into_iter().map(|endpoint| endpoint.statement_cache_capacity(MOST_STATEMENTS)).collect();
        Endpoints {
            list: Mutex::new(list),
            chosen: AtomicUsize::new(0),
            wanted,
            is_open: AtomicBool::new(choose_first),
            patience,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// True if there is another endpoint to try.
    pub(super) fn are_several(&self) -> bool {
        self.list().len() > 1
    }

    /// True if all endpoints have the same host and port.
    pub(super) fn lead_to_one_place(&self) -> bool {
        let list = self.list();
        list.windows(2).all(|pair| match pair {
            [one, other] => one.get_host() == other.get_host() && one.get_port() == other.get_port(),
            _ => true,
        })
    }

    fn list(&self) -> Vec<PgConnectOptions> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the endpoint in use.
    pub(super) fn current(&self) -> Option<PgConnectOptions> {
        self.list().into_iter().nth(self.chosen.load(Ordering::Relaxed))
    }

    /// Gives every endpoint a new password.
    pub(super) fn set_password(&self, password: &Secret) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        *list = list.drain(..).map(|endpoint| endpoint.password(password.reveal())).collect();
    }

    /// Returns the first endpoint that works, and remembers it.
    pub(super) async fn choose(&self) -> Result<PgConnectOptions, ConnectFailure> {
        let mut first = None;
        let patience = if self.is_open() { self.patience } else { self.patience.min(SECOND_LOOK) };
        let wanted = match self.wanted {
            ServerRole::PreferStandby => [Some(ServerRole::Standby), Some(ServerRole::Any)],
            wanted => [Some(wanted), None],
        };
        for role in wanted.into_iter().flatten() {
            for (index, endpoint) in self.list().into_iter().enumerate() {
                match tokio::time::timeout(patience, fits(&endpoint, role)).await {
                    Ok(Ok(true)) => {
                        self.is_open.store(false, Ordering::Relaxed);
                        self.chosen.store(index, Ordering::Relaxed);
                        return Ok(endpoint);
                    }
                    Ok(Ok(false)) => first = first.or(Some(ConnectFailure::WrongRole(role))),
                    Ok(Err(error)) => {
                        // The other endpoints would refuse the password too, and servers count failed logins.
                        if is_password(&error) {
                            return Err(ConnectFailure::Failed(error));
                        }
                        first = first.or(Some(ConnectFailure::Failed(error)));
                    }
                    Err(_) => first = first.or(Some(ConnectFailure::Silent)),
                }
            }
        }
        Err(first.unwrap_or(ConnectFailure::Silent))
    }
}

/// True if the server accepts the connection and has the wanted role.
async fn fits(endpoint: &PgConnectOptions, role: ServerRole) -> Result<bool, sqlx::Error> {
    let mut connection = PgConnection::connect_with(endpoint).await?;
    let fits = match role {
        ServerRole::Any | ServerRole::PreferStandby => true,
        ServerRole::Primary | ServerRole::Standby => {
            // One message of the simple protocol works behind every pooler. Closing the connection ends the
            // transaction.
            let ask = format!("{BEGIN_ALONE};SELECT pg_catalog.pg_is_in_recovery()::text");
            let row = sqlx::raw_sql(sqlx::AssertSqlSafe(ask)).fetch_one(&mut connection).await?;
            let standby = sqlx::Row::try_get_raw(&row, 0)?.as_str().map_err(sqlx::Error::Decode)? == "true";
            standby == (role == ServerRole::Standby)
        }
    };
    connection.close().await?;
    Ok(fits)
}

/// True if the server says that the password is wrong or missing.
pub(super) fn is_password(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(refused) if refused.code().as_deref() == Some("28P01"))
}

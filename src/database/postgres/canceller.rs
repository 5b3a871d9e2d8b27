//! Cancels statements on the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgArguments, PgPool, Postgres};
use sqlx::query::Query;
use sqlx::{Connection as _, Row};

use super::BEGIN;
use super::session::Permit;

/// First pause before checking again whether a backend has ended. Each pause doubles, up to forty times the first.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Failed attempts in a row to reach the server after which its backends count as gone.
const UNANSWERED: u32 = 10;

/// Number of cancels without effect after which the backend is ended.
const CANCELS: u32 = 5;

/// The backend that runs a read.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) pid: i32,
    pub(super) application_name: String,
    /// When the backend answered. `None` if the connection is not proved direct: behind a pooler the backend may serve
    /// another client by now, and behind one host name there may be several servers.
    pub(super) seen_at: Option<Instant>,
}

/// Cancels statements on the server, from a separate connection.
#[derive(Clone, Debug)]
pub(super) struct Canceller {
    pub(super) pool: PgPool,
    pub(super) grace: Duration,
}

impl Canceller {
    /// Cancels the statement of a backend if its application name is still that of the call. So a reused pid, or
    /// another server behind the same name, is never affected. Returns whether the backend was still there; `None` if
    /// that is unknown.
    pub(super) async fn cancel(&self, backend: &Backend) -> Option<bool> {
        const CANCEL: &str = "SELECT pg_catalog.pg_cancel_backend(pid) FROM pg_catalog.pg_stat_activity
            WHERE pid = $1 AND application_name = $2";
        self.signal(sqlx::query(CANCEL).bind(backend.pid).bind(backend.application_name.clone())).await
    }

    /// Ends the statement of a backend whose connection is given up. Code of another user may have changed the
    /// application name. So on a proved connection the backend is also found by its age: if it started before TUDB saw
    /// it, it is the same backend.
    ///
    /// Such code can also catch a cancel. With `is_late`, the backend is terminated and not only its statement.
    async fn end_once(&self, backend: &Backend, is_late: bool) -> Option<bool> {
        const END: &str =
            "SELECT CASE WHEN $4 THEN pg_catalog.pg_terminate_backend(pid) ELSE pg_catalog.pg_cancel_backend(pid) END
            FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND (application_name = $2
              OR backend_start < pg_catalog.clock_timestamp() - $3::float8 * '1 second'::pg_catalog.interval)";
        let Some(seen_at) = backend.seen_at else { return self.cancel(backend).await };
        let seconds = seen_at.elapsed().as_secs_f64();
        let query = sqlx::query(END).bind(backend.pid).bind(backend.application_name.clone());
        self.signal(query.bind(seconds).bind(is_late)).await
    }

    /// Runs a query that signals a backend. Returns whether it found the backend; `None` if that is unknown.
    async fn signal(&self, query: Query<'_, Postgres, PgArguments>) -> Option<bool> {
        let sent = async {
            let mut transaction = self.pool.begin_with(BEGIN).await?;
            let found = query.persistent(false).fetch_all(&mut *transaction).await?;
            transaction.rollback().await?;
            Ok::<_, sqlx::Error>(!found.is_empty())
        };
        match tokio::time::timeout(self.grace, sent).await {
            Ok(Ok(was_there)) => return Some(was_there),
            Ok(Err(error)) => tracing::warn!(%error, "a statement could not be cancelled"),
            Err(_) => tracing::warn!("cancelling a statement took too long"),
        }
        None
    }

    /// Cancels until the backend has left the transaction of the call. A few functions of PostgreSQL react neither to a
    /// cancel nor to the end of their client. After [`UNANSWERED`] failed attempts in a row the server counts as gone.
    /// The permit is returned then. While the server does not answer, the connection of the abandoned read does not
    /// count as in use, so calls that wait for a permit report an unreachable server and not a busy one.
    pub(super) async fn end(&self, backend: &Backend, mut permit: Option<Permit>) {
        let (mut wait, mut unanswered, mut cancelled) = (LOOK_AGAIN, 0, 0);
        let counter = permit.as_ref().and_then(|permit| permit.in_use.as_ref()).map(Arc::downgrade).unwrap_or_default();
        loop {
            let was_there = self.end_once(backend, cancelled >= CANCELS).await;
            if let Some(permit) = &mut permit {
                permit.in_use = counter.upgrade().filter(|_| was_there.is_some());
            }
            match was_there {
                Some(false) => return,
                Some(true) => (unanswered, cancelled) = (0, cancelled + 1),
                None => unanswered += 1,
            }
            if unanswered >= UNANSWERED {
                return;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LOOK_AGAIN * 40);
        }
    }

    /// Returns true if a pooler in transaction mode shares backends. The signs: a new connection gets the backend
    /// `idle` of an idle connection, or a backend older than `before` (by the server's clock), or another backend in
    /// its next transaction. `None` if the server gives no answer in time, or does not show the age of the backend.
    /// "False" is no proof: a pooler may give this client the same backend each time.
    pub(super) async fn shares_backends(&self, idle: i32, before: &str) -> Option<bool> {
        const ASK: &str = "SELECT pid, backend_start < $1::timestamptz FROM pg_catalog.pg_stat_activity
            WHERE pid = pg_catalog.pg_backend_pid()";
        let asked = async {
            let mut connection = self.pool.acquire().await?;
            let mut first = None;
            for _ in 0..3 {
                let mut transaction = connection.begin_with(BEGIN).await?;
                let row = sqlx::query(ASK).bind(before).persistent(false).fetch_one(&mut *transaction).await?;
                transaction.rollback().await?;
                let (pid, is_older): (i32, bool) = (row.try_get(0)?, row.try_get(1)?);
                if pid == idle || is_older || *first.get_or_insert(pid) != pid {
                    return Ok(true);
                }
            }
            Ok::<_, sqlx::Error>(false)
        };
        tokio::time::timeout(self.grace, asked).await.ok()?.ok()
    }
}

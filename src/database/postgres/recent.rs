//! Connections that were used a moment ago. The driver's pool tests a connection that it gets back, which costs a round
//! trip. A connection that the next call uses within a second needs no test.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::sync::Notify;

/// How long an unused connection is kept out of the pool.
const KEPT: Duration = Duration::from_secs(1);

/// Interval at which a connection goes back to the pool even if calls follow each other without a pause. Only the pool
/// closes connections that are too old.
const THROUGH_THE_POOL_EVERY: Duration = Duration::from_secs(10);

/// The connections that are kept out of the pool.
#[derive(Debug)]
pub(super) struct Recent {
    state: Mutex<State>,
    /// Notified when a connection is kept.
    kept: Notify,
}

#[derive(Debug)]
struct State {
    /// Each with the time of its last use.
    kept: Vec<(PoolConnection<Postgres>, Instant)>,
    /// When a connection last went back to the pool.
    last_returned: Instant,
    /// Whether a task returns unused connections.
    is_watched: bool,
}

impl Default for Recent {
    fn default() -> Self {
        let state = State { kept: Vec::new(), last_returned: Instant::now(), is_watched: false };
        Recent { state: Mutex::new(state), kept: Notify::new() }
    }
}

impl Recent {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection that was used last.
    pub(super) fn take(&self) -> Option<PoolConnection<Postgres>> {
        self.state().kept.pop().map(|(connection, _)| connection)
    }

    /// Waits for a connection.
    pub(super) async fn next(&self) -> PoolConnection<Postgres> {
        loop {
            match self.take() {
                Some(connection) => return connection,
                None => self.kept.notified().await,
            }
        }
    }

    /// Keeps an idle connection for the next call.
    pub(super) fn keep(self: &Arc<Self>, connection: PoolConnection<Postgres>) {
        let mut state = self.state();
        let now = Instant::now();
        if now.duration_since(state.last_returned) >= THROUGH_THE_POOL_EVERY {
            state.last_returned = now;
            return drop(connection);
        }
        state.kept.push((connection, now));
        if !std::mem::replace(&mut state.is_watched, true) {
            tokio::spawn(Arc::clone(self).watch());
        }
        drop(state);
        self.kept.notify_one();
    }

    /// Returns unused connections to the pool until none is left.
    async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(KEPT).await;
            let mut state = self.state();
            let unused = state.kept.iter().take_while(|(_, used_at)| used_at.elapsed() >= KEPT).count();
            // The longest unused one comes first, because the last one is taken first.
            state.kept.drain(..unused);
            if state.kept.is_empty() {
                state.is_watched = false;
                return;
            }
        }
    }
}

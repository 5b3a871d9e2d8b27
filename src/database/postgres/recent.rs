//! Connections that were used a moment ago. The driver's pool pings each connection that is returned to it. A ping
//! costs a round trip. A connection that the next call uses within a second needs no ping.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::sync::Notify;

use super::session::Opened;

/// An unused connection is kept out of the pool for this time, or up to twice as long.
const KEPT: Duration = Duration::from_secs(1);

/// How long later transactions on a connection may use the `search_path` that an earlier transaction read.
const KNOWN: Duration = Duration::from_secs(1);

/// Interval at which a connection goes back to the pool even if calls follow each other without a pause. Only the pool
/// closes connections that are too old.
const THROUGH_THE_POOL_EVERY: Duration = Duration::from_secs(10);

/// How long a connection whose transaction is still open is kept for a waiting call.
const LEFT: Duration = Duration::from_millis(5);

/// What the last whole opening message on a connection returned, and a time before it was sent.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) opened: Opened,
    read_at: Instant,
}

impl Known {
    /// `read_at`: a time before the message was sent.
    pub(super) fn new(opened: Opened, read_at: Instant) -> Self {
        Known { opened, read_at }
    }

    pub(super) fn is_current(&self) -> bool {
        self.read_at.elapsed() < KNOWN
    }
}

/// An idle connection, and what is known of its session.
#[derive(Debug)]
pub(super) struct Idle {
    connection: Option<PoolConnection<Postgres>>,
    /// `None` for a connection from the pool.
    known: Option<Known>,
    /// True if the last transaction is still open. The connection is then closed if nobody takes it: the pool would
    /// give it to another call.
    is_open: bool,
}

impl Idle {
    pub(super) fn new(connection: PoolConnection<Postgres>, known: Option<Known>, is_open: bool) -> Self {
        Idle { connection: Some(connection), known, is_open }
    }

    /// The connection, what is known of it, and whether its last transaction is still open.
    pub(super) fn into_parts(mut self) -> (Option<PoolConnection<Postgres>>, Option<Known>, bool) {
        (self.connection.take(), self.known.take(), self.is_open)
    }

    /// Closes the connection.
    pub(super) fn close(mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        if self.is_open {
            drop(self.connection.take().map(PoolConnection::detach));
        }
    }
}

impl From<PoolConnection<Postgres>> for Idle {
    fn from(connection: PoolConnection<Postgres>) -> Self {
        Idle::new(connection, None, false)
    }
}

/// The connections that are kept out of the pool.
#[derive(Debug)]
pub(super) struct Recent {
    state: Mutex<State>,
    /// Notified when a connection is kept.
    kept: Notify,
    /// Number of calls that wait for a permit to use a connection.
    waiting: AtomicUsize,
}

/// A call that waits for a permit, until it is dropped.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct State {
    /// The kept connections, each with the time of its last use. The last used one is the last.
    kept: Vec<(Idle, Instant)>,
    /// When `keep` last returned a connection to the pool.
    last_returned: Instant,
    /// Whether a task returns unused connections.
    is_watched: bool,
}

impl Default for Recent {
    fn default() -> Self {
        let state = State { kept: Vec::new(), last_returned: Instant::now(), is_watched: false };
        Recent { state: Mutex::new(state), kept: Notify::new(), waiting: AtomicUsize::new(0) }
    }
}

impl Recent {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection that was used last.
    pub(super) fn take(&self) -> Option<Idle> {
        self.state().kept.pop().map(|(idle, _)| idle)
    }

    /// Counts a call that waits for a permit.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(&self.waiting)
    }

    /// True if a call waits for a permit, and if the connection does not have to go through the pool first.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 && self.state().last_returned.elapsed() < THROUGH_THE_POOL_EVERY
    }

    /// Takes a connection whose transaction is still open and that nobody has taken in time. The call that waited may
    /// have been cancelled.
    pub(super) async fn take_left(&self) -> Option<Idle> {
        tokio::time::sleep(LEFT).await;
        let mut state = self.state();
        let left = |(idle, since): &(Idle, Instant)| idle.is_open && since.elapsed() >= LEFT;
        let at = state.kept.iter().position(left)?;
        Some(state.kept.remove(at).0)
    }

    /// Waits for a connection.
    pub(super) async fn next(&self) -> Idle {
        loop {
            match self.take() {
                Some(idle) => return idle,
                None => self.kept.notified().await,
            }
        }
    }

    /// Keeps an idle connection for the next call. Once per [`THROUGH_THE_POOL_EVERY`], returns it to the pool instead.
    /// A connection whose transaction is still open is always kept.
    pub(super) fn keep(self: &Arc<Self>, idle: Idle) {
        let mut state = self.state();
        let now = Instant::now();
        if !idle.is_open && now.duration_since(state.last_returned) >= THROUGH_THE_POOL_EVERY {
            state.last_returned = now;
            return drop(idle);
        }
        state.kept.push((idle, now));
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
            // Connections are added and taken at the end of the list, so the longest unused one is the first.
            state.kept.drain(..unused);
            if state.kept.is_empty() {
                state.is_watched = false;
                return;
            }
        }
    }
}

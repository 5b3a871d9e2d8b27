//! The audit trail. For every call and every statement, an intent is written before it runs and an outcome after it.
//!
//! The gateway opens an entry for each call. Engines read only with an [`OpenEntry`]. If `audit.required` is true, an
//! `OpenEntry` exists only after its intent is written, so nothing is read without a record. If `audit.required` is
//! false, an `OpenEntry` can exist without a record. An entry that is dropped before it is closed still writes its
//! outcome, for example after a cancellation, a timeout or a panic. Records never contain result values or secrets.
//! `store` writes the records; `trail` reads them.

mod chain;
pub(crate) mod record;
mod retention;
mod store;
mod trail;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

pub use record::{Decision, EntryStart, Finished, OutcomeKind};
pub(crate) use record::{hex, keep_trace};
pub use retention::{Retention, prune};
pub use trail::{FIELDS, Filter, Trail, TrailError, Verdict};

use crate::config::AuditConfig;
use crate::error::{Code, ToolError};
use crate::telemetry::{self, Begun};
use store::{Event, Writer};

/// Sends events to the task that writes the audit store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditLog {
    events: mpsc::UnboundedSender<Event>,
    required: bool,
    sql: crate::config::AuditSql,
    backlog: Arc<AtomicUsize>,
}

/// The audit store cannot be written. If this concerns an intent and `audit.required` is true, the call may not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit store cannot be written: {reason}")]
pub struct AuditUnavailable {
    pub reason: String,
    pub remedy: AuditRemedy,
}

/// What makes the audit store writable again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditRemedy {
    /// A readable key in `audit.key_file` that is long enough.
    Key,
    /// The tables of a store on PostgreSQL, or the privilege to insert into them.
    Tables,
    /// An address, user and password that the server accepts.
    Login,
    /// A writable place for the store, or free disk space.
    Place,
    /// Another store. This store was changed by another program, so it is kept for inspection.
    Inspect,
    /// A newer version of TUDB: a newer version wrote the store.
    Update,
    /// A server that runs: the connection to it was lost.
    Server,
}

impl AuditRemedy {
    fn text(self) -> &'static str {
        match self {
            AuditRemedy::Key => "Give audit.key_file a file of 16 bytes or more that can be read",
            AuditRemedy::Tables => {
                "Make the store with the SQL that `tudb audit schema` prints, and the role a member of tudb_audit_writer"
            }
            AuditRemedy::Login => "Correct TUDB_AUDIT_DB, its user or its password",
            AuditRemedy::Place => "Point TUDB_AUDIT_DB to a place that can be written, or free the disk",
            AuditRemedy::Update => "Run the newer version of tudb, or point TUDB_AUDIT_DB to another place",
            AuditRemedy::Server => "Check that the server of TUDB_AUDIT_DB runs",
            AuditRemedy::Inspect => "Keep this file for inspection and point TUDB_AUDIT_DB to another place",
        }
    }
}

impl From<AuditUnavailable> for ToolError {
    fn from(error: AuditUnavailable) -> Self {
        ToolError::new(Code::AuditUnavailable, error.to_string())
            .hint(format!("{}; nothing runs without a record.", error.remedy.text()))
    }
}

/// Receives the result of writing one event.
type WriteAck = oneshot::Receiver<Result<(), AuditUnavailable>>;

/// Collects whether the outcomes of one call's records were written.
#[derive(Clone, Debug, Default)]
pub struct Outcomes(Arc<Mutex<PendingOutcomes>>);

#[derive(Debug, Default)]
struct PendingOutcomes {
    /// One receiver for each outcome that was sent to the writer.
    acks: Vec<WriteAck>,
    /// True if the call ran without a record, because its intent could not be written.
    unrecorded: bool,
}

impl Outcomes {
    fn pending(&self) -> std::sync::MutexGuard<'_, PendingOutcomes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all outcomes so far are written. Returns a warning for the reply if a record is missing.
    pub async fn written(&self) -> Option<String> {
        let PendingOutcomes { acks, unrecorded } = std::mem::take(&mut *self.pending());
        let mut failed = None;
        for outcome in acks {
            failed = outcome.await.ok().and_then(Result::err).or(failed);
        }
        if unrecorded {
            return Some("this call is not in the audit trail".into());
        }
        failed.map(|error| format!("the outcome of this call is not in the audit trail yet: {}", error.reason))
    }
}

impl AuditLog {
    /// Starts the writer task. The store itself is opened with the first entry.
    pub fn start(config: &AuditConfig) -> AuditLog {
        let (events, receiver) = mpsc::unbounded_channel();
        let backlog = Arc::new(AtomicUsize::new(0));
        tokio::spawn(Writer::new(config.clone(), Arc::clone(&backlog)).run(receiver));
        AuditLog { events, required: config.required, sql: config.sql, backlog }
    }

    /// The number of intents and outcomes that wait to be written.
    pub fn backlog(&self) -> usize {
        self.backlog.load(Ordering::Relaxed)
    }

    /// Sends an intent to the writer. The call may be prepared meanwhile, but no text of the caller may be sent to a
    /// database before [`PendingEntry::committed`] has returned.
    pub fn begin(&self, mut start: EntryStart, outcomes: &Outcomes) -> PendingEntry {
        start.sql = start.sql.map(|sql| record::keep_sql(&sql, self.sql));
        start.user_id = start.user_id.map(record::keep_text);
        start.session_id = start.session_id.map(record::keep_text);
        start.question = start.question.map(record::keep_text);
        start.client = start.client.map(record::keep_text);
        start.traceparent = start.traceparent.as_deref().and_then(keep_trace);
        start.source = start.source.map(record::keep_text);
        let id = uuid::Uuid::now_v7().to_string();
        let span = telemetry::begin(&id, &start);
        let (written, receiver) = oneshot::channel();
        let event = Event::Intent { id: id.clone(), start: Box::new(start), written };
        // If the writer has ended, the receiver reports that the intent was not written.
        let _ = self.events.send(event);
        let (events, outcomes) = (self.events.clone(), outcomes.clone());
        let entry = Entry { id: id.into(), events, outcomes, span, started: Instant::now(), open: true };
        PendingEntry { entry, written: receiver, required: self.required }
    }

    /// Waits until all events sent so far are handled. The writer then ends the chain of this process with a `closing`
    /// row.
    pub async fn finish(&self) {
        let (done, finished) = oneshot::channel();
        if self.events.send(Event::Finish { done }).is_ok() {
            let _ = finished.await;
        }
    }
}

/// The common part of pending and open entries. Dropping it writes an outcome if `open` is still true.
#[derive(Debug)]
struct Entry {
    id: Arc<str>,
    events: mpsc::UnboundedSender<Event>,
    outcomes: Outcomes,
    span: Begun,
    started: Instant,
    /// True if an outcome is still to be written.
    open: bool,
}

impl Entry {
    fn close(&mut self, mut finished: Finished) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        finished.elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        telemetry::end(&self.span, &finished);
        let (written, receiver) = oneshot::channel();
        self.outcomes.pending().acks.push(receiver);
        let _ = self.events.send(Event::Outcome {
            id: self.id.to_string(),
            finished: Box::new(finished),
            written: Some(written),
        });
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let finished = if std::thread::panicking() {
            Finished::of_error(&ToolError::internal())
        } else {
            Finished::new(OutcomeKind::Cancelled)
        };
        self.close(finished);
    }
}

/// An intent that is being written.
#[derive(Debug)]
pub struct PendingEntry {
    entry: Entry,
    written: WriteAck,
    required: bool,
}

impl PendingEntry {
    /// The id of the record. On PostgreSQL, it is also part of the `application_name` of the session.
    pub fn id(&self) -> Arc<str> {
        Arc::clone(&self.entry.id)
    }

    /// Waits until the intent is committed.
    ///
    /// # Errors
    ///
    /// [`AuditUnavailable`] when the intent cannot be written and records are required.
    pub async fn committed(self) -> Result<OpenEntry, AuditUnavailable> {
        let PendingEntry { mut entry, written, required } = self;
        let result = written.await.unwrap_or_else(|_| {
            Err(AuditUnavailable { reason: "its writer has ended".into(), remedy: AuditRemedy::Place })
        });
        match result {
            Ok(()) => Ok(OpenEntry { entry }),
            Err(error) if required => {
                entry.open = false;
                Err(error)
            }
            Err(error) => {
                tracing::warn!(%error, "going on without a record, as audit.required = false says");
                // A call without an intent gets no outcome either.
                entry.open = false;
                entry.outcomes.pending().unrecorded = true;
                Ok(OpenEntry { entry })
            }
        }
    }
}

/// Proof that the intent of a call is recorded, or that it could not be and `audit.required = false` permits the call
/// without a record. Every read of a database requires one.
#[derive(Debug)]
pub struct OpenEntry {
    entry: Entry,
}

impl OpenEntry {
    pub fn id(&self) -> &str {
        &self.entry.id
    }

    /// Milliseconds since [`AuditLog::begin`].
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.entry.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Writes the outcome.
    pub fn close(mut self, finished: Finished) {
        self.entry.close(finished);
    }
}

#[cfg(test)]
mod tests;

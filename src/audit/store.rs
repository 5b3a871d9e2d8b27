//! The writer task, one per process. It chains events by hash and commits them in groups to the configured store, then
//! copies finished records to the mirror.

mod mirror;
mod postgres;
mod sqlite;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{mpsc, oneshot};

use super::chain::{self, Beginning, Row, Seal};
use super::record::{EntryStart, Finished};
use super::{AuditRemedy, AuditUnavailable};
use crate::config::{AuditConfig, AuditStore};
use crate::secret::Secret;
use mirror::MirrorFile;

pub(super) use postgres::connect as connect_postgres;
pub(super) use sqlite::{SCHEMA, SchemaFault, schema_as_made};

/// Time limit for a store that is locked or does not answer.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Maximum events taken at once.
const GROUP: usize = 256;
/// Maximum outcomes kept while the store cannot be written.
const MAX_LATE: usize = 10_000;
/// Interval for writing kept outcomes again while no other events arrive.
const RETRY_EVERY: Duration = Duration::from_millis(500);

type Written = oneshot::Sender<Result<(), AuditUnavailable>>;

/// Events that callers send to the writer.
#[derive(Debug)]
pub(super) enum Event {
    Intent { id: String, start: Box<EntryStart>, written: Written },
    Outcome { id: String, finished: Box<Finished>, written: Option<Written> },
    Finish { done: oneshot::Sender<()> },
}

/// An open store.
enum Store {
    Sqlite(sqlite::File),
    Postgres(sqlx::PgConnection),
}

/// The writer task. It owns the connection and the hash of the chain's last event.
pub(super) struct Writer {
    config: AuditConfig,
    process: String,
    store: Option<Store>,
    seal: Seal,
    /// Whether the process is registered in the store.
    registered: bool,
    seq: i64,
    head: String,
    /// Outcomes that could not be written yet. They come first in the next group.
    late: Vec<Event>,
    mirror: Option<MirrorFile>,
    /// The number of events that wait, for [`super::AuditLog::backlog`].
    backlog: Arc<AtomicUsize>,
}

impl Writer {
    pub(super) fn new(config: AuditConfig, backlog: Arc<AtomicUsize>) -> Self {
        let mirror = config.mirror.clone().map(MirrorFile::new);
        let process = uuid::Uuid::now_v7().to_string();
        Writer {
            config,
            process,
            store: None,
            seal: Seal::default(),
            registered: false,
            seq: 0,
            head: String::new(),
            late: Vec::new(),
            mirror,
            backlog,
        }
    }

    /// Runs until all senders are dropped.
    pub(super) async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>) {
        let mut group = Vec::with_capacity(GROUP);
        loop {
            let more = events.recv_many(&mut group, GROUP);
            if self.late.is_empty() {
                if more.await == 0 {
                    return;
                }
            } else if let Ok(0) = tokio::time::timeout(RETRY_EVERY, more).await {
                return;
            }
            // Lets the ready tasks add events to the group. A commit of ten events costs as much as of one event.
            tokio::task::yield_now().await;
            while group.len() < GROUP
                && let Ok(event) = events.try_recv()
            {
                group.push(event);
            }
            self.backlog.store(group.len() + events.len() + self.late.len(), Ordering::Relaxed);
            self.write(std::mem::take(&mut group)).await;
            self.backlog.store(events.len() + self.late.len(), Ordering::Relaxed);
        }
    }

    async fn write(&mut self, group: Vec<Event>) {
        let mut written = Vec::new();
        let mut finishing = Vec::new();
        // If the commit fails, intents are dropped and outcomes are kept.
        let mut parts: Vec<(&str, String, String)> = Vec::with_capacity(group.len());
        let mut outcomes = Vec::new();
        for event in std::mem::take(&mut self.late).into_iter().chain(group) {
            match event {
                Event::Intent { id, start, written: sender } => {
                    parts.push(("intent", id, json(&start)));
                    written.push(sender);
                }
                Event::Outcome { id, finished, written: sender } => {
                    parts.push(("outcome", id.clone(), json(&finished)));
                    outcomes.push((id, finished));
                    written.extend(sender);
                }
                Event::Finish { done } => finishing.push(done),
            }
        }
        let result = if parts.is_empty() { Ok(Vec::new()) } else { self.commit(parts).await };
        match &result {
            Ok(rows) => {
                if let Some(mirror) = &mut self.mirror {
                    mirror.write(&self.process, rows);
                }
            }
            Err(error) => {
                let late = outcomes.into_iter().map(|(id, finished)| Event::Outcome { id, finished, written: None });
                self.late = late.take(MAX_LATE).collect();
                tracing::error!(%error, "audit store");
            }
        }
        let result = result.map(drop);
        for sender in written {
            let _ = sender.send(result.clone());
        }
        if let Some(Store::Sqlite(store)) = &mut self.store {
            store.checkpoint();
        }
        if !finishing.is_empty() {
            if let Some(mirror) = &self.mirror {
                mirror.finish().await;
            }
            self.end().await;
            for done in finishing {
                let _ = done.send(());
            }
        }
    }

    /// Chains the events and commits them. The chain advances only if the commit succeeds.
    async fn commit(&mut self, parts: Vec<(&str, String, String)>) -> Result<Vec<Row>, AuditUnavailable> {
        if let Some(Store::Sqlite(store)) = &self.store
            && !store.is_in_place()
        {
            // The file was removed or replaced, so writes to it would be lost. Open the path again, begin a new
            // chain.
            tracing::error!("the audit store's file was removed or replaced; reopening the store");
            self.store = None;
            self.begin_anew();
        }
        if self.store.is_none() {
            self.open().await?;
        }
        let was_idle = matches!(self.store, Some(Store::Postgres(_)));
        match self.insert(&parts).await {
            // The server may have closed the connection meanwhile, for example by a restart.
            Err(error) if was_idle && error.remedy == AuditRemedy::Server => {
                self.open().await?;
                self.insert(&parts).await
            }
            result => result,
        }
    }

    /// Chains the events and writes them to the open store. After an error the store is closed.
    async fn insert(&mut self, parts: &[(&str, String, String)]) -> Result<Vec<Row>, AuditUnavailable> {
        let (mut seq, mut head) = (self.seq, self.head.clone());
        let mut rows = Vec::with_capacity(parts.len());
        for (kind, id, body) in parts {
            seq += 1;
            let (kind, id, body) = ((*kind).to_owned(), id.clone(), body.clone());
            let mut row = Row { seq, kind, id, at: now(), body, hash: String::new() };
            row.hash = row.expected(&self.seal, &head, &self.process);
            head.clone_from(&row.hash);
            rows.push(row);
        }
        let result = match &mut self.store {
            Some(Store::Sqlite(store)) => store.insert(&self.process, &rows),
            Some(Store::Postgres(store)) => postgres::insert(store, &self.process, &rows).await,
            None => Err(AuditUnavailable { reason: "it is not open".into(), remedy: AuditRemedy::Place }),
        };
        match result {
            Ok(()) => {
                (self.seq, self.head) = (seq, head);
                Ok(rows)
            }
            Err(error) => {
                // The rows may have been committed. `open` continues the chain only if the store ends with the last
                // known event.
                self.store = None;
                Err(error)
            }
        }
    }

    /// Opens the store, and registers the process unless its chain continues there.
    async fn open(&mut self) -> Result<(), AuditUnavailable> {
        let seal = seal(&self.config).map_err(|reason| AuditUnavailable { reason, remedy: AuditRemedy::Key })?;
        let mut store = match &self.config.store {
            AuditStore::Nowhere => {
                let reason = "no directory for it is known; set TUDB_AUDIT_DB to a file".into();
                return Err(AuditUnavailable { reason, remedy: AuditRemedy::Place });
            }
            AuditStore::File(path) => Store::Sqlite(sqlite::File::open(path, self.config.power)?),
            AuditStore::Postgres(store) => Store::Postgres(postgres::connect(store).await?),
        };
        // A chain continues only in a file that contains its end, and with the same key.
        let goes_on = match &mut store {
            Store::Sqlite(store) if self.registered && seal.key_id() == self.seal.key_id() => {
                store.ends_with(&self.process, self.seq, &self.head)?
            }
            _ => false,
        };
        if !goes_on {
            self.begin_anew();
            let beginning = Beginning {
                process: self.process.clone(),
                started_at: now(),
                version: env!("CARGO_PKG_VERSION").into(),
                key_id: seal.key_id(),
                ..Beginning::default()
            };
            let beginning = match &mut store {
                Store::Sqlite(store) => store.register(beginning, &seal)?,
                Store::Postgres(store) => postgres::register(store, beginning, &seal).await?,
            };
            self.head = beginning.hash.unwrap_or_default();
            self.registered = true;
        }
        (self.seal, self.store) = (seal, Some(store));
        Ok(())
    }

    /// Writes the `closing` row, so that a later removal of the last events is detected.
    async fn end(&mut self) {
        let at = now();
        let hash = chain::closing(&self.seal, &self.process, &at, self.seq, &self.head);
        let row = (self.process.as_str(), at.as_str(), self.seq, self.head.as_str(), hash.as_str());
        let result = match &mut self.store {
            Some(Store::Sqlite(store)) => store.close(row),
            Some(Store::Postgres(store)) => postgres::close(store, row).await,
            None => Ok(()),
        };
        if let Err(error) = result {
            tracing::error!(%error, "audit store: the end of the process was not written");
        }
        // Later events begin a new chain.
        self.store = None;
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        self.process = uuid::Uuid::now_v7().to_string();
        (self.registered, self.seq) = (false, 0);
    }
}

/// The configured way to hash chains.
///
/// # Errors
///
/// The reason why the key cannot be used.
pub(super) fn seal(config: &AuditConfig) -> Result<Seal, String> {
    let Some(path) = &config.key_file else { return Ok(Seal::default()) };
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("its key cannot be read from {} (audit.key_file): {error}", path.display()))?;
    let key = text.trim();
    if key.len() < chain::LEAST_KEY_BYTES {
        return Err(format!("its key has fewer than {} bytes (audit.key_file)", chain::LEAST_KEY_BYTES));
    }
    Ok(Seal::new(Secret::new(key)))
}

pub(super) fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

fn json<T: serde::Serialize>(fields: &T) -> String {
    serde_json::to_string(fields).unwrap_or_default()
}

/// The server's message without sqlx's prefix, and the remedy for its SQLSTATE.
/// Source: <https://www.postgresql.org/docs/18/errcodes-appendix.html>.
pub(super) fn unavailable(error: sqlx::Error) -> AuditUnavailable {
    let state = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
    let remedy = match state.as_ref() {
        // Insufficient privilege, and names that do not exist.
        "42501" | "42P01" | "42703" | "42883" | "3F000" => AuditRemedy::Tables,
        // Invalid authorization, password or database.
        "28000" | "28P01" | "3D000" => AuditRemedy::Login,
        // Start or stop of the server, closed session.
        "57P01" | "57P02" | "57P03" | "57P05" => AuditRemedy::Server,
        "" if matches!(error, sqlx::Error::Io(_)) => AuditRemedy::Server,
        _ => AuditRemedy::Place,
    };
    let reason = match &error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Configuration(error) => error.to_string(),
        other => other.to_string(),
    };
    AuditUnavailable { reason, remedy }
}

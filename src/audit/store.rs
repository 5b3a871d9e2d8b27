//! The SQLite audit store and its one writer task: groups of events in one commit, chained by hash.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{mpsc, oneshot};

use super::AuditUnavailable;
use super::record::{EntryStart, Finished, hex};
use crate::config::{AuditConfig, Mirror};

const SCHEMA: &str = include_str!("../../migrations/audit/0001_events.sql");
/// `PRAGMA user_version` of a store that holds [`SCHEMA`].
const SCHEMA_VERSION: i64 = 1;
/// How long an outcome waits for company.
const OUTCOME_WAIT: Duration = Duration::from_millis(2);
/// How long a locked store is waited for.
const BUSY: Duration = Duration::from_secs(5);
/// Events one commit may hold.
const GROUP: usize = 256;
/// Outcomes kept for later while the store cannot be written.
const MAX_LATE: usize = 10_000;

/// What callers hand to the writer.
#[derive(Debug)]
pub(super) enum Event {
    Intent { id: String, start: Box<EntryStart>, written: oneshot::Sender<Result<(), AuditUnavailable>> },
    Outcome { id: String, finished: Box<Finished> },
    Finish { done: oneshot::Sender<()> },
}

/// The writer task: owns the connection and the chain's head.
pub(super) struct Writer {
    config: AuditConfig,
    process: String,
    store: Option<SqliteConnection>,
    seq: i64,
    head: String,
    /// Outcomes that could not be written yet; they go first with the next group.
    late: Vec<Event>,
    /// Intents whose outcome the mirror still waits for.
    mirrored: HashMap<String, serde_json::Map<String, serde_json::Value>>,
}

/// One event as it stands in the store.
struct Row {
    seq: i64,
    kind: &'static str,
    id: String,
    at: String,
    body: String,
    hash: String,
}

impl Writer {
    pub(super) fn new(config: AuditConfig) -> Self {
        Writer {
            config,
            process: uuid::Uuid::now_v7().to_string(),
            store: None,
            seq: 0,
            head: String::new(),
            late: Vec::new(),
            mirrored: HashMap::new(),
        }
    }

    /// Runs until every sender is gone.
    pub(super) async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>) {
        let mut group = Vec::with_capacity(GROUP);
        while events.recv_many(&mut group, GROUP).await > 0 {
            // Nobody waits for an outcome, and the next call's intent is likely on its way: one commit for both.
            if group.iter().all(|event| matches!(event, Event::Outcome { .. })) {
                let _ = tokio::time::timeout(OUTCOME_WAIT, events.recv_many(&mut group, GROUP)).await;
            }
            self.write(std::mem::take(&mut group)).await;
        }
    }

    async fn write(&mut self, group: Vec<Event>) {
        let (seq, head) = (self.seq, self.head.clone());
        let mut rows = Vec::with_capacity(group.len());
        let mut written = Vec::new();
        let mut finishing = Vec::new();
        let mut outcomes = Vec::new();
        for event in std::mem::take(&mut self.late).into_iter().chain(group) {
            match event {
                Event::Intent { id, start, written: sender } => {
                    rows.push(self.row("intent", id, &start));
                    written.push(sender);
                }
                Event::Outcome { id, finished } => {
                    rows.push(self.row("outcome", id.clone(), &finished));
                    outcomes.push((id, finished));
                }
                Event::Finish { done } => finishing.push(done),
            }
        }
        let result = self.commit(&rows).await;
        match &result {
            Ok(()) => self.mirror(&rows),
            Err(error) => {
                // What is not in the store is not in the chain either.
                (self.seq, self.head) = (seq, head);
                self.store = None;
                let late = outcomes.into_iter().map(|(id, finished)| Event::Outcome { id, finished });
                self.late = late.take(MAX_LATE).collect();
                tracing::error!(%error, "audit store");
            }
        }
        for sender in written {
            let _ = sender.send(result.clone());
        }
        if !finishing.is_empty() {
            self.end().await;
            for done in finishing {
                let _ = done.send(());
            }
        }
    }

    fn row<T: serde::Serialize>(&mut self, kind: &'static str, id: String, fields: &T) -> Row {
        let at = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let body = serde_json::to_string(fields).unwrap_or_default();
        self.seq += 1;
        let hash = event_hash(&self.head, &self.process, self.seq, kind, &id, &at, &body);
        self.head.clone_from(&hash);
        Row { seq: self.seq, kind, id, at, body, hash }
    }

    async fn commit(&mut self, rows: &[Row]) -> Result<(), AuditUnavailable> {
        if rows.is_empty() {
            return Ok(());
        }
        let unavailable = |error: sqlx::Error| AuditUnavailable { reason: reason(&error) };
        let store = match &mut self.store {
            Some(store) => store,
            slot => slot.insert(open(&self.config, &self.process).await?),
        };
        // One statement, and so one transaction, for any number of events.
        const INSERT: &str = "INSERT INTO event (process, seq, kind, id, at, body, hash)
            SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
            FROM json_each(?2) ORDER BY key";
        let events: Vec<_> =
            rows.iter().map(|row| (row.seq, row.kind, &row.id, &row.at, &row.body, &row.hash)).collect();
        let events = serde_json::to_string(&events).unwrap_or_default();
        sqlx::query(INSERT).bind(self.process.clone()).bind(events).execute(store).await.map_err(unavailable)?;
        Ok(())
    }

    /// Stores the chain's head, so that a tail cut off later shows.
    async fn end(&mut self) {
        let Some(store) = &mut self.store else { return };
        let ended = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let result = sqlx::query("UPDATE process SET ended_at = ?, last_seq = ?, head = ? WHERE process = ?")
            .bind(ended)
            .bind(self.seq)
            .bind(self.head.clone())
            .bind(self.process.clone())
            .execute(store)
            .await;
        if let Err(error) = result {
            tracing::error!(%error, "audit store: the end of the process was not written");
        }
    }

    /// Writes finished records to the mirror, one JSON line each.
    fn mirror(&mut self, rows: &[Row]) {
        let Some(mirror) = &self.config.mirror else { return };
        let mut lines = String::new();
        for row in rows {
            let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(&row.body) else { continue };
            if row.kind == "intent" {
                let mut record = serde_json::Map::new();
                record.insert("id".into(), row.id.clone().into());
                record.insert("started_at".into(), row.at.clone().into());
                record.insert("process".into(), self.process.clone().into());
                record.insert("seq".into(), row.seq.into());
                record.extend(fields);
                self.mirrored.insert(row.id.clone(), record);
            } else if let Some(mut record) = self.mirrored.remove(&row.id) {
                record.extend(fields);
                lines.push_str(&serde_json::Value::Object(record).to_string());
                lines.push('\n');
            }
        }
        let result = match mirror {
            Mirror::Stderr => std::io::stderr().write_all(lines.as_bytes()),
            Mirror::File(path) => append_private(path).and_then(|mut file| file.write_all(lines.as_bytes())),
        };
        if let Err(error) = result {
            tracing::warn!(%error, "audit mirror");
        }
    }
}

/// The hash of an event: SHA-256 over the previous hash and every column, separated by line feeds.
pub(super) fn event_hash(
    previous: &str,
    process: &str,
    seq: i64,
    kind: &str,
    id: &str,
    at: &str,
    body: &str,
) -> String {
    hex(&Sha256::digest(format!("{previous}\n{process}\n{seq}\n{kind}\n{id}\n{at}\n{body}")))
}

async fn open(config: &AuditConfig, process: &str) -> Result<SqliteConnection, AuditUnavailable> {
    let unavailable = |reason: String| AuditUnavailable { reason };
    let path = config
        .path
        .as_deref()
        .ok_or_else(|| unavailable("no directory for it is known; set TUDB_AUDIT_DB to a file".into()))?;
    create_private(path).map_err(|error| unavailable(error.to_string()))?;
    let synchronous = if config.power { SqliteSynchronous::Full } else { SqliteSynchronous::Normal };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .busy_timeout(BUSY)
        .disable_statement_logging();
    // Several processes may open a new store at once; the change to WAL fails at once for all but one of them.
    let began = Instant::now();
    loop {
        let opened = async {
            let mut store = options.connect().await?;
            prepare(&mut store, process).await?;
            Ok::<_, sqlx::Error>(store)
        };
        match opened.await {
            Ok(store) => return Ok(store),
            Err(error) if is_locked(&error) && began.elapsed() < BUSY => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(unavailable(reason(&error))),
        }
    }
}

/// SQLITE_BUSY (5) and its extended codes.
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == 5)
}

/// Migrates the store forward and registers the process.
async fn prepare(store: &mut SqliteConnection, process: &str) -> Result<(), sqlx::Error> {
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *store).await?;
    if version > SCHEMA_VERSION {
        return Err(sqlx::Error::Configuration("the audit store was written by a newer version of tudb".into()));
    }
    if version < SCHEMA_VERSION {
        let mut migration = store.begin_with("BEGIN IMMEDIATE").await?;
        // Another process may have migrated it while this one waited for the lock.
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *migration).await?;
        if version < SCHEMA_VERSION {
            sqlx::raw_sql(SCHEMA).execute(&mut *migration).await?;
            sqlx::raw_sql("PRAGMA user_version = 1").execute(&mut *migration).await?;
        }
        migration.commit().await?;
    }
    sqlx::query("INSERT OR IGNORE INTO process (process, started_at, version) VALUES (?, ?, ?)")
        .bind(process.to_owned())
        .bind(OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default())
        .bind(env!("CARGO_PKG_VERSION"))
        .execute(store)
        .await?;
    Ok(())
}

/// Makes the file and its directory readable by their owner alone; SQLite gives its side files the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory)?;
    }
    append_private(path).map(drop)
}

/// Opens a file to append to, made for its owner alone.
fn append_private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        other => other.to_string(),
    }
}

//! Remembers the schema snapshot of each source. Only one call at a time reads the snapshot of a source. A remembered
//! snapshot is read again only if the catalog has changed or the snapshot is too old.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::options::plain_options;
use super::{Caller, Gateway};
use crate::audit::{EntryStart, Finished, OpenEntry, OutcomeKind};
use crate::config::SourceConfig;
use crate::database::catalog::Snapshot;
use crate::database::{DatabaseError, Purpose};
use crate::dialect::Dialect;
use crate::error::ToolError;
use crate::guard;

/// The remembered snapshots, by the names of the sources.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    remembered: HashMap<String, Mutex<Option<Remembered>>>,
    /// Sources whose schema could not be read within the time limit for a warning.
    slow: std::sync::Mutex<HashSet<String>>,
}

#[derive(Debug)]
struct Remembered {
    snapshot: Arc<Snapshot>,
    /// When the snapshot was read.
    read_at: Instant,
    /// When the catalog was last asked whether it has changed. At first the same time as `read_at`.
    asked_at: Instant,
}

/// What `doctor` measured of a source.
#[derive(Debug)]
pub struct SourceCheck {
    pub snapshot: Arc<Snapshot>,
    /// Time until the schema was read, including connecting.
    pub first_ms: u64,
    /// Time of one small statement on an open connection, with the opening of its transaction.
    pub statement_ms: u64,
}

impl Snapshots {
    pub(super) fn new<'a>(sources: impl Iterator<Item = &'a str>) -> Self {
        let remembered = sources.map(|name| (name.to_owned(), Mutex::default())).collect();
        Snapshots { remembered, ..Snapshots::default() }
    }

    /// Records that the schema of a source was not read within the time limit for a warning.
    pub(super) fn was_slow(&self, source: &str) {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner).insert(source.to_owned());
    }

    /// True if the schema of a source was once not read in time for a warning, and [`Self::known`] has no snapshot.
    pub(super) fn is_slow(&self, source: &str) -> bool {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner).contains(source) && self.known(source).is_none()
    }

    /// The remembered snapshot of a source. `None` if there is none, or while a call reads it or asks for changes.
    pub(super) fn known(&self, source: &str) -> Option<Arc<Snapshot>> {
        let remembered = self.remembered.get(source)?.try_lock().ok()?;
        Some(Arc::clone(&remembered.as_ref()?.snapshot))
    }
}

impl Gateway {
    /// Connects to a source, reads its schema and runs one small statement twice, under one record.
    ///
    /// # Errors
    ///
    /// A failed connection, an exceeded time limit, and `audit_unavailable`.
    pub async fn look(&self, caller: &Caller, source: &SourceConfig) -> Result<SourceCheck, ToolError> {
        let start = EntryStart { source: Some(source.name.clone()), ..self.start(caller, "doctor") };
        let entry = self.audit.begin(start, &caller.outcomes).committed().await?;
        let looked = self.look_at(caller, source, &entry).await;
        entry.close(Finished::of(&looked));
        looked
    }

    async fn look_at(
        &self,
        caller: &Caller,
        source: &SourceConfig,
        entry: &OpenEntry,
    ) -> Result<SourceCheck, ToolError> {
        let ms = |since: Instant| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let began = Instant::now();
        let snapshot = self.snapshot(caller, source, entry).await?;
        let first_ms = ms(began);
        let database = self.router.database(&source.name).await?;
        let options = plain_options(caller, source);
        let approved = guard::approve("SELECT 1", database.dialect(), &source.limits)?;
        let mut began = Instant::now();
        // Only the last run is measured. The run before it can include work that is done once, such as the check of the
        // statement.
        let mut runs = 2;
        let mut may_repeat = true;
        while runs > 0 {
            began = Instant::now();
            let session = database.open(entry.id(), &options, Purpose::Run(&approved)).await?;
            match session.run(entry, &approved, &options).await {
                Ok(_) => runs -= 1,
                Err(DatabaseError::Sql { sqlstate: Some(state), .. })
                    if may_repeat && database.is_retryable(&state) =>
                {
                    may_repeat = false;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(SourceCheck { snapshot, first_ms, statement_ms: ms(began) })
    }

    /// Runs one small statement, under a record of its own, to see whether the source answers.
    ///
    /// # Errors
    ///
    /// A failed connection, an exceeded time limit, and `audit_unavailable`.
    pub async fn ping(&self, caller: &Caller, source: &SourceConfig) -> Result<(), ToolError> {
        let start = EntryStart { source: Some(source.name.clone()), ..self.start(caller, "internal") };
        let entry = self.audit.begin(start, &caller.outcomes).committed().await?;
        let answered = async {
            let database = self.router.database(&source.name).await?;
            let options = plain_options(caller, source);
            let approved = guard::approve("SELECT 1", database.dialect(), &source.limits)?;
            let session = database.open(entry.id(), &options, Purpose::Run(&approved)).await?;
            session.run(&entry, &approved, &options).await.map(drop)?;
            Ok(())
        }
        .await;
        entry.close(Finished::of(&answered));
        answered
    }

    /// Reads the schema of a source under a record of its own.
    ///
    /// # Errors
    ///
    /// A failed connection, an exceeded time limit, and `audit_unavailable`.
    pub async fn read_schema(&self, caller: &Caller, source: &SourceConfig) -> Result<Arc<Snapshot>, ToolError> {
        let start = EntryStart { source: Some(source.name.clone()), ..self.start(caller, "context") };
        let entry = self.audit.begin(start, &caller.outcomes).committed().await?;
        let snapshot = self.snapshot(caller, source, &entry).await;
        entry.close(Finished::of(&snapshot));
        snapshot
    }

    /// Writes and closes a record. Returns a warning if the audit trail does not have the whole record.
    ///
    /// # Errors
    ///
    /// `audit_unavailable`.
    pub async fn check_audit(&self, caller: &Caller) -> Result<Option<String>, ToolError> {
        let entry = self.audit.begin(self.start(caller, "doctor"), &caller.outcomes).committed().await?;
        entry.close(Finished::new(OutcomeKind::Ok));
        Ok(caller.outcomes.written().await)
    }

    /// Returns the schema snapshot of a source. The snapshot is remembered until the catalog changes or the snapshot is
    /// too old. The catalog is asked for changes only if the last time was `snapshot_ttl_ms` ago. The statements that
    /// read the snapshot belong to the open record `entry`.
    ///
    /// # Errors
    ///
    /// A failed connection, or an exceeded time limit.
    pub async fn snapshot(
        &self,
        caller: &Caller,
        source: &SourceConfig,
        entry: &OpenEntry,
    ) -> Result<Arc<Snapshot>, ToolError> {
        self.snapshot_of_age(caller, source, entry, Duration::from_millis(source.limits.snapshot_ttl_ms)).await
    }

    /// Returns a snapshot with the current tables. The known values of columns can be as old as in
    /// [`Gateway::snapshot`].
    pub(super) async fn current_snapshot(
        &self,
        caller: &Caller,
        source: &SourceConfig,
        entry: &OpenEntry,
    ) -> Result<Arc<Snapshot>, ToolError> {
        self.snapshot_of_age(caller, source, entry, Duration::ZERO).await
    }

    /// As [`Gateway::snapshot`]. `age`: how long ago the catalog may have been asked for changes.
    async fn snapshot_of_age(
        &self,
        caller: &Caller,
        source: &SourceConfig,
        entry: &OpenEntry,
        age: Duration,
    ) -> Result<Arc<Snapshot>, ToolError> {
        let place = self.snapshots.remembered.get(&source.name).ok_or_else(ToolError::internal)?;
        // A concurrent call waits here until the snapshot is read. Then it uses that snapshot, unless it needs the
        // current tables: such a call asks the catalog itself.
        let mut remembered = place.lock().await;
        let limits = &source.limits;
        let database = self.router.database(&source.name).await?;
        // A fingerprint does not cover stored values. So a snapshot of SQLite is read again after `snapshot_ttl_ms`. On
        // PostgreSQL the known values may be older.
        let has_values = database.dialect() == Dialect::Postgresql;
        let max_age =
            Duration::from_millis(if has_values { limits.snapshot_max_age_ms } else { limits.snapshot_ttl_ms });
        if let Some(known) = &*remembered
            && known.asked_at.elapsed() < age
            && known.read_at.elapsed() < max_age
        {
            return Ok(Arc::clone(&known.snapshot));
        }
        let unless = remembered.as_ref().filter(|known| known.read_at.elapsed() < max_age);
        let unless = unless.and_then(|known| known.snapshot.fingerprint.as_deref());
        let options = plain_options(caller, source);
        let session = database.open(entry.id(), &options, Purpose::Catalog).await?;
        let now = Instant::now();
        let snapshot = match (session.snapshot(entry, unless, &options).await?, &mut *remembered) {
            (None, Some(known)) => {
                known.asked_at = now;
                return Ok(Arc::clone(&known.snapshot));
            }
            (None, None) => return Err(ToolError::internal()),
            (Some(snapshot), _) => Arc::new(snapshot.obey(&source.column_rules)),
        };
        *remembered = Some(Remembered { snapshot: Arc::clone(&snapshot), read_at: now, asked_at: now });
        Ok(snapshot)
    }
}

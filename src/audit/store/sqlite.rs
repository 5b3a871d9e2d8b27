//! The store as a SQLite file in WAL mode. A new file can be read only by its owner; any number of processes can share it.
//!
//! A commit takes some 30 microseconds, less than handing it to another thread. So the writer task runs it directly.
//! Work that may wait runs in [`blocking::run`], so that it does not hold up other tasks: waiting for the lock of
//! another process, for the disk with `audit.power`, or for a checkpoint.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};

use super::super::chain::{Beginning, Row, Seal};
use super::super::{AuditRemedy, AuditUnavailable};
use super::TIME_LIMIT;
use crate::blocking;

/// The migrations. `PRAGMA user_version` is the number of those applied.
const STEPS: [&str; 2] = [
    include_str!("../../../migrations/audit/0001_events.sql"),
    include_str!("../../../migrations/audit/0002_chains.sql"),
];

/// Pages in the write-ahead log after which a checkpoint copies them to the file: SQLite's own default.
const CHECKPOINT_PAGES: usize = 1_000;
/// Bytes of a page of the file: SQLite's own default.
const PAGE_BYTES: usize = 4_096;

/// An open store, and the identity of its file.
pub(super) struct File {
    connection: Connection,
    path: PathBuf,
    identity: Option<(u64, u64)>,
    /// Whether each commit waits for the disk.
    power: bool,
    /// Pages written since the last checkpoint, about.
    pages: usize,
}

/// Device and inode number of the file at a path.
fn identity(path: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
    }
    #[cfg(not(unix))]
    {
        path.exists().then_some((0, 0))
    }
}

impl File {
    /// Opens the store. Creates it if it does not exist, and migrates an older one.
    pub(super) fn open(path: &Path, power: bool) -> Result<Self, AuditUnavailable> {
        blocking::run(|| {
            create_private(path)
                .map_err(|error| AuditUnavailable { reason: error.to_string(), remedy: AuditRemedy::Place })?;
            // Several processes may open a new store at once. Switching to WAL fails for all but one of them, without
            // waiting.
            let began = Instant::now();
            loop {
                let identity = identity(path);
                match opened(path, power) {
                    Ok(connection) => {
                        return Ok(File { connection, path: path.to_owned(), identity, power, pages: 0 });
                    }
                    Err(OpenError::Store(error)) if is_locked(&error) && began.elapsed() < TIME_LIMIT => {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        })
    }

    /// Whether the path still leads to the file that was opened.
    pub(super) fn is_in_place(&self) -> bool {
        self.identity.is_some() && identity(&self.path) == self.identity
    }

    /// Whether the process's chain ends with this event in the store.
    pub(super) fn ends_with(&mut self, process: &str, seq: i64, head: &str) -> Result<bool, AuditUnavailable> {
        const END: &str = "SELECT COALESCE(e.seq, c.seq, 0) = ?2 AND COALESCE(e.hash, c.head, p.hash) = ?3 FROM process AS p
            LEFT JOIN event AS e ON e.process = p.process AND e.seq = (SELECT max(seq) FROM event WHERE process = p.process)
            LEFT JOIN checkpoint AS c ON c.process = p.process WHERE p.process = ?1";
        self.patiently(|store| {
            match store.query_row(END, params![process, seq, head], |row| row.get::<_, Option<bool>>(0)) {
                Err(rusqlite::Error::QueryReturnedNoRows) => Ok(false),
                ends => ends.map(Option::unwrap_or_default),
            }
        })
    }

    /// Registers a process. Its row names the last registered chain, and every chain that grew since a row last named
    /// it.
    pub(super) fn register(&mut self, beginning: Beginning, seal: &Seal) -> Result<Beginning, AuditUnavailable> {
        self.patiently(|store| registered(store, beginning.clone(), seal))
    }

    /// Adds events in one transaction.
    pub(super) fn insert(&mut self, process: &str, rows: &[Row]) -> Result<(), AuditUnavailable> {
        let added = if self.power {
            self.patiently(|store| add(store, process, rows))?
        } else {
            match add(&mut self.connection, process, rows) {
                Err(error) if is_locked(&error) => self.patiently(|store| add(store, process, rows))?,
                added => added?,
            }
        };
        if added != rows.len() {
            return Err(SchemaFault::Changed.into());
        }
        let bytes: usize = rows.iter().map(|row| row.body.len()).sum();
        self.pages += bytes / PAGE_BYTES + 2;
        Ok(())
    }

    /// Copies the write-ahead log to the file when the log has grown long.
    pub(super) fn checkpoint(&mut self) {
        if self.pages >= CHECKPOINT_PAGES {
            self.pages = 0;
            let done = blocking::run(|| self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())));
            if let Err(error) = done {
                tracing::warn!(%error, "the audit store's write-ahead log was not copied to the file");
            }
        }
    }

    /// Adds the `closing` row of a process: process, time, last sequence number, last hash, hash of the row.
    pub(super) fn close(
        &mut self,
        (process, at, last_seq, head, hash): (&str, &str, i64, &str, &str),
    ) -> Result<(), AuditUnavailable> {
        const INSERT: &str = "INSERT INTO closing (process, at, last_seq, head, hash) VALUES (?, ?, ?, ?, ?)";
        self.patiently(|store| store.execute(INSERT, params![process, at, last_seq, head, hash]).map(drop))
    }

    /// Runs work that waits up to [`TIME_LIMIT`] for the locks of other processes.
    fn patiently<T>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, AuditUnavailable> {
        let store = &mut self.connection;
        Ok(blocking::run(|| {
            store.busy_timeout(TIME_LIMIT)?;
            let done = work(store);
            store.busy_timeout(Duration::ZERO)?;
            done
        })?)
    }
}

/// Returns the number of rows added.
fn add(store: &mut Connection, process: &str, rows: &[Row]) -> rusqlite::Result<usize> {
    const INSERT: &str = "INSERT INTO event (process, seq, kind, id, at, body, hash) VALUES (?, ?, ?, ?, ?, ?, ?)";
    let one = |store: &Connection, row: &Row| {
        store.prepare_cached(INSERT)?.execute(params![process, row.seq, row.kind, row.id, row.at, row.body, row.hash])
    };
    if let [row] = rows {
        return one(store, row);
    }
    let transaction = store.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut added = 0;
    for row in rows {
        added += one(&transaction, row)?;
    }
    transaction.commit()?;
    Ok(added)
}

fn opened(path: &Path, power: bool) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut store = Connection::open_with_flags(path, flags)?;
    store.busy_timeout(TIME_LIMIT)?;
    store.pragma_update(None, "synchronous", if power { "FULL" } else { "NORMAL" })?;
    store.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    // `File::checkpoint` does it, off the commit.
    store.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    migrate(&mut store)?;
    let found: String = store.query_row(SCHEMA, [], |row| row.get(0))?;
    if found != schema_as_made()? {
        return Err(SchemaFault::Changed.into());
    }
    store.busy_timeout(Duration::ZERO)?;
    Ok(store)
}

fn registered(store: &mut Connection, mut beginning: Beginning, seal: &Seal) -> rusqlite::Result<Beginning> {
    // The last event of each chain, newest process first.
    const HEADS: &str =
        "SELECT p.process, COALESCE(e.seq, c.seq, 0), COALESCE(e.hash, c.head, p.hash, ''), l.process IS NOT NULL
        FROM process AS p
        LEFT JOIN event AS e ON e.process = p.process AND e.seq = (SELECT max(seq) FROM event WHERE process = p.process)
        LEFT JOIN checkpoint AS c ON c.process = p.process
        LEFT JOIN closing AS l ON l.process = p.process ORDER BY p.rowid DESC";
    const INSERT: &str =
        "INSERT INTO process (process, started_at, version, key_id, previous, hash) VALUES (?, ?, ?, ?, ?, ?)";
    let registration = store.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut links: Vec<String> = Vec::new();
    {
        let mut query = registration.prepare("SELECT previous FROM process WHERE previous IS NOT NULL")?;
        let noted = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
        let noted: HashSet<&str> = noted.iter().flat_map(|list| list.split(", ")).collect();
        let mut query = registration.prepare(HEADS)?;
        let mut heads = query.query([])?;
        while let Some(row) = heads.next()? {
            let (process, seq, head): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let end = if row.get(3)? { " closed" } else { "" };
            let link = format!("{process} {seq} {head}{end}");
            // The last registered chain is always named, so that no process between two others can be removed
            // unnoticed.
            if links.is_empty() || !noted.contains(link.as_str()) {
                links.push(link);
            }
        }
    }
    beginning.previous = Some(links.join(", ")).filter(|links| !links.is_empty());
    beginning.hash = Some(beginning.expected(seal));
    let Beginning { process, started_at, version, key_id, previous, hash, .. } = &beginning;
    registration.execute(INSERT, params![process, started_at, version, key_id, previous, hash])?;
    registration.commit()?;
    Ok(beginning)
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("{0}")]
    Store(#[from] rusqlite::Error),
    #[error("{0}")]
    Schema(#[from] SchemaFault),
}

impl From<OpenError> for AuditUnavailable {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error.into(),
            OpenError::Schema(fault) => fault.into(),
        }
    }
}

impl From<rusqlite::Error> for AuditUnavailable {
    fn from(error: rusqlite::Error) -> Self {
        AuditUnavailable { reason: error.to_string(), remedy: AuditRemedy::Place }
    }
}

/// What is wrong with a store's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum SchemaFault {
    #[error("the store's tables, views or triggers are not as tudb made them")]
    Changed,
    #[error("the audit store was written by a newer version of tudb")]
    Newer,
}

impl From<SchemaFault> for AuditUnavailable {
    fn from(fault: SchemaFault) -> Self {
        let remedy = match fault {
            SchemaFault::Changed => AuditRemedy::Inspect,
            SchemaFault::Newer => AuditRemedy::Update,
        };
        AuditUnavailable { reason: fault.to_string(), remedy }
    }
}

/// The whole schema of a store as one text.
pub(in super::super) const SCHEMA: &str =
    "SELECT COALESCE(group_concat(type || ' ' || name || ' ' || tbl_name || ' ' || COALESCE(sql, ''), char(10)), '')
        FROM (SELECT * FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY type, name)";

/// Returns what [`SCHEMA`] returns after the migrations. In a store with another schema, a trigger could discard events, and
/// a view could hide them.
pub(in super::super) fn schema_as_made() -> rusqlite::Result<String> {
    let made = Connection::open_in_memory()?;
    for step in STEPS {
        made.execute_batch(step)?;
    }
    made.query_row(SCHEMA, [], |row| row.get(0))
}

fn is_locked(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

fn migrate(store: &mut Connection) -> Result<(), OpenError> {
    let version = |store: &Connection| -> rusqlite::Result<usize> {
        let version: i64 = store.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        Ok(usize::try_from(version).unwrap_or(usize::MAX))
    };
    let done = version(store)?;
    if done > STEPS.len() {
        return Err(SchemaFault::Newer.into());
    }
    if done == STEPS.len() {
        return Ok(());
    }
    let migration = store.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have migrated it while this one waited for the lock.
    let done = version(&migration)?;
    for step in STEPS.into_iter().skip(done) {
        migration.execute_batch(step)?;
    }
    migration.pragma_update(None, "user_version", 2)?;
    Ok(migration.commit()?)
}

/// Creates the file and its directory if they do not exist, readable only by their owner. Modes of existing ones are
/// kept. SQLite gives its side files the mode of the file.
fn create_private(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory)?;
    }
    super::mirror::append_private(path).map(drop)
}

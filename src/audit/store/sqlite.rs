//! The store as a SQLite file in WAL mode. Only its owner can read it; any number of processes can share it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row as _, SqliteConnection};

use super::super::chain::{Beginning, Row, Seal};
use super::super::{AuditRemedy, AuditUnavailable};
use super::{PATIENCE, unavailable};

/// The migrations. `PRAGMA user_version` is the number of those applied.
const STEPS: [&str; 2] = [
    include_str!("../../../migrations/audit/0001_events.sql"),
    include_str!("../../../migrations/audit/0002_chains.sql"),
];

/// An open store, and the identity of its file.
pub(super) struct File {
    connection: SqliteConnection,
    path: PathBuf,
    identity: Option<(u64, u64)>,
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
    pub(super) async fn open(path: &Path, power: bool) -> Result<Self, AuditUnavailable> {
        create_private(path)
            .map_err(|error| AuditUnavailable { reason: error.to_string(), remedy: AuditRemedy::Place })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(if power { SqliteSynchronous::Full } else { SqliteSynchronous::Normal })
            .busy_timeout(PATIENCE)
            .disable_statement_logging();
        // Several processes may open a new store at once. Switching to WAL fails for all but one of them, without
        // waiting.
        let began = Instant::now();
        loop {
            let identity = identity(path);
            let opened = async {
                let mut store = options.connect().await?;
                migrate(&mut store).await?;
                if !is_as_made(&mut store).await? {
                    return Err(sqlx::Error::Configuration(SchemaFault::Changed.into()));
                }
                Ok::<_, sqlx::Error>(store)
            };
            match opened.await {
                Ok(connection) => return Ok(File { connection, path: path.to_owned(), identity }),
                Err(error) if is_locked(&error) && began.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(unavailable(error)),
            }
        }
    }

    /// Whether the path still leads to the file that was opened.
    pub(super) fn is_in_place(&self) -> bool {
        self.identity.is_some() && identity(&self.path) == self.identity
    }

    /// Whether the process's chain ends with this event in the store.
    pub(super) async fn ends_with(&mut self, process: &str, seq: i64, head: &str) -> Result<bool, AuditUnavailable> {
        const END: &str = "SELECT COALESCE(e.seq, c.seq, 0) = ?2 AND COALESCE(e.hash, c.head, p.hash) = ?3 FROM process AS p
            LEFT JOIN event AS e ON e.process = p.process AND e.seq = (SELECT max(seq) FROM event WHERE process = p.process)
            LEFT JOIN checkpoint AS c ON c.process = p.process WHERE p.process = ?1";
        let ends = sqlx::query_scalar(END).bind(process.to_owned()).bind(seq).bind(head.to_owned());
        let ends: Option<Option<bool>> = ends.fetch_optional(&mut self.connection).await.map_err(unavailable)?;
        Ok(ends.flatten().unwrap_or(false))
    }

    /// Registers a process. Its row names the last registered chain, and every chain that grew since a row last named
    /// it.
    pub(super) async fn register(&mut self, beginning: Beginning, seal: &Seal) -> Result<Beginning, AuditUnavailable> {
        registered(&mut self.connection, beginning, seal).await.map_err(unavailable)
    }

    /// Adds events in one statement, and therefore in one transaction.
    pub(super) async fn insert(&mut self, process: &str, rows: &[Row]) -> Result<(), AuditUnavailable> {
        const INSERT: &str = "INSERT INTO event (process, seq, kind, id, at, body, hash)
            SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
            FROM json_each(?2) ORDER BY key";
        let events = super::json(
            &rows.iter().map(|row| (row.seq, &row.kind, &row.id, &row.at, &row.body, &row.hash)).collect::<Vec<_>>(),
        );
        let insert = sqlx::query(INSERT).bind(process.to_owned()).bind(events);
        let added = insert.execute(&mut self.connection).await.map_err(unavailable)?.rows_affected();
        if usize::try_from(added) != Ok(rows.len()) {
            return Err(unavailable(sqlx::Error::Configuration(SchemaFault::Changed.into())));
        }
        Ok(())
    }

    /// Adds the `closing` row of a process: process, time, last sequence number, last hash, hash of the row.
    pub(super) async fn close(
        &mut self,
        (process, at, last_seq, head, hash): (&str, &str, i64, &str, &str),
    ) -> Result<(), AuditUnavailable> {
        let insert = sqlx::query("INSERT INTO closing (process, at, last_seq, head, hash) VALUES (?, ?, ?, ?, ?)")
            .bind(process.to_owned())
            .bind(at.to_owned())
            .bind(last_seq)
            .bind(head.to_owned())
            .bind(hash.to_owned());
        insert.execute(&mut self.connection).await.map(drop).map_err(unavailable)
    }
}

async fn registered(
    store: &mut SqliteConnection,
    mut beginning: Beginning,
    seal: &Seal,
) -> Result<Beginning, sqlx::Error> {
    // The last event of each chain, newest process first.
    const HEADS: &str =
        "SELECT p.process, COALESCE(e.seq, c.seq, 0), COALESCE(e.hash, c.head, p.hash, ''), l.process IS NOT NULL
        FROM process AS p
        LEFT JOIN event AS e ON e.process = p.process AND e.seq = (SELECT max(seq) FROM event WHERE process = p.process)
        LEFT JOIN checkpoint AS c ON c.process = p.process
        LEFT JOIN closing AS l ON l.process = p.process ORDER BY p.rowid DESC";
    let mut registration = store.begin_with("BEGIN IMMEDIATE").await?;
    let noted: Vec<Option<String>> =
        sqlx::query_scalar("SELECT previous FROM process").fetch_all(&mut *registration).await?;
    let noted: HashSet<&str> = noted.iter().flatten().flat_map(|list| list.split(", ")).collect();
    let mut links = Vec::new();
    for row in sqlx::query(HEADS).fetch_all(&mut *registration).await? {
        let (process, seq, head): (String, i64, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let end = if row.try_get::<bool, _>(3)? { " closed" } else { "" };
        let link = format!("{process} {seq} {head}{end}");
        // The last registered chain is always named, so that no process between two others can be removed unnoticed.
        if links.is_empty() || !noted.contains(link.as_str()) {
            links.push(link);
        }
    }
    beginning.previous = Some(links.join(", ")).filter(|links| !links.is_empty());
    beginning.hash = Some(beginning.expected(seal));
    sqlx::query("INSERT INTO process (process, started_at, version, key_id, previous, hash) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(beginning.process.clone())
        .bind(beginning.started_at.clone())
        .bind(beginning.version.clone())
        .bind(beginning.key_id.clone())
        .bind(beginning.previous.clone())
        .bind(beginning.hash.clone())
        .execute(&mut *registration)
        .await?;
    registration.commit().await?;
    Ok(beginning)
}

/// What is wrong with a store's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum SchemaFault {
    #[error("the store's tables, views or triggers are not as tudb made them")]
    Changed,
    #[error("the audit store was written by a newer version of tudb")]
    Newer,
}

/// Whether the schema is what the migrations make. A trigger could discard events, and a view could hide them.
pub(in super::super) async fn is_as_made(store: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    const SCHEMA: &str = "SELECT COALESCE(group_concat(type || ' ' || name || ' ' || tbl_name || ' ' || COALESCE(sql, ''), char(10)), '')
        FROM (SELECT * FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY type, name)";
    let mut made = SqliteConnectOptions::new().in_memory(true).disable_statement_logging().connect().await?;
    for step in STEPS {
        sqlx::raw_sql(step).execute(&mut made).await?;
    }
    let expected: String = sqlx::query_scalar(SCHEMA).fetch_one(&mut made).await?;
    made.close().await?;
    let found: String = sqlx::query_scalar(SCHEMA).fetch_one(store).await?;
    Ok(found == expected)
}

/// SQLITE_BUSY (5) and its extended codes.
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == 5)
}

async fn migrate(store: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let version = async |store: &mut SqliteConnection| -> Result<usize, sqlx::Error> {
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(store).await?;
        Ok(usize::try_from(version).unwrap_or(usize::MAX))
    };
    let done = version(store).await?;
    if done > STEPS.len() {
        return Err(sqlx::Error::Configuration(SchemaFault::Newer.into()));
    }
    if done == STEPS.len() {
        return Ok(());
    }
    let mut migration = store.begin_with("BEGIN IMMEDIATE").await?;
    // Another process may have migrated it while this one waited for the lock.
    let done = version(&mut migration).await?;
    for step in STEPS.into_iter().skip(done) {
        sqlx::raw_sql(step).execute(&mut *migration).await?;
    }
    sqlx::raw_sql("PRAGMA user_version = 2").execute(&mut *migration).await?;
    migration.commit().await
}

/// Makes the file and its directory readable only by their owner. SQLite gives its side files the same mode.
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

//! The store as a SQLite file: WAL, its owner's alone, shared by any number of processes.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row as _, SqliteConnection};

use super::super::AuditUnavailable;
use super::super::chain::{Beginning, Row, Seal};
use super::{PATIENCE, unavailable};

/// The schema's steps; `PRAGMA user_version` says how many of them a store has.
const STEPS: [&str; 2] = [
    include_str!("../../../migrations/audit/0001_events.sql"),
    include_str!("../../../migrations/audit/0002_chains.sql"),
];

/// Opens the store, makes it where there is none, and brings an older one forward.
pub(super) async fn open(path: &Path, power: bool) -> Result<SqliteConnection, AuditUnavailable> {
    create_private(path).map_err(|error| AuditUnavailable { reason: error.to_string() })?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(if power { SqliteSynchronous::Full } else { SqliteSynchronous::Normal })
        .busy_timeout(PATIENCE)
        .disable_statement_logging();
    // Several processes may open a new store at once; the change to WAL fails at once for all but one of them.
    let began = Instant::now();
    loop {
        let opened = async {
            let mut store = options.connect().await?;
            migrate(&mut store).await?;
            Ok::<_, sqlx::Error>(store)
        };
        match opened.await {
            Ok(store) => return Ok(store),
            Err(error) if is_locked(&error) && began.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(unavailable(error)),
        }
    }
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
        return Err(sqlx::Error::Configuration("the audit store was written by a newer version of tudb".into()));
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

/// Registers a process behind the one before it.
pub(super) async fn register(
    store: &mut SqliteConnection,
    mut beginning: Beginning,
    seal: &Seal,
) -> Result<Beginning, AuditUnavailable> {
    const LAST: &str =
        "SELECT p.process || ' ' || COALESCE(e.seq, c.seq, 0) || ' ' || COALESCE(e.hash, c.head, p.hash, '')
        FROM (SELECT process, hash FROM process ORDER BY rowid DESC LIMIT 1) AS p
        LEFT JOIN event AS e ON e.process = p.process AND e.seq = (SELECT max(seq) FROM event WHERE process = p.process)
        LEFT JOIN checkpoint AS c ON c.process = p.process";
    let registered = async {
        let mut registration = store.begin_with("BEGIN IMMEDIATE").await?;
        let last = sqlx::query(LAST).fetch_optional(&mut *registration).await?;
        beginning.previous = last.map(|row| row.try_get(0)).transpose()?;
        beginning.hash = Some(beginning.expected(seal));
        sqlx::query(
            "INSERT INTO process (process, started_at, version, key_id, previous, hash) VALUES (?, ?, ?, ?, ?, ?)",
        )
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
    };
    registered.await.map_err(unavailable)
}

/// Adds events in one statement, and so in one transaction.
pub(super) async fn insert(store: &mut SqliteConnection, process: &str, rows: &[Row]) -> Result<(), AuditUnavailable> {
    const INSERT: &str = "INSERT INTO event (process, seq, kind, id, at, body, hash)
        SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
        FROM json_each(?2) ORDER BY key";
    let events = super::json(
        &rows.iter().map(|row| (row.seq, &row.kind, &row.id, &row.at, &row.body, &row.hash)).collect::<Vec<_>>(),
    );
    sqlx::query(INSERT).bind(process.to_owned()).bind(events).execute(store).await.map_err(unavailable)?;
    Ok(())
}

/// Adds the row of a process's end: process, time, seq, head, hash.
pub(super) async fn close(
    store: &mut SqliteConnection,
    (process, at, last_seq, head, hash): (&str, &str, i64, &str, &str),
) -> Result<(), AuditUnavailable> {
    sqlx::query("INSERT INTO closing (process, at, last_seq, head, hash) VALUES (?, ?, ?, ?, ?)")
        .bind(process.to_owned())
        .bind(at.to_owned())
        .bind(last_seq)
        .bind(head.to_owned())
        .bind(hash.to_owned())
        .execute(store)
        .await
        .map_err(unavailable)?;
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
    super::mirror::append_private(path).map(drop)
}

//! Removes old records. A checkpoint replaces the removed beginning of each chain, so that the rest can still be
//! verified.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row as _, SqliteConnection};

use super::chain::Checkpoint;
use super::store::{TIME_LIMIT, now, seal};
use super::trail::{Trail, TrailError};
use crate::config::{AuditConfig, AuditStore};

/// A time later than that of every record. With it, `verify` accepts chains without a key, except after a chain with a
/// key.
const ANY_TIME: &str = "9999";
/// Estimated bytes of an event besides its body.
const EVENT_BYTES: i64 = 250;

/// What to keep. Without `from` and `max_bytes`: all.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    /// Remove records with an earlier id. An id begins with its time.
    pub from: Option<String>,
    /// Keep the newest records, up to this many bytes.
    pub max_bytes: Option<u64>,
    /// Id of the removal's own record. It and later records are kept.
    pub own: Option<String>,
}

/// Removes older or excess events, and returns how many.
///
/// # Errors
///
/// The store is no file, it has faults, its key cannot be read, or sqlx fails.
pub async fn prune(config: &AuditConfig, retention: &Retention) -> Result<u64, TrailError> {
    let AuditStore::File(path) = &config.store else {
        let reason = "`tudb audit prune` works only on a store in a file; on PostgreSQL the owner of the audit tables \
                      has to delete old records, because TUDB's role may only insert";
        return Err(TrailError::Unavailable(reason.into()));
    };
    // After the removal only the checkpoint shows that the removed events were intact, so they are verified first.
    let verdict = Trail::open(config).await?.verify(Some(ANY_TIME)).await?;
    if let Some(fault) = verdict.faults.first() {
        let reason = format!("nothing was removed: the trail has faults, see `tudb audit verify`: {fault}");
        return Err(TrailError::Unavailable(reason));
    }
    let seal = seal(config).map_err(TrailError::Unavailable)?;
    let mut store = open(path).await?;
    let mut removal = store.begin_with("BEGIN IMMEDIATE").await?;
    let mut keep = retention.from.clone();
    if let Some(most) = retention.max_bytes {
        const LAST_OVER: &str =
            "SELECT id FROM (SELECT id, sum(length(body) + ?1) OVER (ORDER BY id DESC) AS total FROM event)
            WHERE total > ?2 ORDER BY id DESC LIMIT 1";
        let over: Option<String> = sqlx::query_scalar(LAST_OVER)
            .bind(EVENT_BYTES)
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .fetch_optional(&mut *removal)
            .await?;
        // `~` sorts after every character of an id: keep what follows the last excess event.
        keep = keep.max(over.map(|id| format!("{id}~")));
    }
    let Some(keep) = keep.map(|keep| retention.own.iter().cloned().fold(keep, Ord::min)) else { return Ok(0) };
    // For each chain, selects the last event to remove: the one before the first kept event, or the last event of the
    // chain if none is kept.
    const LAST_REMOVED: &str = "SELECT p.process, e.seq, e.hash, COALESCE(c.removed, 0),
          (SELECT count(*) FROM event WHERE process = p.process AND seq <= e.seq)
        FROM process AS p JOIN event AS e ON e.process = p.process AND e.seq = (
          SELECT max(seq) FROM event WHERE process = p.process AND seq < COALESCE(
            (SELECT min(seq) FROM event WHERE process = p.process AND id >= ?1), 9223372036854775807))
        LEFT JOIN checkpoint AS c ON c.process = p.process";
    let mut all = 0;
    for row in sqlx::query(LAST_REMOVED).bind(keep).fetch_all(&mut *removal).await? {
        let process: String = row.try_get(0)?;
        let (removed_before, removed): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
        let mut checkpoint = Checkpoint {
            seq: row.try_get(1)?,
            head: row.try_get(2)?,
            at: now(),
            removed: removed_before + removed,
            key_id: seal.key_id(),
            hash: String::new(),
        };
        checkpoint.hash = checkpoint.expected(&seal, &process);
        sqlx::query("DELETE FROM event WHERE process = ? AND seq <= ?")
            .bind(process.clone())
            .bind(checkpoint.seq)
            .execute(&mut *removal)
            .await?;
        sqlx::query("INSERT OR REPLACE INTO checkpoint (process, seq, head, at, removed, key_id, hash) VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(process)
            .bind(checkpoint.seq)
            .bind(checkpoint.head)
            .bind(checkpoint.at)
            .bind(checkpoint.removed)
            .bind(checkpoint.key_id)
            .bind(checkpoint.hash)
            .execute(&mut *removal)
            .await?;
        all += u64::try_from(removed).unwrap_or(0);
    }
    removal.commit().await?;
    if all > 0 {
        // VACUUM fails while another process writes to the file. SQLite reuses the free pages anyway.
        if let Err(error) = sqlx::raw_sql("VACUUM").execute(&mut store).await {
            tracing::info!(%error, "the audit store's file keeps its size for now");
        }
    }
    store.close().await?;
    Ok(all)
}

async fn open(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(TIME_LIMIT);
    options.disable_statement_logging().connect().await
}

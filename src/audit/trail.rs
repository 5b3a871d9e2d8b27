//! Reading the audit trail: records for `audit show` and `export`, and `audit verify`.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row, SqliteConnection};

use super::store::event_hash;

/// A store opened for reading.
pub struct Trail {
    store: SqliteConnection,
}

/// Which records are wanted; empty fields want all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub tool: Option<String>,
    pub decision: Option<String>,
    /// Newest records, at most this many; all when `None`.
    pub last: Option<i64>,
}

/// What `verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub events: u64,
    pub processes: u64,
    /// One sentence for each event that is changed, missing or out of order.
    pub faults: Vec<String>,
    /// Ids of intents without an outcome.
    pub unfinished: Vec<String>,
}

/// Columns of the `record` view, in the order in which they are shown.
pub const FIELDS: [&str; 24] = [
    "id",
    "started_at",
    "process",
    "seq",
    "client",
    "tool",
    "source",
    "user_id",
    "session_id",
    "question_id",
    "question",
    "sql",
    "decision",
    "code",
    "outcome",
    "row_count",
    "reply_bytes",
    "elapsed_ms",
    "sqlstate",
    "engine",
    "model",
    "input_tokens",
    "output_tokens",
    "traceparent",
];

impl Trail {
    /// Opens the store without changing it.
    ///
    /// # Errors
    ///
    /// sqlx's, when there is no store at `path` or it cannot be read.
    pub async fn open(path: &Path) -> Result<Trail, sqlx::Error> {
        let store = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(std::time::Duration::from_secs(5))
            .disable_statement_logging()
            .connect()
            .await?;
        Ok(Trail { store })
    }

    /// The records that match, oldest first, one JSON object each; fields without a value are left out.
    ///
    /// # Errors
    ///
    /// sqlx's, when the store cannot be read.
    pub async fn records(&mut self, filter: &Filter) -> Result<Vec<serde_json::Value>, sqlx::Error> {
        const QUERY: &str = "SELECT * FROM (SELECT * FROM record
            WHERE (?1 IS NULL OR tool = ?1) AND (?2 IS NULL OR decision = ?2)
            ORDER BY started_at DESC, process DESC, seq DESC LIMIT ?3) ORDER BY started_at, process, seq";
        let rows = sqlx::query(QUERY)
            .bind(filter.tool.clone())
            .bind(filter.decision.clone())
            .bind(filter.last.unwrap_or(-1))
            .fetch_all(&mut self.store)
            .await?;
        rows.iter()
            .map(|row| {
                let mut record = serde_json::Map::new();
                for field in FIELDS {
                    let value = match row.try_get_unchecked::<Option<i64>, _>(field) {
                        Ok(Some(number)) if NUMBERS.contains(&field) => number.into(),
                        _ => match row.try_get_unchecked::<Option<String>, _>(field)? {
                            Some(text) => text.into(),
                            None => continue,
                        },
                    };
                    record.insert(field.to_owned(), value);
                }
                Ok(serde_json::Value::Object(record))
            })
            .collect()
    }

    /// Recomputes every chain.
    ///
    /// It finds a changed, removed, inserted or reordered event, at the end of a process's chain too once that process
    /// has ended regularly. It cannot find a whole chain rewritten by someone who recomputes all hashes, nor events cut
    /// from the end of a process that died.
    ///
    /// # Errors
    ///
    /// sqlx's, when the store cannot be read.
    pub async fn verify(&mut self) -> Result<Verdict, sqlx::Error> {
        let mut verdict = Verdict::default();
        let processes = sqlx::query("SELECT process, last_seq, head FROM process ORDER BY started_at, process")
            .fetch_all(&mut self.store)
            .await?;
        let strangers: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT process FROM event WHERE process NOT IN (SELECT process FROM process) ORDER BY 1",
        )
        .fetch_all(&mut self.store)
        .await?;
        verdict.faults.extend(strangers.iter().map(|process| format!("process {process} has events but no start")));
        for process in processes {
            let name: String = process.try_get("process")?;
            let last: Option<i64> = process.try_get("last_seq")?;
            let stored_head: Option<String> = process.try_get("head")?;
            verdict.processes += 1;
            let events = sqlx::query("SELECT seq, kind, id, at, body, hash FROM event WHERE process = ? ORDER BY seq")
                .bind(name.clone())
                .fetch_all(&mut self.store)
                .await?;
            let mut head = String::new();
            let mut seq = 0;
            for event in events {
                verdict.events += 1;
                seq += 1;
                let (at_seq, kind, id): (i64, String, String) =
                    (event.try_get("seq")?, event.try_get("kind")?, event.try_get("id")?);
                let (at, body, hash): (String, String, String) =
                    (event.try_get("at")?, event.try_get("body")?, event.try_get("hash")?);
                if at_seq != seq {
                    verdict.faults.push(format!("process {name}: event {seq} is missing (record {id} follows)"));
                    seq = at_seq;
                } else if event_hash(&head, &name, at_seq, &kind, &id, &at, &body) != hash {
                    verdict.faults.push(format!("process {name}: event {at_seq} ({kind} of record {id}) was changed"));
                }
                head = hash;
            }
            if let Some(last) = last
                && (last != seq || stored_head.as_deref() != Some(&head))
            {
                verdict.faults.push(format!("process {name}: ended with event {last}, but the chain ends with {seq}"));
            }
        }
        verdict.unfinished =
            sqlx::query_scalar("SELECT id FROM record WHERE outcome = 'unfinished' ORDER BY started_at, seq")
                .fetch_all(&mut self.store)
                .await?;
        Ok(verdict)
    }
}

/// Fields that are numbers in JSON.
const NUMBERS: [&str; 6] = ["seq", "row_count", "reply_bytes", "elapsed_ms", "input_tokens", "output_tokens"];

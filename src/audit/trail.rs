//! Reading the audit trail, in either kind of store: records for `audit show` and `export`, and `audit verify`.

use std::path::Path;

use serde_json::{Map, Value};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, Row as _, SqliteConnection};

use super::chain::{Beginning, Checkpoint, Row, Seal, closing};
use super::store::{connect_postgres, seal};
use crate::config::{AuditConfig, AuditStore};

/// `PRAGMA user_version` of a store that has all that is read here.
const VERSION: i64 = 2;
/// Events read at once.
const PAGE: usize = 5_000;

/// A store opened for reading.
pub struct Trail {
    store: Reader,
    seal: Seal,
}

enum Reader {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// The trail cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Store(#[from] sqlx::Error),
}

/// Which records are wanted; empty fields want all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub tool: Option<String>,
    pub decision: Option<String>,
    pub outcome: Option<String>,
    pub source: Option<String>,
    pub user: Option<String>,
    /// Records of this id, and those that belong to it.
    pub id: Option<String>,
    /// In the question or the statement, in any case.
    pub text: Option<String>,
    /// Ids from here on, and before there; ids begin with their time.
    pub from: Option<String>,
    pub before: Option<String>,
    /// Newest records, at most this many; all when `None`.
    pub last: Option<u64>,
}

/// What `verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub events: u64,
    pub processes: u64,
    /// Events that retention removed under a checkpoint.
    pub removed: u64,
    /// Whether every chain was made with the key that is configured.
    pub keyed: bool,
    /// One sentence for each event that is changed, missing or out of order.
    pub faults: Vec<String>,
    /// Ids of intents without an outcome.
    pub unfinished: Vec<String>,
}

/// Columns of the `record` view, in the order in which they are shown.
pub const FIELDS: [&str; 25] = [
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
    "cost",
    "traceparent",
];

/// Fields that are numbers in JSON.
const NUMBERS: [&str; 7] = ["seq", "row_count", "reply_bytes", "elapsed_ms", "input_tokens", "output_tokens", "cost"];

type Cells = Vec<Option<String>>;

impl Reader {
    /// Rows of texts; `{}` stands before each table's name.
    async fn rows(&mut self, sql: &str, binds: &[Option<&str>]) -> Result<Vec<Cells>, sqlx::Error> {
        match self {
            Reader::Sqlite(store) => {
                let mut query = sqlx::query(AssertSqlSafe(sql.replace("{}", "")));
                for bind in binds {
                    query = query.bind(bind.map(str::to_owned));
                }
                let rows = query.fetch_all(store).await?;
                rows.iter().map(|row| (0..row.len()).map(|at| row.try_get(at)).collect()).collect()
            }
            Reader::Postgres(store) => {
                let mut query = sqlx::query(AssertSqlSafe(sql.replace("{}", "tudb_audit.")));
                for bind in binds {
                    query = query.bind(bind.map(str::to_owned));
                }
                let rows = query.fetch_all(store).await?;
                rows.iter().map(|row| (0..row.len()).map(|at| row.try_get(at)).collect()).collect()
            }
        }
    }
}

/// The cells of a row, one after the other.
struct Taken(std::vec::IntoIter<Option<String>>);

impl Taken {
    fn text(&mut self) -> String {
        self.optional().unwrap_or_default()
    }

    fn optional(&mut self) -> Option<String> {
        self.0.next().flatten()
    }

    fn number(&mut self) -> i64 {
        self.text().parse().unwrap_or_default()
    }
}

impl Trail {
    /// Opens the configured store without changing it.
    ///
    /// # Errors
    ///
    /// When there is no store, when it cannot be read, and when its key cannot be read.
    pub async fn open(config: &AuditConfig) -> Result<Trail, TrailError> {
        let seal = seal(config).map_err(TrailError::Unavailable)?;
        let store = match &config.store {
            AuditStore::Nowhere => {
                return Err(TrailError::Unavailable("no audit store is known; set TUDB_AUDIT_DB".into()));
            }
            AuditStore::File(path) => Reader::Sqlite(open_file(path).await?),
            AuditStore::Postgres(url) => {
                let store = connect_postgres(url).await;
                Reader::Postgres(store.map_err(|error| TrailError::Unavailable(error.reason))?)
            }
        };
        Ok(Trail { store, seal })
    }

    /// The records that match, oldest first, one JSON object each; fields without a value are left out.
    ///
    /// # Errors
    ///
    /// sqlx's, when the store cannot be read.
    pub async fn records(&mut self, filter: &Filter) -> Result<Vec<Value>, TrailError> {
        let fields = FIELDS.map(|field| format!("CAST({field} AS TEXT)")).join(", ");
        let query = format!(
            "SELECT {fields} FROM {{}}record
             WHERE ($1 IS NULL OR tool = $1) AND ($2 IS NULL OR decision = $2) AND ($3 IS NULL OR outcome = $3)
               AND ($4 IS NULL OR source = $4) AND ($5 IS NULL OR user_id = $5)
               AND ($6 IS NULL OR CAST(id AS TEXT) = $6 OR question_id = $6)
               AND ($7 IS NULL OR lower(question) LIKE $7 ESCAPE '!' OR lower(sql) LIKE $7 ESCAPE '!')
               AND ($8 IS NULL OR CAST(id AS TEXT) >= $8) AND ($9 IS NULL OR CAST(id AS TEXT) < $9)
             ORDER BY id DESC LIMIT CAST($10 AS BIGINT)"
        );
        let text = filter.text.as_ref().map(|text| {
            let literal = text.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
            format!("%{literal}%")
        });
        let last = filter.last.and_then(|last| i64::try_from(last).ok()).unwrap_or(i64::MAX).to_string();
        let binds = [
            filter.tool.as_deref(),
            filter.decision.as_deref(),
            filter.outcome.as_deref(),
            filter.source.as_deref(),
            filter.user.as_deref(),
            filter.id.as_deref(),
            text.as_deref(),
            filter.from.as_deref(),
            filter.before.as_deref(),
            Some(&last),
        ];
        let rows = self.store.rows(&query, &binds).await?;
        let record = |cells: Cells| {
            let named = FIELDS.into_iter().zip(cells);
            let known = named.filter_map(|(field, cell)| Some((field, cell?)));
            let typed = known.map(|(field, text)| {
                let number = serde_json::from_str(&text).ok().filter(|_| NUMBERS.contains(&field));
                (field.to_owned(), number.map_or(Value::String(text), Value::Number))
            });
            Value::Object(typed.collect::<Map<_, _>>())
        };
        Ok(rows.into_iter().rev().map(record).collect())
    }

    /// How many calls of processes that have not ended regularly have no outcome: they were killed, or still run.
    ///
    /// # Errors
    ///
    /// sqlx's, when the store cannot be read.
    pub async fn unfinished(&mut self) -> Result<u64, TrailError> {
        const COUNT: &str = "SELECT CAST(count(*) AS TEXT) FROM {}event AS i
            WHERE i.kind = 'intent' AND i.process IN (SELECT process FROM {}process WHERE process NOT IN (SELECT process FROM {}closing))
              AND NOT EXISTS (SELECT 1 FROM {}event AS o WHERE o.process = i.process AND o.id = i.id AND o.kind = 'outcome')";
        let rows = self.store.rows(COUNT, &[]).await?;
        let mut cells = rows.into_iter().next().map(|cells| Taken(cells.into_iter()));
        Ok(cells.as_mut().map_or(0, |cells| u64::try_from(cells.number()).unwrap_or(0)))
    }

    /// Recomputes every chain.
    ///
    /// It finds a changed, removed, inserted or reordered event; at the end of a process's chain too once that process
    /// has ended regularly or another one was registered behind it (in a file); a removed process once another one was
    /// registered behind it. With a key a chain cannot be rewritten by who does not have it. It cannot find events cut
    /// from the end of the newest process when that one died, nor, without a key, chains rewritten with new hashes.
    ///
    /// # Errors
    ///
    /// sqlx's, when the store cannot be read.
    pub async fn verify(&mut self) -> Result<Verdict, TrailError> {
        let mut verdict = Verdict { keyed: self.seal.key_id().is_some(), ..Verdict::default() };
        let strangers = "SELECT CAST(process AS TEXT) FROM {}event WHERE process NOT IN (SELECT process FROM {}process) GROUP BY process
            UNION SELECT CAST(process AS TEXT) FROM {}closing WHERE process NOT IN (SELECT process FROM {}process) ORDER BY 1";
        for cells in self.store.rows(strangers, &[]).await? {
            verdict.faults.push(format!("process {} has events but no beginning", Taken(cells.into_iter()).text()));
        }
        let order = match self.store {
            Reader::Sqlite(_) => "rowid",
            Reader::Postgres(_) => "registered",
        };
        let processes = format!(
            "SELECT CAST(process AS TEXT), started_at, version, key_id, previous, hash FROM {{}}process ORDER BY {order}"
        );
        let mut keyed_before = false;
        for cells in self.store.rows(&processes, &[]).await? {
            let mut cells = Taken(cells.into_iter());
            let process = Beginning {
                process: cells.text(),
                started_at: cells.text(),
                version: cells.text(),
                key_id: cells.optional(),
                previous: cells.optional(),
                hash: cells.optional(),
            };
            verdict.processes += 1;
            if process.key_id.is_none() && keyed_before {
                verdict
                    .faults
                    .push(format!("process {}: has no key although those before it have one", process.process));
            }
            keyed_before |= process.key_id.is_some();
            self.verify_process(&process, &mut verdict).await?;
        }
        let unfinished = "SELECT CAST(id AS TEXT) FROM {}record WHERE outcome = 'unfinished' ORDER BY id";
        for cells in self.store.rows(unfinished, &[]).await? {
            verdict.unfinished.push(Taken(cells.into_iter()).text());
        }
        Ok(verdict)
    }

    async fn verify_process(&mut self, process: &Beginning, verdict: &mut Verdict) -> Result<(), TrailError> {
        let name = process.process.as_str();
        let seal = if process.key_id.is_some() { self.seal.clone() } else { Seal::default() };
        if process.key_id != seal.key_id() {
            verdict.keyed = false;
            verdict
                .faults
                .push(format!("process {name}: its key is not the one of audit.key_file, so it cannot be checked"));
            return Ok(());
        }
        verdict.keyed &= process.key_id.is_some();
        if process.hash.as_ref().is_some_and(|hash| *hash != process.expected(&seal)) {
            verdict.faults.push(format!("process {name}: its beginning was changed"));
        }
        if let Some(previous) = &process.previous {
            verdict.faults.extend(self.missing_link(name, previous).await?);
        }
        let mut head = process.hash.clone().unwrap_or_default();
        let mut seq = 0;
        if let Some(checkpoint) = self.checkpoint(name).await? {
            if checkpoint.hash != checkpoint.expected(&seal, name) || checkpoint.key_id != process.key_id {
                verdict.faults.push(format!("process {name}: its checkpoint was changed, or made without the key"));
            }
            verdict.removed += u64::try_from(checkpoint.removed).unwrap_or(0);
            (head, seq) = (checkpoint.head, checkpoint.seq);
        }
        loop {
            let events = self.events(name, seq).await?;
            let count = events.len();
            for event in events {
                verdict.events += 1;
                if event.seq != seq + 1 {
                    verdict.faults.push(format!(
                        "process {name}: event {} is missing (record {} follows)",
                        seq + 1,
                        event.id
                    ));
                } else if event.expected(&seal, &head, name) != event.hash {
                    verdict.faults.push(format!(
                        "process {name}: event {} ({} of record {}) was changed",
                        event.seq, event.kind, event.id
                    ));
                }
                seq = event.seq;
                head = event.hash;
            }
            if count < PAGE {
                break;
            }
        }
        let end = "SELECT at, CAST(last_seq AS TEXT), head, hash FROM {}closing WHERE CAST(process AS TEXT) = $1";
        if let Some(cells) = self.store.rows(end, &[Some(name)]).await?.into_iter().next() {
            let mut cells = Taken(cells.into_iter());
            let (at, last, end, hash) = (cells.text(), cells.number(), cells.text(), cells.optional());
            if last != seq || end != head {
                verdict.faults.push(format!("process {name}: ended with event {last}, but the chain ends with {seq}"));
            } else if hash.is_some_and(|hash| hash != closing(&seal, name, &at, last, &end)) {
                verdict.faults.push(format!("process {name}: its end was changed"));
            }
        }
        Ok(())
    }

    /// What is wrong with the event that a process saw when it was registered: `PROCESS SEQ HASH`.
    async fn missing_link(&mut self, name: &str, previous: &str) -> Result<Option<String>, TrailError> {
        let mut parts = previous.split(' ');
        let (before, seq, hash) =
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let at: i64 = seq.parse().unwrap_or_default();
        if let Some(checkpoint) = self.checkpoint(before).await?
            && checkpoint.seq >= at
        {
            let is_other = checkpoint.seq == at && checkpoint.head != hash;
            return Ok(is_other.then(|| format!("process {before}: its checkpoint is not what process {name} saw")));
        }
        let known = if at == 0 {
            "SELECT COALESCE(hash, '') FROM {}process WHERE CAST(process AS TEXT) = $1 AND $2 = '0'"
        } else {
            "SELECT hash FROM {}event WHERE CAST(process AS TEXT) = $1 AND CAST(seq AS TEXT) = $2"
        };
        let rows = self.store.rows(known, &[Some(before), Some(seq)]).await?;
        let known = rows.into_iter().next().map(|cells| Taken(cells.into_iter()).text());
        Ok((known.as_deref() != Some(hash))
            .then(|| format!("process {before}: event {seq}, which process {name} saw, is missing or was changed")))
    }

    async fn checkpoint(&mut self, process: &str) -> Result<Option<Checkpoint>, TrailError> {
        let query = "SELECT CAST(seq AS TEXT), head, at, CAST(removed AS TEXT), key_id, hash FROM {}checkpoint
            WHERE CAST(process AS TEXT) = $1";
        let rows = self.store.rows(query, &[Some(process)]).await?;
        Ok(rows.into_iter().next().map(|cells| {
            let mut cells = Taken(cells.into_iter());
            Checkpoint {
                seq: cells.number(),
                head: cells.text(),
                at: cells.text(),
                removed: cells.number(),
                key_id: cells.optional(),
                hash: cells.text(),
            }
        }))
    }

    /// The next events of a process, by seq.
    async fn events(&mut self, process: &str, after: i64) -> Result<Vec<Row>, TrailError> {
        // The bare column is compared, so that the key of the table finds it.
        let own = match self.store {
            Reader::Sqlite(_) => "process = $1",
            Reader::Postgres(_) => "process = CAST($1 AS uuid)",
        };
        let query = format!(
            "SELECT CAST(seq AS TEXT), kind, CAST(id AS TEXT), at, body, hash FROM {{}}event
             WHERE {own} AND seq > CAST($2 AS BIGINT) ORDER BY seq LIMIT {PAGE}"
        );
        let rows = self.store.rows(&query, &[Some(process), Some(&after.to_string())]).await?;
        let event = |cells: Cells| {
            let mut cells = Taken(cells.into_iter());
            Row {
                seq: cells.number(),
                kind: cells.text(),
                id: cells.text(),
                at: cells.text(),
                body: cells.text(),
                hash: cells.text(),
            }
        };
        Ok(rows.into_iter().map(event).collect())
    }
}

async fn open_file(path: &Path) -> Result<SqliteConnection, TrailError> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(super::store::PATIENCE);
    let mut store = options.disable_statement_logging().connect().await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut store).await?;
    if version < VERSION {
        let reason = "the store was written by an older version of tudb; `tudb doctor` brings it forward";
        return Err(TrailError::Unavailable(reason.into()));
    }
    Ok(store)
}

//! Reads the audit trail from either kind of store, for `audit show`, `audit export` and `audit verify`.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, Row as _, SqliteConnection};

use super::chain::{Beginning, Checkpoint, Row, Seal, closing};
use super::store::{SchemaFault, connect_postgres, is_as_made, seal};
use crate::config::{AuditConfig, AuditStore};

/// The `PRAGMA user_version` that this reader requires.
const VERSION: i64 = 2;
/// Events read per query.
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

/// The state of a verified chain, for the checks of the chains that name it.
#[derive(Debug, Default)]
struct ChainState {
    hash: String,
    /// Set only if its hash is correct.
    checkpoint: Option<Checkpoint>,
    /// Last sequence number and hash, as recorded in the `closing` row.
    end: Option<(i64, String)>,
    /// Whether the chain could be checked with the configured key.
    checked: bool,
    /// Events read while checking.
    visited: u64,
}

/// The records wanted. An empty field does not filter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub tool: Option<String>,
    pub decision: Option<String>,
    pub outcome: Option<String>,
    pub source: Option<String>,
    pub user: Option<String>,
    /// The record with this id, and the records of its statements if it is a question.
    pub id: Option<String>,
    /// Contained in the question or the statement, ignoring case.
    pub text: Option<String>,
    /// Ids from this one on. Ids begin with their time.
    pub from: Option<String>,
    /// Ids after this one.
    pub after: Option<String>,
    /// Ids before this one.
    pub before: Option<String>,
    /// The number of records at most; all when `None`. They are the newest, or with `after` the oldest.
    pub last: Option<u64>,
}

/// The findings of `verify`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub events: u64,
    pub processes: u64,
    /// Events that retention removed, according to valid checkpoints.
    pub removed: u64,
    /// Whether a key is configured and every chain was made with it.
    pub keyed: bool,
    /// One sentence per fault: a changed, missing or reordered event, or a chain that cannot be checked.
    pub faults: Vec<String>,
    /// Ids of intents without an outcome.
    pub unfinished: Vec<String>,
}

/// Columns of the `record` view, in display order.
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

/// Fields that are JSON numbers.
const NUMBERS: [&str; 7] = ["seq", "row_count", "reply_bytes", "elapsed_ms", "input_tokens", "output_tokens", "cost"];

type Cells = Vec<Option<String>>;

impl Reader {
    /// Runs a statement and returns its rows as texts. `{}` marks the place of the schema prefix before each table
    /// name.
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

impl Reader {
    /// Begins a read-only view of the store at one moment. On PostgreSQL the search path excludes users' schemas, so
    /// that names in these statements cannot resolve to a user's functions or operators.
    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        const POSTGRES: &str =
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp";
        match self {
            Reader::Sqlite(store) => sqlx::raw_sql("BEGIN").execute(store).await.map(drop),
            Reader::Postgres(store) => sqlx::raw_sql(POSTGRES).execute(store).await.map(drop),
        }
    }

    async fn rollback(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Reader::Sqlite(store) => sqlx::raw_sql("ROLLBACK").execute(store).await.map(drop),
            Reader::Postgres(store) => sqlx::raw_sql("ROLLBACK").execute(store).await.map(drop),
        }
    }

    /// Runs one statement in its own transaction.
    async fn read(&mut self, sql: &str, binds: &[Option<&str>]) -> Result<Vec<Cells>, sqlx::Error> {
        self.begin().await?;
        let rows = self.rows(sql, binds).await;
        self.rollback().await?;
        rows
    }
}

/// The cells of a row, read in order.
struct RowCells(std::vec::IntoIter<Option<String>>);

impl RowCells {
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
    /// There is no store, or the store or its key cannot be read.
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

    /// The matching records, oldest first, each as a JSON object without its empty fields. A limit keeps the newest
    /// records, or with `after` those that follow it.
    ///
    /// # Errors
    ///
    /// sqlx's, when the store cannot be read.
    pub async fn records(&mut self, filter: &Filter) -> Result<Vec<Value>, TrailError> {
        let fields = FIELDS.map(|field| format!("CAST({field} AS TEXT)")).join(", ");
        let order = if filter.after.is_some() { "ASC" } else { "DESC" };
        let query = format!(
            "SELECT {fields} FROM {{}}record
             WHERE ($1 IS NULL OR tool = $1) AND ($2 IS NULL OR decision = $2) AND ($3 IS NULL OR outcome = $3)
               AND ($4 IS NULL OR source = $4) AND ($5 IS NULL OR user_id = $5)
               AND ($6 IS NULL OR CAST(id AS TEXT) = $6 OR question_id = $6)
               AND ($7 IS NULL OR lower(question) LIKE $7 ESCAPE '!' OR lower(sql) LIKE $7 ESCAPE '!')
               AND ($8 IS NULL OR CAST(id AS TEXT) >= $8) AND ($9 IS NULL OR CAST(id AS TEXT) < $9)
               AND ($10 IS NULL OR CAST(id AS TEXT) > $10)
             ORDER BY id {order} LIMIT CAST($11 AS BIGINT)"
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
            filter.after.as_deref(),
            Some(&last),
        ];
        let mut rows = self.store.read(&query, &binds).await?;
        let record = |cells: Cells| {
            let named = FIELDS.into_iter().zip(cells);
            let known = named.filter_map(|(field, cell)| Some((field, cell?)));
            let typed = known.map(|(field, text)| {
                let number = serde_json::from_str(&text).ok().filter(|_| NUMBERS.contains(&field));
                (field.to_owned(), number.map_or(Value::String(text), Value::Number))
            });
            Value::Object(typed.collect::<Map<_, _>>())
        };
        if filter.after.is_none() {
            rows.reverse();
        }
        Ok(rows.into_iter().map(record).collect())
    }

    /// The number of calls without an outcome whose process has no `closing` row. It was killed, or still runs.
    ///
    /// # Errors
    ///
    /// sqlx's, when the store cannot be read.
    pub async fn unfinished(&mut self) -> Result<u64, TrailError> {
        const COUNT: &str = "SELECT CAST(count(*) AS TEXT) FROM {}event AS i
            WHERE i.kind = 'intent' AND i.process IN (SELECT process FROM {}process WHERE process NOT IN (SELECT process FROM {}closing))
              AND NOT EXISTS (SELECT 1 FROM {}event AS o WHERE o.process = i.process AND o.id = i.id AND o.kind = 'outcome')";
        let rows = self.store.read(COUNT, &[]).await?;
        let mut cells = rows.into_iter().next().map(|cells| RowCells(cells.into_iter()));
        Ok(cells.as_mut().map_or(0, |cells| u64::try_from(cells.number()).unwrap_or(0)))
    }

    /// Recomputes every chain and compares it with the stored hashes.
    ///
    /// It detects a changed, removed, inserted or reordered event. It detects events removed from the end of a chain if
    /// the chain has a `closing` row or, in a file, if another process was registered since. In a file it also detects
    /// a process removed from between others. With a key, nobody without that key can rewrite a chain. Chains
    /// without a key are accepted if they began before `unkeyed_until` (RFC 3339, UTC).
    ///
    /// It cannot detect that the end of a chain was removed if no later process has recorded it. The same holds for the
    /// newest processes, and for a store that was replaced by an older copy of itself.
    ///
    /// # Errors
    ///
    /// sqlx's, when the store cannot be read.
    pub async fn verify(&mut self, unkeyed_until: Option<&str>) -> Result<Verdict, TrailError> {
        // Servers may write during the check, so it reads a snapshot.
        self.store.begin().await?;
        let verdict = self.verify_now(unkeyed_until).await;
        self.store.rollback().await?;
        verdict
    }

    async fn verify_now(&mut self, unkeyed_until: Option<&str>) -> Result<Verdict, TrailError> {
        let mut verdict = Verdict { keyed: self.seal.key_id().is_some(), ..Verdict::default() };
        let strangers = "SELECT DISTINCT CAST(t.process AS TEXT) FROM (SELECT process FROM {}event UNION SELECT process FROM {}closing
              UNION SELECT process FROM {}checkpoint) AS t
            WHERE NOT EXISTS (SELECT 1 FROM {}process AS p WHERE p.process = t.process) ORDER BY 1";
        for cells in self.store.rows(strangers, &[]).await? {
            verdict.faults.push(format!("process {} has records but no beginning", RowCells(cells.into_iter()).text()));
        }
        if let Reader::Sqlite(store) = &mut self.store {
            if !is_as_made(store).await? {
                verdict.faults.push(SchemaFault::Changed.to_string());
            }
            // A value of another storage class compares and sorts differently from the text that it is read as.
            const ODD: &str = "SELECT count(*) FROM (
                SELECT 1 FROM event WHERE typeof(process) <> 'text' OR typeof(seq) <> 'integer' OR typeof(kind) <> 'text'
                  OR typeof(id) <> 'text' OR typeof(at) <> 'text' OR typeof(body) <> 'text' OR typeof(hash) <> 'text'
                UNION ALL SELECT 1 FROM process WHERE typeof(process) <> 'text' OR typeof(started_at) <> 'text'
                UNION ALL SELECT 1 FROM closing WHERE typeof(process) <> 'text' OR typeof(last_seq) <> 'integer'
                UNION ALL SELECT 1 FROM checkpoint WHERE typeof(process) <> 'text' OR typeof(seq) <> 'integer')";
            let odd: i64 = sqlx::query_scalar(ODD).fetch_one(store).await?;
            if odd > 0 {
                verdict
                    .faults
                    .push(format!("{odd} rows hold values of another kind than tudb writes: they were changed"));
                return Ok(verdict);
            }
        }
        let counts = "SELECT CAST(process AS TEXT), CAST(count(*) AS TEXT) FROM {}event GROUP BY process";
        let counted = |cells: Cells| {
            let mut cells = RowCells(cells.into_iter());
            (cells.text(), cells.number())
        };
        let counts: HashMap<String, i64> = self.store.rows(counts, &[]).await?.into_iter().map(counted).collect();
        let processes = self.processes().await?;
        let mut known: HashMap<String, ChainState> = HashMap::new();
        let (mut keyed_before, mut hashed_before) = (false, false);
        for process in &processes {
            let name = &process.process;
            verdict.processes += 1;
            let is_old = unkeyed_until.is_some_and(|until| process.started_at.as_str() < until) && !keyed_before;
            if process.key_id.is_none() && self.seal.key_id().is_some() && !is_old {
                verdict
                    .faults
                    .push(format!("process {name}: has no key (--unkeyed-until takes chains of before the key)"));
            }
            // In stores of the first schema version, chains begin without a hash. Later chains have one.
            if process.hash.is_none() && (process.key_id.is_some() || hashed_before) {
                verdict.faults.push(format!("process {name}: its beginning has no hash"));
            }
            keyed_before |= process.key_id.is_some();
            hashed_before |= process.hash.is_some();
            let found = self.verify_process(process, unkeyed_until, &mut verdict).await?;
            let all = counts.get(name).copied().unwrap_or(0);
            if found.checked && u64::try_from(all) != Ok(found.visited) {
                let visited = found.visited;
                verdict
                    .faults
                    .push(format!("process {name}: {all} events stand in the store, {visited} of them in its chain"));
            }
            known.insert(name.clone(), found);
        }
        let is_file = matches!(self.store, Reader::Sqlite(_));
        let mut before: Option<&Beginning> = None;
        for process in &processes {
            let links: Vec<&str> =
                process.previous.as_deref().map(|list| list.split(", ").collect()).unwrap_or_default();
            let named = links.first().and_then(|link| link.split(' ').next());
            if is_file && process.hash.is_some() && named != before.map(|before| before.process.as_str()) {
                verdict.faults.push(format!("process {}: another one stood before it", process.process));
            }
            for link in links {
                let missing = self.missing_link(&known, link).await?;
                verdict.faults.extend(missing.map(|what| format!("{what}, as process {} saw it", process.process)));
            }
            before = Some(process);
        }
        let unfinished = "SELECT CAST(id AS TEXT) FROM {}record WHERE outcome = 'unfinished' ORDER BY id";
        for cells in self.store.rows(unfinished, &[]).await? {
            verdict.unfinished.push(RowCells(cells.into_iter()).text());
        }
        Ok(verdict)
    }

    /// The processes in the order of their registration.
    async fn processes(&mut self) -> Result<Vec<Beginning>, TrailError> {
        let order = match self.store {
            Reader::Sqlite(_) => "rowid",
            Reader::Postgres(_) => "registered",
        };
        let query = format!(
            "SELECT CAST(process AS TEXT), started_at, version, key_id, previous, hash FROM {{}}process ORDER BY {order}"
        );
        let beginning = |cells: Cells| {
            let mut cells = RowCells(cells.into_iter());
            Beginning {
                process: cells.text(),
                started_at: cells.text(),
                version: cells.text(),
                key_id: cells.optional(),
                previous: cells.optional(),
                hash: cells.optional(),
            }
        };
        Ok(self.store.rows(&query, &[]).await?.into_iter().map(beginning).collect())
    }

    async fn verify_process(
        &mut self,
        process: &Beginning,
        unkeyed_until: Option<&str>,
        verdict: &mut Verdict,
    ) -> Result<ChainState, TrailError> {
        let name = process.process.as_str();
        let mut known = ChainState { hash: process.hash.clone().unwrap_or_default(), ..ChainState::default() };
        let seal = if process.key_id.is_some() { self.seal.clone() } else { Seal::default() };
        let end = format!("SELECT at, CAST(last_seq AS TEXT), head, hash FROM {{}}closing WHERE {}", self.own());
        let end = self.store.rows(&end, &[Some(name)]).await?.into_iter().next().map(|cells| {
            let mut cells = RowCells(cells.into_iter());
            (cells.text(), cells.number(), cells.text(), cells.optional())
        });
        known.end = end.as_ref().map(|(_, last, head, _)| (*last, head.clone()));
        if process.key_id != seal.key_id() {
            verdict.keyed = false;
            let what = if self.seal.key_id().is_some() {
                "its key is not the one of audit.key_file"
            } else {
                "it has a key and audit.key_file is not set"
            };
            verdict.faults.push(format!("process {name}: {what}, so it cannot be checked"));
            return Ok(known);
        }
        known.checked = true;
        verdict.keyed &= process.key_id.is_some();
        if process.hash.as_ref().is_some_and(|hash| *hash != process.expected(&seal)) {
            verdict.faults.push(format!("process {name}: its beginning was changed"));
        }
        let mut head = known.hash.clone();
        let mut seq = 0;
        if let Some(checkpoint) = self.checkpoint(name).await? {
            // A checkpoint uses the key configured when records were removed. The chain may be older than that key.
            let own = if checkpoint.key_id.is_some() { self.seal.clone() } else { Seal::default() };
            let is_old = unkeyed_until.is_some_and(|until| checkpoint.at.as_str() < until) && process.key_id.is_none();
            let lacks_key = checkpoint.key_id.is_none() && self.seal.key_id().is_some() && !is_old;
            if checkpoint.hash != checkpoint.expected(&own, name) || checkpoint.key_id != own.key_id() || lacks_key {
                verdict.faults.push(format!("process {name}: its checkpoint was changed, or made without the key"));
            } else {
                verdict.removed += u64::try_from(checkpoint.removed).unwrap_or(0);
                (head, seq) = (checkpoint.head.clone(), checkpoint.seq);
                known.checkpoint = Some(checkpoint);
            }
        }
        loop {
            let events = self.events(name, seq).await?;
            let count = events.len();
            for event in events {
                known.visited += 1;
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
        verdict.events += known.visited;
        if let Some((at, last, end, hash)) = end {
            let expected = process.hash.as_ref().map(|_| closing(&seal, name, &at, last, &end));
            if last != seq || end != head {
                verdict.faults.push(format!("process {name}: ended with event {last}, but the chain ends with {seq}"));
            } else if hash != expected {
                verdict.faults.push(format!("process {name}: its end was changed"));
            }
        }
        Ok(known)
    }

    /// Compares a chain with a link that a later process recorded, `PROCESS SEQ HASH [closed]`. Returns the fault
    /// found.
    async fn missing_link(
        &mut self,
        known: &HashMap<String, ChainState>,
        link: &str,
    ) -> Result<Option<String>, TrailError> {
        let mut parts = link.split(' ');
        let mut part = || parts.next().unwrap_or_default();
        let (name, seq, hash, end) = (part(), part(), part(), part());
        let Some(process) = known.get(name) else { return Ok(Some(format!("process {name} is missing"))) };
        let at: i64 = seq.parse().unwrap_or_default();
        if end == "closed" && process.end.as_ref().is_none_or(|(last, head)| *last != at || head != hash) {
            return Ok(Some(format!("process {name}: its end is missing or another")));
        }
        let found = match &process.checkpoint {
            _ if at == 0 => Some(process.hash.clone()),
            Some(checkpoint) if checkpoint.seq > at => return Ok(None),
            Some(checkpoint) if checkpoint.seq == at => Some(checkpoint.head.clone()),
            _ => {
                let query = format!("SELECT hash FROM {{}}event WHERE {} AND seq = CAST($2 AS BIGINT)", self.own());
                let rows = self.store.rows(&query, &[Some(name), Some(seq)]).await?;
                rows.into_iter().next().map(|cells| RowCells(cells.into_iter()).text())
            }
        };
        Ok((found.as_deref() != Some(hash)).then(|| format!("process {name}: event {seq} is missing or was changed")))
    }

    async fn checkpoint(&mut self, process: &str) -> Result<Option<Checkpoint>, TrailError> {
        let query = format!(
            "SELECT CAST(seq AS TEXT), head, at, CAST(removed AS TEXT), key_id, hash FROM {{}}checkpoint WHERE {}",
            self.own()
        );
        let rows = self.store.rows(&query, &[Some(process)]).await?;
        Ok(rows.into_iter().next().map(|cells| {
            let mut cells = RowCells(cells.into_iter());
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

    /// The condition that selects a process. It compares the bare column, so that the database can use the table's
    /// index.
    fn own(&self) -> &'static str {
        match self.store {
            Reader::Sqlite(_) => "process = $1",
            Reader::Postgres(_) => "process = CAST($1 AS uuid)",
        }
    }

    /// The next events of a process, in the order of their sequence numbers.
    async fn events(&mut self, process: &str, after: i64) -> Result<Vec<Row>, TrailError> {
        let query = format!(
            "SELECT CAST(seq AS TEXT), kind, CAST(id AS TEXT), at, body, hash FROM {{}}event
             WHERE {} AND seq > CAST($2 AS BIGINT) ORDER BY seq LIMIT {PAGE}",
            self.own()
        );
        let rows = self.store.rows(&query, &[Some(process), Some(&after.to_string())]).await?;
        let event = |cells: Cells| {
            let mut cells = RowCells(cells.into_iter());
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
    if !path.exists() {
        return Err(TrailError::Unavailable(format!("there is no store at {} (TUDB_AUDIT_DB)", path.display())));
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(super::store::PATIENCE);
    let mut store = options.disable_statement_logging().connect().await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut store).await?;
    if version < VERSION {
        let reason = "the store was written by an older version of tudb; `tudb doctor` brings it forward";
        return Err(TrailError::Unavailable(reason.into()));
    }
    if version > VERSION {
        return Err(TrailError::Unavailable("the store was written by a newer version of tudb".into()));
    }
    Ok(store)
}

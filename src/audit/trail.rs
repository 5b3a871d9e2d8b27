//! Reads the audit trail from either kind of store, for the commands of `tudb audit` and the start of the server.

mod verify;

pub use verify::Verdict;

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, Row as _, SqliteConnection};

use super::chain::{Beginning, Checkpoint, Row, Seal, closing};
use super::store::{SCHEMA, SchemaFault, connect_postgres, schema_as_made, seal};
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
    /// Maximum number of records; `None` means all. Without `after` the newest matching records are returned, with
    /// `after` the oldest.
    pub last: Option<u64>,
}

/// Fields of a record in display order: the columns of the `record` view, and `target` of the intent.
pub const FIELDS: [&str; 26] = [
    "id",
    "started_at",
    "process",
    "seq",
    "client",
    "tool",
    "target",
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
                // Behind a pooler, a name could belong to another client's statement.
                query = query.persistent(false);
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

    /// The matching records, oldest first, each as a JSON object without its empty fields. If more than `last` records
    /// match, the newest are returned, or with `after` the oldest.
    ///
    /// # Errors
    ///
    /// sqlx's, when the store cannot be read.
    pub async fn records(&mut self, filter: &Filter) -> Result<Vec<Value>, TrailError> {
        // The `record` view has no column `target`, so the target is read from the intent.
        let target = match &self.store {
            Reader::Sqlite(_) => {
                "(SELECT t.body ->> 'target' FROM {}readable AS t WHERE t.id = record.id AND t.kind = 'intent')"
            }
            Reader::Postgres(_) => {
                "(SELECT t.body::jsonb ->> 'target' FROM {}event AS t WHERE t.id = record.id AND t.kind = 'intent')"
            }
        };
        let fields = FIELDS.map(|field| format!("CAST({} AS TEXT)", if field == "target" { target } else { field }));
        let fields = fields.join(", ");
        let order = if filter.after.is_some() { "ASC" } else { "DESC" };
        let query = format!(
            "SELECT {fields} FROM {{}}record AS record
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

    /// The number of calls that have no outcome and whose process has no `closing` row. Such a process was killed or
    /// still runs.
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
        // On PostgreSQL the result column `CAST(seq AS TEXT)` is also named `seq`. `ORDER BY seq` would sort by this
        // text, so the table's column is written as `e.seq`.
        let query = format!(
            "SELECT CAST(seq AS TEXT), kind, CAST(id AS TEXT), at, body, hash FROM {{}}event AS e
             WHERE {} AND seq > CAST($2 AS BIGINT) ORDER BY e.seq LIMIT {PAGE}",
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
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(super::store::TIME_LIMIT);
    let mut store = options.disable_statement_logging().connect().await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut store).await?;
    if version < VERSION {
        let reason = "the store was written by an older version of tudb; run `tudb doctor` to upgrade it";
        return Err(TrailError::Unavailable(reason.into()));
    }
    if version > VERSION {
        return Err(TrailError::Unavailable("the store was written by a newer version of tudb".into()));
    }
    Ok(store)
}

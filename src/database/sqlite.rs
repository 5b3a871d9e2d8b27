//! The SQLite engine: a file opened read-only, each statement wrapped, with a progress handler as its deadline.
//!
//! Locks, each on its own: the file is opened read-only, `trusted_schema` is off, limits are lowered through the raw
//! handle, and the caller's text stands inside a CTE, where SQLite takes nothing but a query. Fewer connections than
//! calls wait in line. It approves nothing itself.

mod catalog;
mod created;
mod handle;
#[cfg(test)]
pub(crate) use handle::reads_only;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection, TypeInfo, ValueRef};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::catalog::{Snapshot, TableDescription};
use super::result_set::{ResultColumn, ResultSet, ResultWriter};
use super::value::Cell;
use super::{DatabaseError, Explanation, ListRequest, ReadOptions, TablePage};
use crate::audit::OpenEntry;
use crate::config::SourceConfig;
use crate::guard::columns::{self, ColumnRules, MASK, RuleKind, RuledTable};
use crate::guard::{ApprovedSql, Rejection};
use crate::limits::Limits;

/// How long the process waits past the progress handler's own limit.
const OPCODE_HEAD_START: Duration = Duration::from_millis(250);
/// Virtual-machine steps between two looks at the clock.
const STEPS_PER_LOOK: i32 = 10_000;

/// One SQLite database and the connections to it.
#[derive(Debug)]
pub struct SqliteEngine {
    source_name: String,
    options: SqliteConnectOptions,
    limits: Limits,
    column_rules: ColumnRules,
    idle: Mutex<Vec<Lane>>,
    permits: Arc<Semaphore>,
    /// Keeps a database in memory alive.
    _keeper: Option<SqliteConnection>,
}

/// A connection and the switch of its progress handler.
#[derive(Debug)]
struct Lane {
    connection: SqliteConnection,
    stop: Arc<Stop>,
}

/// When the running statement has to end, in milliseconds since the process began; 0 = at once, `u64::MAX` = never.
#[derive(Debug)]
struct Stop(AtomicU64);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Stop {
    fn at(&self, end: Instant) {
        let millis = end.saturating_duration_since(*START).as_millis();
        self.0.store(u64::try_from(millis).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }

    fn now(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn may_go_on(&self) -> bool {
        let end = self.0.load(Ordering::Relaxed);
        end == u64::MAX || (end > 0 && START.elapsed().as_millis() < u128::from(end))
    }
}

impl SqliteEngine {
    /// An engine over a file, or over `options` that name a database in memory (`keeper` then holds it).
    pub fn new(source: &SourceConfig, options: SqliteConnectOptions, keeper: Option<SqliteConnection>) -> Self {
        LazyLock::force(&START);
        let in_memory = keeper.is_some();
        let options = options
            .read_only(!in_memory)
            .create_if_missing(in_memory)
            .pragma("query_only", "on")
            .pragma("trusted_schema", "off")
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging();
        let permits = Arc::new(Semaphore::new(source.limits.max_connections as usize));
        SqliteEngine {
            source_name: source.name.clone(),
            options,
            limits: source.limits.clone(),
            column_rules: source.column_rules.clone(),
            idle: Mutex::new(Vec::new()),
            permits,
            _keeper: keeper,
        }
    }

    pub(super) async fn open(&self, options: &ReadOptions) -> Result<SqliteSession<'_>, DatabaseError> {
        let waited_ms = self.limits.connect_timeout_ms.min(u64::try_from(options.time_left().as_millis()).unwrap_or(0));
        let no_connection = || DatabaseError::NoConnection { source_name: self.source_name.clone(), waited_ms };
        let permit = tokio::time::timeout(Duration::from_millis(waited_ms), self.permits.acquire())
            .await
            .map_err(|_| no_connection())?
            .map_err(|_| no_connection())?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let lane = match idle {
            Some(lane) => lane,
            None => self.connect().await?,
        };
        Ok(SqliteSession { engine: self, lane: Some(lane), permit: Some(permit) })
    }

    async fn connect(&self) -> Result<Lane, DatabaseError> {
        let mut connection = self.options.connect().await.map_err(|error| self.connect_error(error))?;
        let stop = Arc::new(Stop(AtomicU64::new(u64::MAX)));
        let watched = Arc::clone(&stop);
        let mut locked = connection.lock_handle().await.map_err(DatabaseError::Connection)?;
        locked.set_progress_handler(STEPS_PER_LOOK, move || watched.may_go_on());
        handle::lower_limits(&mut locked, self.limits.max_sql_bytes);
        drop(locked);
        Ok(Lane { connection, stop })
    }

    fn connect_error(&self, error: sqlx::Error) -> DatabaseError {
        tracing::warn!(source = self.source_name, %error, "cannot open the database file");
        let message = match &error {
            sqlx::Error::Database(error) => error.message().to_owned(),
            _ => "the file cannot be opened".to_owned(),
        };
        DatabaseError::Missing { source_name: self.source_name.clone(), message }
    }

    pub(super) async fn close(&self) {
        self.permits.close();
        let lanes = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for lane in lanes {
            let _ = lane.connection.close().await;
        }
    }
}

#[cfg(test)]
impl SqliteEngine {
    /// Each lock of a connection, met without the wrapper and without the others where they would come first.
    pub(super) async fn locks_one_by_one(&self) {
        let refusal = async |connection: &mut SqliteConnection, sql: &str| {
            let result = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(connection).await;
            result.expect_err(sql).to_string()
        };
        // The authorizer comes first, while a statement is compiled.
        let mut lane = self.connect().await.unwrap();
        for sql in
            ["DELETE FROM t", "PRAGMA query_only = off", "ATTACH ':memory:' AS x", "CREATE TEMP TABLE x (a)", "BEGIN"]
        {
            assert!(refusal(&mut lane.connection, sql).await.contains("not authorized"), "{sql}");
        }
        // Without it: query_only, and the limit on attached databases.
        handle::forget_authorizer(&mut lane.connection.lock_handle().await.unwrap());
        assert!(refusal(&mut lane.connection, "DELETE FROM t").await.contains("readonly"));
        assert!(refusal(&mut lane.connection, "ATTACH ':memory:' AS x").await.contains("too many attached"));
        // Without that too: the file is open read-only.
        sqlx::query("PRAGMA query_only = off").execute(&mut lane.connection).await.unwrap();
        assert!(refusal(&mut lane.connection, "DELETE FROM t").await.contains("readonly"));
        lane.connection.close().await.unwrap();
    }
}

/// A connection taken for one read. Dropped in the middle of a statement it stops the statement, and the connection is
/// closed rather than used again.
pub struct SqliteSession<'a> {
    engine: &'a SqliteEngine,
    lane: Option<Lane>,
    permit: Option<SemaphorePermit<'a>>,
}

impl Drop for SqliteSession<'_> {
    fn drop(&mut self) {
        if let Some(lane) = &self.lane {
            lane.stop.now();
        }
    }
}

impl SqliteSession<'_> {
    pub(super) async fn run(
        self,
        _entry: &OpenEntry,
        sql: &ApprovedSql,
        options: &ReadOptions,
    ) -> Result<ResultSet, DatabaseError> {
        let rules = &self.engine.column_rules;
        self.within(options, async |connection| rows(connection, sql, rules, options).await).await
    }

    pub(super) async fn explain(
        self,
        _entry: &OpenEntry,
        sql: &ApprovedSql,
        analyze: bool,
        options: &ReadOptions,
    ) -> Result<Explanation, DatabaseError> {
        if analyze {
            return Err(DatabaseError::Invalid("SQLite has no EXPLAIN ANALYZE; leave analyze out".into()));
        }
        let rules = &self.engine.column_rules;
        self.within(options, async |connection| {
            shape(connection, sql, rules).await?;
            let text = format!("EXPLAIN QUERY PLAN SELECT * FROM ({}\n)", sql.text());
            let plan = query(text)
                .map(|row: SqliteRow| (row.get(0), row.get(1), row.get(3)))
                .fetch_all(connection)
                .await
                .map_err(sql_error)?;
            Ok(Explanation::from_sqlite(plan))
        })
        .await
    }

    pub(super) async fn list(
        self,
        _entry: &OpenEntry,
        request: &ListRequest,
        options: &ReadOptions,
    ) -> Result<TablePage, DatabaseError> {
        self.within(options, async |connection| catalog::list(connection, request).await.map_err(sql_error)).await
    }

    pub(super) async fn describe(
        self,
        _entry: &OpenEntry,
        table: &str,
        options: &ReadOptions,
    ) -> Result<TableDescription, DatabaseError> {
        let source_name = self.engine.source_name.clone();
        self.within(options, async |connection| catalog::describe(connection, table, &source_name).await).await
    }

    pub(super) async fn snapshot(self, _entry: &OpenEntry, options: &ReadOptions) -> Result<Snapshot, DatabaseError> {
        let sampled = self.engine.limits.sampled_values;
        self.within(options, async |connection| catalog::snapshot(connection, sampled).await.map_err(sql_error)).await
    }

    /// Runs `read` until the deadline, or until the call is cancelled; then the connection goes back.
    async fn within<T>(
        mut self,
        options: &ReadOptions,
        read: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let Some(mut lane) = self.lane.take() else { return Err(DatabaseError::Cancelled) };
        let left = options.time_left();
        let limit_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        lane.stop.at(Instant::now() + left);
        // Dropping this future (a panic, the end of the server) must stop the statement too.
        let guard = StopOnDrop(Arc::clone(&lane.stop));
        let stop = Arc::clone(&lane.stop);
        let result = {
            let reading = read(&mut lane.connection);
            tokio::pin!(reading);
            tokio::select! {
                result = &mut reading => result,
                () = options.cancel.cancelled() => Err(DatabaseError::Cancelled),
                () = tokio::time::sleep(left + OPCODE_HEAD_START) => Err(DatabaseError::Timeout { limit_ms }),
            }
        };
        if matches!(result, Err(DatabaseError::Cancelled | DatabaseError::Timeout { .. })) {
            stop.now();
            self.give_up(lane).await;
            return result;
        }
        guard.disarm();
        let stopped = !lane.stop.may_go_on();
        lane.stop.0.store(u64::MAX, Ordering::Relaxed);
        self.engine.idle.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
        match result {
            Err(DatabaseError::Sql { .. } | DatabaseError::Connection(_)) if stopped => {
                Err(DatabaseError::Timeout { limit_ms })
            }
            // SQLITE_NOTADB: seen with the first read only.
            Err(DatabaseError::Sql { message, .. }) if message == "file is not a database" => {
                Err(DatabaseError::Missing { source_name: self.engine.source_name.clone(), message })
            }
            other => other,
        }
    }
}

impl SqliteSession<'_> {
    /// Leaves a connection to its statement, which the progress handler ends within a few thousand steps. One long
    /// opcode never meets the handler: its thread goes on alone, and its place counts as taken until it has ended.
    async fn give_up(&mut self, lane: Lane) {
        let mut closing = tokio::spawn(async move {
            let _ = lane.connection.close().await;
        });
        let grace = Duration::from_millis(self.engine.limits.cancel_grace_ms);
        if tokio::time::timeout(grace, &mut closing).await.is_ok() {
            return;
        }
        if let Some(permit) = self.permit.take() {
            permit.forget();
            let permits = Arc::clone(&self.engine.permits);
            tokio::spawn(async move {
                let _ = closing.await;
                permits.add_permits(1);
            });
        }
    }
}

/// Stops the lane's statement unless disarmed.
struct StopOnDrop(Arc<Stop>);

impl StopOnDrop {
    fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.now();
    }
}

/// The one place where text from outside becomes a statement of this engine. `text` is built from an [`ApprovedSql`].
fn query(text: String) -> sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    sqlx::query(AssertSqlSafe(text)).persistent(false)
}

/// Names and declared types of a statement's columns, without running it, and the places of those to be masked.
async fn shape(
    connection: &mut SqliteConnection,
    sql: &ApprovedSql,
    rules: &ColumnRules,
) -> Result<(Vec<ResultColumn>, BTreeSet<usize>), DatabaseError> {
    let mut locked = connection.lock_handle().await.map_err(DatabaseError::Connection)?;
    let text = sql.text();
    let shape = handle::columns(&mut locked, text).map_err(|error| DatabaseError::Sql {
        position: error.offset.and_then(|offset| text.get(..offset)).map(|before| before.chars().count() as u64 + 1),
        message: error.message,
        hint: None,
        sqlstate: None,
    })?;
    drop(locked);
    if rules.is_empty() {
        return Ok((shape.columns, BTreeSet::new()));
    }
    let ruled = ruled_tables(connection, sql, &shape.reads, rules).await?;
    // A denied column that the authorizer saw is refused however it is spelt. What it does not see (columns that two
    // tables are joined by) stands in the text, which is judged with all ruled columns of the tables in it.
    for read in &shape.reads {
        let (table, column) = (read.table.to_ascii_lowercase(), read.column.to_ascii_lowercase());
        let found = ruled.iter().find(|ruled| ruled.table == table);
        if let Some(ruled) = found.filter(|ruled| ruled.whole || ruled.denied.contains(&column)) {
            return Err(ruled.refusal(&column).into());
        }
    }
    Ok((shape.columns, columns::judge(sql.names().uses.as_ref(), &ruled)?))
}

/// The tables of a statement that a rule touches, by the authorizer and by every name in the text.
async fn ruled_tables(
    connection: &mut SqliteConnection,
    sql: &ApprovedSql,
    reads: &[handle::ColumnRead],
    rules: &ColumnRules,
) -> Result<Vec<RuledTable>, DatabaseError> {
    let mut named: BTreeSet<String> = sql.names().reads.iter().map(|(_, name)| name.clone()).collect();
    named.extend(reads.iter().map(|read| read.table.to_ascii_lowercase()));
    let mut found = Vec::new();
    for table in named {
        if rules.denies() && (table.starts_with("sqlite_") || table.starts_with("pragma_")) {
            return Err(DatabaseError::Ruled(Rejection::Relation {
                name: table,
                reason: "this source denies tables or columns, and the catalog would tell them",
            }));
        }
        let base = SHADOWS.iter().find_map(|ending| table.strip_suffix(ending));
        let is_shadow = base.is_some_and(|base| rules.touches("", base));
        if !is_shadow && !rules.touches("", &table) {
            continue;
        }
        let columns = catalog::columns(connection, &table, &created::Created::default()).await.map_err(sql_error)?;
        let mut ruled = RuledTable { table, ..RuledTable::default() };
        for column in &columns {
            let name = column.name.to_ascii_lowercase();
            match rules.of_column("", &ruled.table, &name) {
                Some(RuleKind::Deny) => {
                    ruled.denied.insert(name.clone());
                }
                Some(RuleKind::Mask) => {
                    ruled.masked.insert(name.clone());
                    // An integer primary key is the row's number, which has more names.
                    if column.type_name.eq_ignore_ascii_case("integer") {
                        ruled.masked.extend(["rowid", "_rowid_", "oid"].map(str::to_owned));
                    }
                }
                None => {}
            }
            ruled.columns.push(name);
        }
        let has_rule = !ruled.denied.is_empty() || !ruled.masked.is_empty();
        if has_rule {
            // What is computed from a ruled column may tell it.
            let computed = columns.iter().filter(|column| column.generated.is_some());
            ruled.denied.extend(computed.map(|column| column.name.to_ascii_lowercase()));
        }
        let mine = |read: &&handle::ColumnRead| read.table.eq_ignore_ascii_case(&ruled.table);
        // A view in between, or a full-text table's own functions, hide which column is told.
        let hidden = reads.iter().filter(mine).any(|read| {
            let column = read.column.to_ascii_lowercase();
            let is_ruled = ruled.denied.contains(&column) || ruled.masked.contains(&column);
            has_rule && (column == ruled.table || (read.inside.is_some() && is_ruled))
        });
        let exists = !columns.is_empty();
        ruled.whole = (exists && (is_shadow || rules.denies_table("", &ruled.table))) || hidden;
        // A view's own column names say nothing of where they come from: the reads inside of it do.
        let is_read = reads.iter().any(|read| read.table.eq_ignore_ascii_case(&ruled.table) && read.inside.is_none());
        let is_named = sql.names().reads.iter().any(|(_, name)| *name == ruled.table);
        if ruled.whole || (has_rule && (is_read || is_named)) {
            found.push(ruled);
        }
    }
    Ok(found)
}

/// Endings of the tables in which full-text and R-tree tables keep their rows.
const SHADOWS: [&str; 11] =
    ["_content", "_data", "_idx", "_docsize", "_config", "_node", "_rowid", "_parent", "_segments", "_segdir", "_stat"];

async fn rows(
    connection: &mut SqliteConnection,
    sql: &ApprovedSql,
    rules: &ColumnRules,
    options: &ReadOptions,
) -> Result<ResultSet, DatabaseError> {
    let (columns, masked) = shape(connection, sql, rules).await?;
    let count = columns.len();
    let untyped: Vec<usize> =
        columns.iter().enumerate().filter(|(_, column)| column.type_name.is_none()).map(|(index, _)| index).collect();
    let text = wrap(sql.text(), count, &masked, options.budget.max_cell_bytes, options.budget.max_rows);
    let mut writer = ResultWriter::new(columns, options.format, options.budget, options.max_rows_ceiling)
        .map_err(|error| DatabaseError::HeaderTooLong { bytes: error.bytes })?;
    let mut rows = query(text).fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(sql_error)? {
        if !writer.wants_row() {
            writer.more_rows();
            break;
        }
        writer.begin_row();
        for index in 0..count {
            write_cell(&mut writer, &row, index, count)?;
        }
        if !writer.end_row() {
            break;
        }
        options.tell_rows(writer.row_count());
        for index in &untyped {
            let value = row.try_get_raw(*index).map_err(DatabaseError::Connection)?;
            if !value.is_null() {
                writer.column_type(*index, value.type_info().name());
            }
        }
    }
    Ok(writer.finish())
}

/// The caller's text inside a CTE: each column cut on the database, and the length of what was cut beside it.
fn wrap(sql: &str, columns: usize, masked: &BTreeSet<usize>, max_cell_bytes: usize, max_rows: u64) -> String {
    use std::fmt::Write as _;
    // A name that no caller's table has: a CTE that names itself would be taken for a recursive one.
    let mut text = String::with_capacity(sql.len() + 200 * columns + 100);
    text.push_str("WITH tudb_result(");
    for index in 1..=columns {
        let comma = if index > 1 { "," } else { "" };
        let _ = write!(text, "{comma}c{index}");
    }
    let _ = write!(text, ") AS ({sql}\n) SELECT ");
    for index in 1..=columns {
        if masked.contains(&(index - 1)) {
            let _ = write!(text, "'{MASK}',");
            continue;
        }
        let _ = write!(
            text,
            "CASE WHEN octet_length(c{index})>{max_cell_bytes} AND typeof(c{index}) IN ('text','blob') \
             THEN substr(c{index},1,{max_cell_bytes}) ELSE c{index} END,"
        );
    }
    for index in 1..=columns {
        let comma = if index > 1 { "," } else { "" };
        if masked.contains(&(index - 1)) {
            let _ = write!(text, "{comma}NULL");
            continue;
        }
        let _ =
            write!(text, "{comma}CASE WHEN octet_length(c{index})>{max_cell_bytes} THEN octet_length(c{index}) END");
    }
    let _ = write!(text, " FROM tudb_result LIMIT {}", max_rows.saturating_add(1));
    text
}

fn write_cell(writer: &mut ResultWriter, row: &SqliteRow, index: usize, columns: usize) -> Result<(), DatabaseError> {
    let value = row.try_get_raw(index).map_err(DatabaseError::Connection)?;
    if value.is_null() {
        writer.cell(Cell::Null);
        return Ok(());
    }
    let kind = value.type_info().name().to_owned();
    let whole: Option<i64> = row.try_get_unchecked(columns + index).map_err(DatabaseError::Connection)?;
    let full = |bytes: usize| whole.and_then(|whole| usize::try_from(whole).ok()).unwrap_or(bytes).max(bytes);
    match kind.as_str() {
        "INTEGER" => writer.cell(Cell::Integer(row.try_get_unchecked(index).map_err(DatabaseError::Connection)?)),
        "REAL" => {
            let number: f64 = row.try_get_unchecked(index).map_err(DatabaseError::Connection)?;
            if number.is_finite() {
                writer.cell(Cell::Float(
                    &serde_json::Number::from_f64(number).map_or_else(String::new, |n| n.to_string()),
                ));
            } else {
                writer.cell(Cell::text(if number > 0.0 { "Infinity" } else { "-Infinity" }));
            }
        }
        "BLOB" => {
            let bytes: &[u8] = row.try_get_unchecked(index).map_err(DatabaseError::Connection)?;
            let mut text = String::with_capacity(bytes.len() * 2 + 2);
            text.push_str("\\x");
            for byte in bytes {
                for nibble in [byte >> 4, byte & 15] {
                    text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
                }
            }
            writer.cell(Cell::Text { full_bytes: full(bytes.len()) * 2 + 2, text: &text });
        }
        _ => {
            // SQLite does not check that TEXT is UTF-8.
            let bytes: &[u8] = row.try_get_unchecked(index).map_err(DatabaseError::Connection)?;
            let text = String::from_utf8_lossy(bytes);
            writer.cell(Cell::Text { full_bytes: full(text.len()), text: &text });
        }
    }
    Ok(())
}

/// The error of a statement that was already prepared once in the caller's own form: no position.
fn sql_error(error: sqlx::Error) -> DatabaseError {
    match error {
        sqlx::Error::Database(error) => {
            DatabaseError::Sql { message: error.message().to_owned(), hint: None, sqlstate: None, position: None }
        }
        other => DatabaseError::Connection(other),
    }
}

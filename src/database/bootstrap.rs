//! Loads `migrations/` and `seed/` into a database: into the embedded sample, and by `tudb migrate` and `tudb seed`.
//!
//! This is the only code that writes to a database. No tool call runs it: the sample is a file of TUDB itself, and the
//! two commands act on a URL that the user names.

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};
use time::{Date, Duration, OffsetDateTime};

use super::Place;
use super::target::{self, Target};
use crate::config::SourceConfig;
use crate::dialect::Dialect;
use crate::quoting;

const SQLITE_SCHEMA: &str = include_str!("../../migrations/sample/sqlite.sql");
const POSTGRES_SCHEMA: &str = include_str!("../../migrations/sample/postgres.sql");

/// Each table with its rows; a table comes after the tables that it references.
const SEEDS: [(&str, &str); 7] = [
    ("customers", include_str!("../../seed/customers.csv")),
    ("categories", include_str!("../../seed/categories.csv")),
    ("products", include_str!("../../seed/products.csv")),
    ("orders", include_str!("../../seed/orders.csv")),
    ("order_items", include_str!("../../seed/order_items.csv")),
    ("payments", include_str!("../../seed/payments.csv")),
    ("reviews", include_str!("../../seed/reviews.csv")),
];

/// Rows in one INSERT. SQLite does not limit the rows of VALUES, but it limits the length of a statement.
const ROWS_PER_INSERT: usize = 200;

/// Why writing failed.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    #[error("{0}")]
    Sql(#[from] sqlx::Error),
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("the seed of {table} cannot be read: {reason}")]
    Seed { table: &'static str, reason: String },
    #[error("{0}")]
    Target(String),
}

/// Returns the path of the sample in a data directory.
pub fn sample_path(data_dir: &Path) -> PathBuf {
    data_dir.join("sample.db")
}

/// Returns the sample of today. It is the file in `data_dir`; a file of another day is rebuilt under another name and
/// then replaced. If no directory can be written, the sample is built in the memory of the processes that read it.
pub async fn sample(data_dir: Option<&Path>) -> Place {
    let today = OffsetDateTime::now_utc().date();
    if let Some(directory) = data_dir {
        match sample_file(directory, today).await {
            Ok(path) => return Place::file(&path, false),
            Err(error) => {
                tracing::warn!(%error, "the sample cannot be written to the data directory; it stays in memory")
            }
        }
    }
    Place::Sample(today)
}

/// Returns the statements that create the sample of a day in an empty SQLite database.
///
/// # Errors
///
/// If the seed cannot be parsed (never with the one that is built in).
pub fn sample_script(today: Date) -> Result<Vec<String>, BootstrapError> {
    let mut script = vec!["BEGIN".to_owned(), SQLITE_SCHEMA.to_owned()];
    for (table, csv) in SEEDS {
        script.extend(inserts(table, csv, Dialect::Sqlite, today)?);
    }
    script.extend(["ANALYZE".to_owned(), "COMMIT".to_owned()]);
    Ok(script)
}

async fn sample_file(directory: &Path, today: Date) -> Result<PathBuf, BootstrapError> {
    let path = sample_path(directory);
    let options = SqliteConnectOptions::new().filename(&path);
    if path.is_file() && stamp_of(&options).await == Some(stamp(today)) {
        return Ok(path);
    }
    std::fs::create_dir_all(directory)?;
    let fresh = directory.join(format!("sample-{}.tmp", uuid::Uuid::now_v7()));
    let result = async {
        let mut connection = SqliteConnectOptions::new()
            .filename(&fresh)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Delete)
            // A half-written file is never renamed, so waiting for the disk is not needed.
            .synchronous(SqliteSynchronous::Off)
            .disable_statement_logging()
            .connect()
            .await?;
        build(&mut connection, today).await?;
        connection.close().await?;
        std::fs::rename(&fresh, &path)?;
        Ok(path)
    }
    .await;
    if result.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    result
}

/// Returns the day of a sample as a number such as 20261122. The file stores it in `user_version`.
fn stamp(day: Date) -> i64 {
    i64::from(day.year()) * 10_000 + i64::from(u8::from(day.month())) * 100 + i64::from(day.day())
}

async fn stamp_of(options: &SqliteConnectOptions) -> Option<i64> {
    let mut connection = options.clone().read_only(true).disable_statement_logging().connect().await.ok()?;
    sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await.ok()
}

async fn build(connection: &mut SqliteConnection, today: Date) -> Result<(), BootstrapError> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(SQLITE_SCHEMA).execute(&mut *transaction).await?;
    fill(&mut transaction, today).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA user_version = {}", stamp(today)))).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Loads every table of a SQLite database that has the schema.
async fn fill(connection: &mut SqliteConnection, today: Date) -> Result<(), BootstrapError> {
    for (table, csv) in SEEDS {
        for insert in inserts(table, csv, Dialect::Sqlite, today)? {
            sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut *connection).await?;
        }
    }
    sqlx::raw_sql("ANALYZE").execute(&mut *connection).await?;
    Ok(())
}

/// The result of `migrate` or `seed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Changed,
    /// The schema or the data existed already.
    Already,
}

/// Creates the sample schema in the database of `source`.
///
/// # Errors
///
/// Those of connecting and of the statements; nothing is changed then.
pub async fn migrate(source: &SourceConfig) -> Result<Done, BootstrapError> {
    match target::resolve(source).map_err(BootstrapError::Target)? {
        Target::Sample => Err(BootstrapError::Target("name a database by its URL".into())),
        Target::Sqlite { path, .. } => {
            let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
            let mut connection = options.disable_statement_logging().connect().await?;
            let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'customers'")
                .fetch_one(&mut connection)
                .await?;
            if tables > 0 {
                return Ok(Done::Already);
            }
            let mut transaction = connection.begin().await?;
            sqlx::raw_sql(SQLITE_SCHEMA).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(Done::Changed)
        }
        Target::Postgres(target) => {
            let mut connection = PgConnection::connect_with(target.first()).await?;
            let there: bool =
                sqlx::query_scalar("SELECT to_regclass('customers') IS NOT NULL").fetch_one(&mut connection).await?;
            if there {
                return Ok(Done::Already);
            }
            let mut transaction = connection.begin().await?;
            sqlx::raw_sql(POSTGRES_SCHEMA).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(Done::Changed)
        }
    }
}

/// Loads the sample data into the schema that [`migrate`] made.
///
/// # Errors
///
/// Those of connecting and of the statements; nothing is changed then.
pub async fn seed(source: &SourceConfig) -> Result<Done, BootstrapError> {
    const SEEDED: &str = "SELECT count(*) FROM customers";
    let today = OffsetDateTime::now_utc().date();
    match target::resolve(source).map_err(BootstrapError::Target)? {
        Target::Sample => Err(BootstrapError::Target("name a database by its URL".into())),
        Target::Sqlite { path, .. } => {
            let options = SqliteConnectOptions::new().filename(path);
            let mut connection = options.disable_statement_logging().connect().await?;
            let rows: i64 = sqlx::query_scalar(SEEDED).fetch_one(&mut connection).await?;
            if rows > 0 {
                return Ok(Done::Already);
            }
            let mut transaction = connection.begin().await?;
            fill(&mut transaction, today).await?;
            transaction.commit().await?;
            Ok(Done::Changed)
        }
        Target::Postgres(target) => {
            let mut connection = PgConnection::connect_with(target.first()).await?;
            let rows: i64 = sqlx::query_scalar(SEEDED).fetch_one(&mut connection).await?;
            if rows > 0 {
                return Ok(Done::Already);
            }
            let mut transaction = connection.begin().await?;
            for (table, csv) in SEEDS {
                for insert in inserts(table, csv, Dialect::Postgresql, today)? {
                    sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut *transaction).await?;
                }
            }
            transaction.commit().await?;
            sqlx::raw_sql("ANALYZE customers, categories, products, orders, order_items, payments, reviews")
                .execute(&mut connection)
                .await?;
            Ok(Done::Changed)
        }
    }
}

/// Returns host and database of a URL, for the prompt before a change. Never contains user or password.
pub fn where_to(source: &SourceConfig) -> String {
    match target::resolve(source) {
        Ok(Target::Postgres(target)) => {
            let endpoint = target.first();
            let database = endpoint.get_database().unwrap_or("its default database");
            format!("{database} on {} ({})", endpoint.get_host(), target.preset.name)
        }
        Ok(Target::Sqlite { path, .. }) => path.display().to_string(),
        Ok(Target::Sample) | Err(_) => "an unknown place".into(),
    }
}

/// Returns the INSERT statements of one table. A column whose header begins with `@` contains days before `today`, with
/// an optional time of day: `37` or `37 14:05:11`.
fn inserts(table: &'static str, csv: &str, dialect: Dialect, today: Date) -> Result<Vec<String>, BootstrapError> {
    let bad = |reason: String| BootstrapError::Seed { table, reason };
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().map_err(|error| bad(error.to_string()))?.clone();
    let columns: Vec<&str> = header.iter().map(|name| name.trim_start_matches('@')).collect();
    let opening = format!("INSERT INTO {table} ({}) VALUES ", columns.join(", "));
    let mut statements = Vec::new();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| bad(error.to_string()))?;
        let mut cells = Vec::with_capacity(record.len());
        for (name, cell) in header.iter().zip(record.iter()) {
            cells.push(match cell {
                "" => "NULL".to_owned(),
                days if name.starts_with('@') => {
                    quoting::literal(&absolute(days, today).ok_or_else(|| bad(format!("{name} {days}")))?)
                }
                "true" if dialect == Dialect::Sqlite => "1".to_owned(),
                "false" if dialect == Dialect::Sqlite => "0".to_owned(),
                text => quoting::literal(text),
            });
        }
        rows.push(format!("({})", cells.join(",")));
        if rows.len() == ROWS_PER_INSERT {
            statements.push(format!("{opening}{}", std::mem::take(&mut rows).join(",")));
        }
    }
    if !rows.is_empty() {
        statements.push(format!("{opening}{}", rows.join(",")));
    }
    Ok(statements)
}

fn absolute(cell: &str, today: Date) -> Option<String> {
    let (days, time) = cell.split_once(' ').map_or((cell, ""), |(days, time)| (days, time));
    let day = today.checked_sub(Duration::days(days.parse().ok()?))?;
    let date = format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day());
    Some(if time.is_empty() { date } else { format!("{date} {time}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn relative_dates_are_made_absolute_and_text_is_quoted() {
        let csv = "id,@day,@at,name,flag\n1,1,31 10:00:00,O'Neil,true\n2,0,,,false\n";
        let made = inserts("t", csv, Dialect::Sqlite, date!(2026 - 03 - 01)).unwrap();
        assert_eq!(
            made,
            ["INSERT INTO t (id, day, at, name, flag) VALUES \
              ('1','2026-02-28','2026-01-29 10:00:00','O''Neil',1),('2','2026-03-01',NULL,NULL,0)"]
        );
    }

    #[tokio::test]
    async fn the_sample_builds_in_memory_and_its_keys_hold() {
        let Place::Sample(today) = sample(None).await else { panic!("there is no directory") };
        let mut database = SqliteConnectOptions::new().in_memory(true).connect().await.unwrap();
        for statement in sample_script(today).unwrap() {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut database).await.unwrap();
        }
        let broken: i64 =
            sqlx::query_scalar("SELECT count(*) FROM pragma_foreign_key_check").fetch_one(&mut database).await.unwrap();
        assert_eq!(broken, 0);
        let orders: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM orders WHERE ordered_at >= date('now', 'start of month', '-1 month')
             AND ordered_at < date('now', 'start of month')",
        )
        .fetch_one(&mut database)
        .await
        .unwrap();
        assert!(orders > 50, "{orders}");
    }
}

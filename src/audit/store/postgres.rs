//! The store on PostgreSQL (`migrations/audit/postgres.sql`), for servers on several hosts. Its role may only insert.
//!
//! Names are qualified with their schema, so that they cannot resolve to a user's functions or operators.

use sqlx::{ConnectOptions, PgConnection};

use super::super::chain::{Beginning, Row, Seal};
use super::super::{AuditRemedy, AuditUnavailable};
use super::{TIME_LIMIT, unavailable};
use crate::config::SourceConfig;
use crate::database::target::{self, Target};

/// Opens a connection with the same TLS defaults as a source. Errors contain no values.
pub(in super::super) async fn connect(store: &SourceConfig) -> Result<PgConnection, AuditUnavailable> {
    let failed = |reason: String| AuditUnavailable { reason, remedy: AuditRemedy::Login };
    let target = match target::resolve(store) {
        Ok(Target::Postgres(target)) => target,
        Ok(Target::Sample | Target::Sqlite { .. }) => {
            return Err(failed("TUDB_AUDIT_DB is not a PostgreSQL URL".into()));
        }
        Err(problem) => return Err(failed(format!("TUDB_AUDIT_DB cannot be used: {problem}"))),
    };
    let mut last = failed("TUDB_AUDIT_DB names no server".into());
    for endpoint in &target.endpoints {
        let endpoint = endpoint.clone().application_name(concat!("tudb/", env!("CARGO_PKG_VERSION"), " audit"));
        match tokio::time::timeout(TIME_LIMIT, endpoint.connect()).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error)) => last = unavailable(error),
            Err(_) => last = failed("its server does not answer".into()),
        }
    }
    Err(last)
}

async fn within<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, AuditUnavailable> {
    match tokio::time::timeout(TIME_LIMIT, work).await {
        Ok(done) => done.map_err(unavailable),
        Err(_) => Err(AuditUnavailable { reason: "its server does not answer".into(), remedy: AuditRemedy::Login }),
    }
}

/// Runs an INSERT of this many rows. The statement has no name: behind a pooler, another client could have prepared another
/// statement by that name, which would answer instead.
///
/// # Errors
///
/// If it added another number of rows, the record is not known to be written.
async fn added(
    insert: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    rows: usize,
    store: &mut PgConnection,
) -> Result<(), AuditUnavailable> {
    let added = within(insert.persistent(false).execute(store)).await?.rows_affected();
    if usize::try_from(added) == Ok(rows) {
        return Ok(());
    }
    let reason = format!("its database added {added} rows instead of {rows}");
    Err(AuditUnavailable { reason, remedy: AuditRemedy::Place })
}

/// Registers a process. A role that may only insert cannot read earlier chains, so `previous` stays empty.
pub(super) async fn register(
    store: &mut PgConnection,
    mut beginning: Beginning,
    seal: &Seal,
) -> Result<Beginning, AuditUnavailable> {
    // The events of several calls are written in one statement, which fails if one of them has a character that the
    // encoding lacks.
    let encoding = sqlx::query_scalar::<_, String>("SELECT pg_catalog.current_setting('server_encoding')");
    let encoding = within(encoding.persistent(false).fetch_one(&mut *store)).await?;
    if !matches!(encoding.as_str(), "UTF8" | "SQL_ASCII") {
        let reason =
            format!("its database has the encoding {encoding}, which cannot store every character; use one with UTF8");
        return Err(AuditUnavailable { reason, remedy: AuditRemedy::Place });
    }
    beginning.hash = Some(beginning.expected(seal));
    const INSERT: &str = "INSERT INTO tudb_audit.process (process, started_at, version, key_id, previous, hash)
        VALUES ($1::pg_catalog.uuid, $2, $3, $4, $5, $6)";
    let insert = sqlx::query(INSERT)
        .bind(beginning.process.clone())
        .bind(beginning.started_at.clone())
        .bind(beginning.version.clone())
        .bind(beginning.key_id.clone())
        .bind(beginning.previous.clone())
        .bind(beginning.hash.clone());
    added(insert, 1, store).await?;
    Ok(beginning)
}

/// Adds events in one statement, and therefore in one transaction.
pub(super) async fn insert(store: &mut PgConnection, process: &str, rows: &[Row]) -> Result<(), AuditUnavailable> {
    const INSERT: &str = "INSERT INTO tudb_audit.event (process, seq, kind, id, at, body, hash)
        SELECT $1::pg_catalog.uuid, seq, kind, id, at, body, hash
        FROM pg_catalog.json_to_recordset($2::pg_catalog.json) AS event (
          seq pg_catalog.int8, kind pg_catalog.text, id pg_catalog.uuid, at pg_catalog.text, body pg_catalog.text,
          hash pg_catalog.text)";
    let events = super::json(&rows);
    added(sqlx::query(INSERT).bind(process.to_owned()).bind(events), rows.len(), store).await
}

/// Adds the `closing` row of a process: process, time, last sequence number, last hash, hash of the row.
pub(super) async fn close(
    store: &mut PgConnection,
    (process, at, last_seq, head, hash): (&str, &str, i64, &str, &str),
) -> Result<(), AuditUnavailable> {
    let insert = sqlx::query(
        "INSERT INTO tudb_audit.closing (process, at, last_seq, head, hash) VALUES ($1::pg_catalog.uuid, $2, $3, $4, $5)",
    )
    .bind(process.to_owned())
    .bind(at.to_owned())
    .bind(last_seq)
    .bind(head.to_owned())
    .bind(hash.to_owned());
    added(insert, 1, store).await
}

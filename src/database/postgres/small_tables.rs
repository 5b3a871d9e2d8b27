//! The values of text columns of small tables, where statistics do not list them.

use std::fmt::Write as _;

use sqlx::postgres::PgConnection;
use sqlx::postgres::types::Oid;
use sqlx::{Row, ValueRef};

use super::catalog::own;
use crate::quoting;

/// Bytes of a table up to which its values are read.
const MAX_TABLE_BYTES: i64 = 256 << 10;

/// Tables whose values are read for one snapshot.
const MAX_TABLES: usize = 40;

/// Characters of a value that counts as one. A column with a longer one has free texts.
const MAX_VALUE_CHARACTERS: usize = 60;

/// A table whose values may be read: without row-level security, and the role may read all of it.
pub(super) struct Candidate {
    pub oid: Oid,
    pub schema: String,
    pub table: String,
    /// The text columns: number and name.
    pub columns: Vec<(i16, String)>,
}

/// What a small table holds.
pub(super) struct Found {
    pub oid: Oid,
    pub rows: i64,
    /// Number of each column with few values, and all of its values, in order.
    pub columns: Vec<(i16, Vec<String>)>,
}

/// Reads the small ones of these tables. `most` is the number of values up to which a column has few.
pub(super) async fn read(
    connection: &mut PgConnection,
    mut candidates: Vec<Candidate>,
    most: usize,
) -> Result<Vec<Found>, sqlx::Error> {
    const SMALL: &str = "SELECT u.oid FROM unnest($1::oid[]) u(oid) WHERE pg_relation_size(u.oid) BETWEEN 1 AND $2";
    candidates.truncate(10 * MAX_TABLES);
    let oids: Vec<Oid> = candidates.iter().map(|candidate| candidate.oid).collect();
    let small =
        sqlx::query(SMALL).bind(oids).bind(MAX_TABLE_BYTES).persistent(false).fetch_all(&mut *connection).await?;
    let small = small.iter().map(|row| row.try_get::<Oid, _>(0)).collect::<Result<Vec<Oid>, _>>()?;
    let mut found = Vec::new();
    for candidate in candidates.into_iter().filter(|candidate| small.contains(&candidate.oid)).take(MAX_TABLES) {
        let row = sqlx::query(own(query(&candidate, most))).persistent(false).fetch_one(&mut *connection).await?;
        let mut columns = Vec::new();
        for (at, (number, _)) in candidate.columns.iter().enumerate() {
            let values: Vec<String> =
                if row.try_get_raw(at + 1)?.is_null() { Vec::new() } else { row.try_get(at + 1)? };
            // Generated identifiers are no values that anybody asks for.
            let are_identifiers = values.iter().all(|value| uuid::Uuid::parse_str(value).is_ok());
            if !are_identifiers && values.len() <= most {
                columns.push((*number, values));
            }
        }
        found.push(Found { oid: candidate.oid, rows: row.try_get(0)?, columns });
    }
    Ok(found)
}

/// One row: the number of rows, and for each column its distinct values up to one more than `most`, or NULL if one of them
/// is too long. The names come from the catalog and are quoted.
fn query(candidate: &Candidate, most: usize) -> String {
    let from = format!("ONLY {}.{}", quoting::quoted_name(&candidate.schema), quoting::quoted_name(&candidate.table));
    let mut text = format!("SELECT (SELECT count(*) FROM {from})");
    for (_, name) in &candidate.columns {
        let column = quoting::quoted_name(name);
        let _ = write!(
            text,
            ", (SELECT CASE WHEN max(length(v)) <= {MAX_VALUE_CHARACTERS} THEN array_agg(v ORDER BY v) END
               FROM (SELECT DISTINCT {column}::text AS v FROM {from} WHERE {column} IS NOT NULL LIMIT {}) d)",
            most + 1
        );
    }
    text
}

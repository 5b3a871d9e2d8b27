//! Names and types of a statement's columns where the driver cannot describe it: behind a pooler, under the caller's
//! path, and for types that the driver cannot look up.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;
use sqlx::{Column, Executor, Row};

use super::sql_error;
use super::statement::approved;
use crate::database::DatabaseError;
use crate::guard::QualifiedSql;

/// A column of a statement's result, as the server describes it.
pub(super) struct DescribedColumn {
    pub(super) name: String,
    /// Its type.
    pub(super) oid: u32,
    /// Table and number of the column, if the value is that of a table's column and the driver describes the statement.
    pub(super) origin: Option<(u32, i16)>,
}

/// Returns names and types of the columns by two unnamed statements, for poolers and for types that the driver cannot
/// look up. Both statements return built-in types. Neither runs the caller's text: the join on false makes the planner
/// drop the sub-query.
pub(super) async fn probe(
    connection: &mut PgConnection,
    sql: &QualifiedSql,
) -> Result<Vec<DescribedColumn>, DatabaseError> {
    // If a column had this name, it would be read instead of the row. So the alias is one that nobody can guess.
    let alias = format!("tudb_{}", uuid::Uuid::now_v7().simple());
    let opening = format!(
        "SELECT pg_catalog.row_to_json({alias})::pg_catalog.text FROM (SELECT t.* FROM (SELECT 1) d LEFT JOIN ("
    );
    let text = format!("{opening}{}\n) t ON false) {alias}", sql.text());
    let row = connection
        .fetch_one(sqlx::query(approved(text)).persistent(false))
        .await
        .map_err(|error| sql_error(error, Some((opening.chars().count(), sql))))?;
    let names: String = row.try_get(0).map_err(DatabaseError::Connection)?;
    let Keys(names) =
        serde_json::from_str(&names).map_err(|error| DatabaseError::Connection(sqlx::Error::Decode(error.into())))?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let list = |item: &dyn Fn(usize) -> String| (1..=names.len()).map(item).collect::<Vec<_>>().join(",");
    let opening = format!(
        "SELECT ARRAY[{}] FROM (SELECT 1) d LEFT JOIN (",
        list(&|n| format!("pg_catalog.pg_typeof(c{n})::pg_catalog.oid"))
    );
    let text = format!("{opening}{}\n) t({}) ON false", sql.text(), list(&|n| format!("c{n}")));
    let row = connection
        .fetch_one(sqlx::query(approved(text)).persistent(false))
        .await
        .map_err(|error| sql_error(error, Some((opening.chars().count(), sql))))?;
    let oids: Vec<sqlx::postgres::types::Oid> = row.try_get(0).map_err(DatabaseError::Connection)?;
    let columns = names.into_iter().zip(oids);
    Ok(columns.map(|(name, oid)| DescribedColumn { name, oid: oid.0, origin: None }).collect())
}

/// Returns the columns of a statement with their origins, as the server describes an unnamed statement. The driver must
/// know all types of the columns already. `None` if the driver cannot describe the statement. Does not run the caller's
/// text; see [`probe`].
pub(super) async fn describe(
    connection: &mut PgConnection,
    sql: &QualifiedSql,
) -> Result<Option<Vec<DescribedColumn>>, DatabaseError> {
    let opening = "SELECT t.* FROM (SELECT 1) d LEFT JOIN (";
    let text = format!("{opening}{}\n) t ON false", sql.text());
    let row = match connection.fetch_one(sqlx::query(approved(text)).persistent(false)).await {
        Ok(row) => row,
        Err(error @ sqlx::Error::Database(_)) => {
            return Err(sql_error(error, Some((opening.chars().count(), sql))));
        }
        Err(error @ (sqlx::Error::Io(_) | sqlx::Error::Tls(_))) => return Err(DatabaseError::Connection(error)),
        Err(error) => {
            tracing::debug!(%error, "the driver cannot describe this statement");
            return Ok(None);
        }
    };
    let columns = row.columns().iter().map(|column| {
        let origin = column.relation_id().map(|table| table.0).zip(column.relation_attribute_no());
        Some(DescribedColumn { name: column.name().to_owned(), oid: column.type_info().oid()?.0, origin })
    });
    Ok(columns.collect())
}

/// True for common types that the driver knows without asking the catalog. Source: `PgType::try_from_oid` of sqlx 0.9.
pub(super) fn has_known_type(oid: u32) -> bool {
    // bool, bytea, name, int8, int2, int4, text, oid, json, float4, float8, bpchar, varchar, date, time, timestamp,
    // timestamptz, interval, numeric, uuid, jsonb.
    const KNOWN: [u32; 21] =
        [16, 17, 19, 20, 21, 23, 25, 26, 114, 700, 701, 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1700, 2950, 3802];
    KNOWN.contains(&oid)
}

/// The first oid of objects that users make. Source: `FirstNormalObjectId` in PostgreSQL's `transam.h`.
pub(super) const FIRST_USER_OID: u32 = 16_384;

/// Replaces domains by the types that they are based on, as the server does when it describes a statement. The transaction
/// must be under [`OWN_PATH`].
pub(super) async fn with_base_types(
    connection: &mut PgConnection,
    columns: &mut [DescribedColumn],
) -> Result<(), sqlx::Error> {
    use sqlx::postgres::types::Oid;
    const BASES: &str = "WITH RECURSIVE b(oid, base) AS (SELECT t.oid, t.typbasetype FROM pg_type t
            WHERE t.oid = ANY ($1::oid[]) AND t.typtype = 'd'
        UNION ALL SELECT b.oid, t.typbasetype FROM b JOIN pg_type t ON t.oid = b.base AND t.typtype = 'd')
        SELECT b.oid, b.base FROM b JOIN pg_type t ON t.oid = b.base AND t.typtype <> 'd'";
    let oids: Vec<Oid> = columns.iter().map(|column| Oid(column.oid)).collect();
    let found = sqlx::query_as::<_, (Oid, Oid)>(BASES).bind(oids).persistent(false).fetch_all(connection).await?;
    let bases: HashMap<u32, u32> = found.into_iter().map(|(oid, base)| (oid.0, base.0)).collect();
    for column in columns {
        column.oid = bases.get(&column.oid).copied().unwrap_or(column.oid);
    }
    Ok(())
}

/// The keys of a JSON object, in order, duplicates included.
struct Keys(Vec<String>);

impl<'de> serde::Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Keys;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, serde::de::IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_order_and_duplicates() {
        let Keys(keys) = serde_json::from_str(r#"{"b":null,"a":1,"b":2}"#).unwrap();
        assert_eq!(keys, ["b", "a", "b"]);
    }
}

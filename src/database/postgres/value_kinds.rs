//! PostgreSQL's types by oid: the form in which their values are sent, and their names.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sqlx::postgres::types::Oid;
use sqlx::{PgConnection, Row};

/// The form in which the server sends the values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    /// As text: a number in the syntax of JSON, `NaN`, `Infinity` or `-Infinity`.
    Float,
    /// As text: a `numeric`, or a `money` with its currency sign. The server cuts the text only if it is longer than a
    /// whole reply.
    Digits,
    /// As text. The type limits the length of the text.
    Short,
    /// As text, which may be long. The server cuts the text after as many characters as a cell may have bytes. A
    /// separate column contains the length of the whole text in bytes.
    Long,
}

impl Kind {
    /// Returns the form for the type with this oid. The oids of built-in types are fixed (`pg_type.dat`).
    pub(super) fn of(oid: u32) -> Self {
        match oid {
            16 => Kind::Bool,
            21 => Kind::Int2,
            23 => Kind::Int4,
            20 => Kind::Int8,
            700 | 701 => Kind::Float,
            1700 | 790 => Kind::Digits,
            // date, time, timetz, timestamp, timestamptz, interval, uuid, oid, inet, cidr, macaddr, macaddr8
            1082 | 1083 | 1266 | 1114 | 1184 | 1186 | 2950 | 26 | 869 | 650 | 829 | 774 => Kind::Short,
            _ => Kind::Long,
        }
    }
}

/// A cache of the names of types, by oid. A name is never queried again, because a type keeps its oid and is rarely
/// renamed.
#[derive(Debug, Default)]
pub(super) struct TypeNames(Mutex<HashMap<u32, String>>);

impl TypeNames {
    /// True if the name of at least one of the types has to be queried.
    pub(super) fn are_unknown(&self, oids: &[u32]) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        oids.iter().any(|oid| well_known(*oid).is_none() && !known.contains_key(oid))
    }

    /// Queries the names that are not in the cache. A type of `pg_catalog` gets the name that `format_type` returns
    /// without a modifier. The name of any other type includes its schema (`public.mood`).
    pub(super) async fn learn(&self, connection: &mut PgConnection, oids: &[u32]) -> Result<(), sqlx::Error> {
        const QUERY: &str = "SELECT t.oid, CASE
              WHEN coalesce(en.nspname, n.nspname) = 'pg_catalog' THEN format_type(t.oid, NULL)
              WHEN e.oid IS NOT NULL THEN quote_ident(en.nspname) || '.' || quote_ident(e.typname) || '[]'
              ELSE quote_ident(n.nspname) || '.' || quote_ident(t.typname) END
            FROM pg_catalog.pg_type t
            JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
            LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
            LEFT JOIN pg_catalog.pg_namespace en ON en.oid = e.typnamespace
            WHERE t.oid = ANY ($1)";
        let mut unknown: Vec<Oid> = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            oids.iter()
                .filter(|oid| well_known(**oid).is_none() && !known.contains_key(*oid))
                .map(|oid| Oid(*oid))
                .collect()
        };
        unknown.sort_by_key(|oid| oid.0);
        unknown.dedup();
        if !unknown.is_empty() {
            let rows = sqlx::query(QUERY).bind(unknown).persistent(false).fetch_all(connection).await?;
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for row in rows {
                known.insert(row.try_get::<Oid, _>(0)?.0, row.try_get(1)?);
            }
        }
        Ok(())
    }

    /// Returns the names of the types; `unknown` for a type whose name was never queried.
    pub(super) fn names(&self, oids: &[u32]) -> Vec<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = |oid: &u32| {
            well_known(*oid).map(str::to_owned).or_else(|| known.get(oid).cloned()).unwrap_or_else(|| "unknown".into())
        };
        oids.iter().map(name).collect()
    }
}

/// Returns the name of a common built-in type. Most tables have only these types, so their names need no query.
fn well_known(oid: u32) -> Option<&'static str> {
    Some(match oid {
        16 => "boolean",
        17 => "bytea",
        19 => "name",
        20 => "bigint",
        21 => "smallint",
        23 => "integer",
        25 => "text",
        26 => "oid",
        114 => "json",
        700 => "real",
        701 => "double precision",
        1042 => "character",
        1043 => "character varying",
        1082 => "date",
        1083 => "time without time zone",
        1114 => "timestamp without time zone",
        1184 => "timestamp with time zone",
        1186 => "interval",
        1700 => "numeric",
        2950 => "uuid",
        3802 => "jsonb",
        _ => return None,
    })
}

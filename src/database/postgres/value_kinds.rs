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
    /// Text: a JSON number, `NaN` or an infinity.
    Float,
    /// Text: exact digits, never cut.
    Digits,
    /// Text of a bounded length.
    Short,
    /// Text that may be long. The server cuts it and sends the length of the whole text beside it.
    Long,
}

impl Kind {
    /// The oids of built-in types are fixed (`pg_type.dat`).
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

/// Remembered names of types. A type keeps its oid and is hardly ever renamed.
#[derive(Debug, Default)]
pub(super) struct TypeNames(Mutex<HashMap<u32, String>>);

impl TypeNames {
    /// True if the name of one of the types has to be queried.
    pub(super) fn are_unknown(&self, oids: &[u32]) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        oids.iter().any(|oid| well_known(*oid).is_none() && !known.contains_key(oid))
    }

    /// Queries the names that are not remembered: in the spelling of `format_type` without modifier, and with the
    /// schema for a user's type (`public.mood`).
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

/// The types of most tables, so that their names need no query.
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

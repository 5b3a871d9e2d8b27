//! Counts how many relations the server puts into a statement in place of its views.
//!
//! In a chain of thirty views, each of which reads the next one twice, the first view stands for a billion relations.
//! The server replaces views by their queries when it prepares a statement, and meanwhile reacts neither to a time
//! limit nor to a cancel. So the relations are counted before the server gets a statement that reads a view.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::sql_error;
use crate::database::DatabaseError;
use crate::guard::Rejection;

/// Maximum relations that the views and partitioned tables of one statement may stand for.
const MAX_RELATIONS: u64 = 10_000;

/// Parameters: $1 and $2 are the schemas and names of relations. Columns: a relation, a relation that it reads, and how
/// often. For each named relation there is a row `0, relation, 1`. The other rows are about the relations that these
/// reach: through views, row-level security policies and children (partitions, inheriting tables).
///
/// In a rule's tree, `:relkind` follows the number of each relation that is read. From version 16 on, a tree also has a
/// list of permissions. The numbers in that list have no `:relkind`, so they are not counted. A CTE that is NOT
/// MATERIALIZED is read once for each of its references.
const EDGES: &str = r"
WITH RECURSIVE
  named AS (SELECT DISTINCT c.oid FROM unnest($1::text[], $2::text[]) u(s, n) JOIN pg_namespace n ON n.nspname = u.s
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.n),
  reached AS (SELECT oid FROM named UNION SELECT x.oid FROM reached r, LATERAL unnest(ARRAY(
    SELECT m[1]::oid FROM pg_class c JOIN pg_rewrite w ON w.ev_class = c.oid,
      LATERAL regexp_matches(w.ev_action::text, ':relid (\d+) (?::inh \w+ )?:relkind', 'g') m
      WHERE c.oid = r.oid AND c.relkind = 'v'
    UNION SELECT m[1]::oid FROM pg_policy y,
      LATERAL regexp_matches(y.polqual::text, ':relid (\d+) (?::inh \w+ )?:relkind', 'g') m WHERE y.polrelid = r.oid
    UNION SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = r.oid)) x(oid)),
  trees AS (SELECT r.oid, w.ev_action::text AS tree FROM reached r JOIN pg_class c ON c.oid = r.oid AND c.relkind = 'v'
      JOIN pg_rewrite w ON w.ev_class = c.oid
    UNION ALL SELECT r.oid, y.polqual::text FROM reached r JOIN pg_policy y ON y.polrelid = r.oid),
  weighed AS (SELECT t.oid, t.tree, least(1e9, power(greatest(2, least(1000, (SELECT count(*) FROM
      regexp_matches(t.tree, ':ctename ', 'g')))), least(9, (SELECT count(*) FROM
      regexp_matches(t.tree, ':ctematerialized 2', 'g')))))::int8 AS times FROM trees t)
SELECT 0::int8, oid::int8, 1::int8 FROM named
UNION ALL SELECT w.oid::int8, m[1]::int8, (count(*) * w.times)::int8 FROM weighed w,
  LATERAL regexp_matches(w.tree, ':relid (\d+) (?::inh \w+ )?:relkind', 'g') m
  WHERE m[1]::oid <> w.oid GROUP BY w.oid, m[1], w.times
UNION ALL SELECT i.inhparent::int8, i.inhrelid::int8, 1 FROM reached r JOIN pg_inherits i ON i.inhparent = r.oid";

/// Checks the views of the named relations. `times` is how often the statement names the relation that it names most
/// often.
///
/// # Errors
///
/// [`DatabaseError::Ruled`] if the named relations stand for more than [`MAX_RELATIONS`]. Otherwise the errors of the
/// query.
pub(super) async fn check(
    connection: &mut PgConnection,
    schemas: &[String],
    names: &[String],
    times: u64,
) -> Result<(), DatabaseError> {
    let rows = sqlx::query(EDGES).bind(schemas).bind(names).persistent(false).fetch_all(connection).await;
    let mut edges: BTreeMap<i64, Vec<(i64, u64)>> = BTreeMap::new();
    for row in rows.map_err(|error| sql_error(error, None))? {
        let number = |at: usize| row.try_get::<i64, _>(at).map_err(DatabaseError::Connection);
        edges.entry(number(0)?).or_default().push((number(1)?, u64::try_from(number(2)?).unwrap_or(u64::MAX)));
    }
    if relations(&edges).saturating_mul(times.max(1)) <= MAX_RELATIONS {
        return Ok(());
    }
    Err(DatabaseError::Ruled(Rejection::Relation {
        name: names.join(", "),
        reason: "its views and partitions stand for more than 10,000 relations",
    }))
}

/// The number of relations that the named relations (the edges of 0) stand for: these relations, and the relations
/// inside them at every depth. Policies can form a cycle, so no path is followed for more steps than there are
/// relations.
fn relations(edges: &BTreeMap<i64, Vec<(i64, u64)>>) -> u64 {
    let mut level: BTreeMap<i64, u64> = BTreeMap::from([(0, 1)]);
    let mut all: u64 = 0;
    for _ in 0..=edges.len() {
        let mut next: BTreeMap<i64, u64> = BTreeMap::new();
        for (relation, times) in &level {
            for (read, count) in edges.get(relation).into_iter().flatten() {
                let sum = next.entry(*read).or_default();
                *sum = sum.saturating_add(times.saturating_mul(*count));
            }
        }
        all = next.values().fold(all, |all, count| all.saturating_add(*count));
        if next.is_empty() || all > MAX_RELATIONS {
            break;
        }
        level = next;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_counted_as_often_as_they_are_read() {
        let chain = |length: i64, times: u64| {
            let mut edges = BTreeMap::from([(0, vec![(1, 1)])]);
            edges.extend((1..length).map(|at| (at, vec![(at + 1, times)])));
            relations(&edges)
        };
        assert_eq!(chain(1, 2), 1);
        assert_eq!(chain(4, 2), 15);
        assert_eq!(chain(500, 1), 500);
        assert!(chain(30, 2) > MAX_RELATIONS && chain(64, u64::MAX) > MAX_RELATIONS);
        let cycle = BTreeMap::from([(0, vec![(1, 1)]), (1, vec![(2, 1)]), (2, vec![(1, 1)])]);
        assert!(relations(&cycle) < 10);
    }
}

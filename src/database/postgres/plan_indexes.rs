//! The indexes of the relations that a plan reads: a suggestion must not name one that exists.

use std::collections::HashMap;

use sqlx::Executor;
use sqlx::postgres::PgConnection;

use super::catalog::{own, parse};
use super::lossy::Lossy;
use super::sql_error;
use crate::database::DatabaseError;
use crate::database::plan::Indexed;

/// Relations of a plan: $1 their names with schemas, quoted. The partitioned table at the top of each, and the columns of its
/// indexes.
const INDEXED: &str = "SELECT u.name, coalesce((SELECT quote_ident(n.nspname) || '.' || quote_ident(r.relname)
      FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
      WHERE r.oid = pg_partition_root(c.oid)), u.name),
    (SELECT coalesce(jsonb_agg((SELECT jsonb_agg(quote_ident(a.attname) ORDER BY k.place)
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.place <= i.indnkeyatts)), '[]')
      FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL)::text
  FROM unnest($1::text[]) u(name) JOIN pg_catalog.pg_class c ON c.oid = to_regclass(u.name)";

/// Looks up the relations that candidates for an index name. `is_own_path` is false if the statement ran under the caller's
/// path, in which another user's object could stand for a built-in. `keep_plan` prepares the query by name, which takes a
/// third of the time: planning it takes longer than running it. It must be false if code of users may have run while the
/// plan was made, because that code could have taken the name.
pub(super) async fn indexed(
    connection: &mut PgConnection,
    relations: Vec<String>,
    is_own_path: bool,
    keep_plan: bool,
) -> Result<HashMap<String, Indexed>, DatabaseError> {
    let failed = |error| sql_error(error, None);
    if !is_own_path {
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp").await.map_err(failed)?;
    }
    // The driver remembers a statement's name by its text. The line break makes a text that was never named.
    let query = if keep_plan { INDEXED.to_owned() } else { format!("{INDEXED}\n") };
    let rows = sqlx::query_as::<_, (String, String, Lossy)>(own(query)).bind(relations).persistent(keep_plan);
    let rows = rows.fetch_all(connection).await.map_err(failed)?;
    let indexed =
        rows.into_iter().map(|(name, root, Lossy(indexes))| Ok((name, Indexed { root, indexes: parse(&indexes)? })));
    indexed.collect()
}

//! Reads the schema snapshot: all tables that the role may read. A few plain catalog queries return the rows, and this
//! module combines them. A single statement with a sub-select for each column took 7 s for 200,000 columns, and three
//! times as much memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use futures_util::TryStreamExt;
use sqlx::postgres::PgConnection;
use sqlx::postgres::types::Oid;
use sqlx::{Executor, Row};

use super::catalog::{
    PLAIN_PLANS, are_partial, distinct, foreign, frequent_values, has_frequent_values, is_list, kind, known_values,
    own, readable, rows, type_name, visible,
};
use super::catalog_check::TRUSTED;
use super::lossy::{self, Lossy};
use super::{catalog, sql_error};
use crate::database::DatabaseError;
use crate::database::catalog::{Column, ForeignKey, Snapshot, TableDescription};
use crate::guard::columns::ColumnRules;

/// First column: a part of the fingerprint of a snapshot. The other part is [`catalog::fingerprint`]. The value changes
/// if columns, constraints, comments, enum labels, schemas or role memberships change.
///
/// Second column: the current UTC offset of the session's time zone, in seconds.
const CHANGES: &str = "SELECT concat_ws(' ',
    (SELECT count(*) || ':' || sum(xmin::text::bigint) FROM pg_catalog.pg_attribute WHERE attrelid >= 16384 AND attnum > 0),
    (SELECT count(*) || ':' || sum(xmin::text::bigint) FROM pg_catalog.pg_constraint),
    (SELECT count(*) || ':' || sum(xmin::text::bigint) FROM pg_catalog.pg_description WHERE objoid >= 16384),
    (SELECT count(*) || ':' || sum(xmin::text::bigint) FROM pg_catalog.pg_enum),
    (SELECT count(*) || ':' || sum(xmin::text::bigint) FROM pg_catalog.pg_namespace),
    (SELECT count(*) || ':' || sum(xmin::text::bigint) FROM pg_catalog.pg_auth_members)),
    extract(timezone FROM now())::int";

/// The tables of the snapshot. $1 hidden schemas, $2 shown schemas. The last column is the table's place by its name.
///
/// The tables of superusers and of the database's owner come first. So if the snapshot has no room for all tables, the
/// tables that other users made in large numbers are those that are left out.
const TABLES: &str = concat!(
    visible!(),
    "SELECT v.oid, v.nspname::text, v.relname::text, v.name, ",
    kind!(),
    ", substr(obj_description(c.oid, 'pg_class'), 1, 500), ",
    rows!(),
    ", ",
    foreign!(),
    " IS NOT NULL, has_table_privilege(v.oid, 'SELECT'), c.relrowsecurity,
      row_number() OVER (ORDER BY v.nspname COLLATE \"C\", v.relname COLLATE \"C\") AS place
      FROM visible v JOIN pg_catalog.pg_class c ON c.oid = v.oid ORDER BY c.relowner <> ALL (TRUSTED), place"
);

/// The readable columns, in the order of the tables. $1 tables, $2 for each table, whether the role may read all of its
/// columns.
const COLUMNS: &str = "SELECT a.attrelid, a.attnum, a.attname::text, a.atttypid,
      a.attnotnull AND k.conrelid IS NULL, substr(d.description, 1, 500), a.attgenerated <> ''
    FROM unnest($1::oid[], $2::bool[]) WITH ORDINALITY v(oid, whole, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = v.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_description d ON d.objoid = a.attrelid AND d.objsubid = a.attnum
      AND d.classoid = 'pg_catalog.pg_class'::regclass
    LEFT JOIN (SELECT DISTINCT conrelid, conkey[1] AS number FROM pg_catalog.pg_constraint
        WHERE contype = 'n' AND NOT convalidated AND conrelid = ANY ($1)) k ON k.conrelid = a.attrelid AND k.number = a.attnum
    WHERE v.whole OR has_column_privilege(a.attrelid, a.attnum, 'SELECT')
    ORDER BY v.place, a.attnum";

/// Time limits, set before each query of known values. Objects of other users can make such a query fail or take long.
const VALUES: &str = "SET LOCAL lock_timeout = 300; SET LOCAL statement_timeout = 2000";

/// The names of types. $1 types.
const TYPES: &str = concat!(
    "SELECT t.oid, ",
    type_name!(),
    "
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
    LEFT JOIN pg_catalog.pg_namespace en ON en.oid = e.typnamespace WHERE t.oid = ANY ($1)"
);

/// The types that $1 reach. Columns: type, next type. The next type of a domain is its base type, the next type of an
/// array is its element type, and the next type of an enum is the enum itself. The query follows a chain of domains
/// once, even if many columns have types of that chain.
const BASES: &str = "WITH RECURSIVE base AS (
      SELECT t.oid, t.typtype, CASE WHEN t.typtype = 'd' THEN t.typbasetype WHEN t.typcategory = 'A' THEN t.typelem
        ELSE 0 END AS next FROM pg_catalog.pg_type t WHERE t.oid = ANY ($1)
      UNION SELECT t.oid, t.typtype, CASE WHEN t.typtype = 'd' THEN t.typbasetype WHEN t.typcategory = 'A' THEN t.typelem
        ELSE 0 END FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.next WHERE b.next <> 0)
    SELECT oid, CASE WHEN typtype = 'e' THEN oid ELSE next END FROM base WHERE typtype = 'e' OR next <> 0";

/// The labels of enums, in order, at most 500 for each enum. $1 enums.
const LABELS: &str = "SELECT u.oid, ARRAY(SELECT l.enumlabel::text FROM pg_catalog.pg_enum l WHERE l.enumtypid = u.oid
    ORDER BY l.enumsortorder LIMIT 500) FROM unnest($1::oid[]) u(oid)";

/// Columns: a table or partition, its parent. The role may be able to see only one of the two.
const INHERITANCE: &str = "SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f')";

/// The names of tables. $1 tables. Columns: oid, schema, name.
const NAMES_OF: &str = "SELECT c.oid, n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1)";

/// $1 tables. Columns: table, column number, values of a CHECK on that column that is a list of values, whether these
/// are all values (always true). The server locks a table to write its CHECK as text. So the query first leaves out
/// tables on which a session holds or awaits an ACCESS EXCLUSIVE lock.
const CHECKS: &str = concat!(
    "WITH free AS MATERIALIZED (SELECT k.oid, k.conrelid, k.conkey[1] AS number FROM pg_catalog.pg_constraint k
      WHERE k.conrelid = ANY ($1) AND k.contype = 'c' AND cardinality(k.conkey) = 1
        AND CASE WHEN pg_column_size(k.conbin) < 100000 THEN octet_length(k.conbin::text) < 200000
          -- The text of a short numeric constant can be very long. The text of a short string constant cannot.
          AND k.conbin::text !~ ':consttype (?!(25|1042|1043|1009|1014|1015) )' END
        AND k.conrelid <> ALL (ARRAY(SELECT l.relation FROM pg_catalog.pg_locks l
          WHERE l.mode = 'AccessExclusiveLock' AND l.relation IS NOT NULL))),
    written AS MATERIALIZED (SELECT f.oid, f.conrelid, f.number, pg_get_constraintdef(f.oid) AS text FROM free f)
    SELECT w.conrelid, w.number, array_agg(replace(m[1], '''''', '''')), true
    FROM written w, regexp_matches(w.text, '''((?:[^'']|'''')*)''::(?:text|character varying|bpchar)', 'g') m
    WHERE length(w.text) < 20000 AND w.text ~ ",
    is_list!(),
    " GROUP BY w.oid, w.conrelid, w.number"
);

/// The most frequent values of text columns with few different values, from the planner's statistics. $1 tables, $2 the
/// maximum number of values. Columns: table, column number, values, whether these are all values. Tables with row-level
/// security are left out.
const FREQUENT: &str = concat!(
    "SELECT c.oid, a.attnum, ",
    frequent_values!("$2"),
    ", coalesce(",
    are_partial!(),
    ", true)
    FROM pg_catalog.pg_stats s JOIN pg_catalog.pg_namespace n ON n.nspname = s.schemaname
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename AND NOT c.relrowsecurity
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typcategory = 'S'
    WHERE c.oid = ANY ($1) AND ",
    has_frequent_values!("$2"),
    " ORDER BY s.inherited"
);

/// Primary and foreign keys. $1 tables.
const KEYS: &str = "SELECT k.conrelid, k.contype = 'p', k.confrelid, k.conkey, k.confkey,
      k.contype = 'f' AND coalesce(to_jsonb(k)->>'conperiod' = 'true', false) FROM pg_catalog.pg_constraint k
    WHERE k.conrelid = ANY ($1) AND k.contype IN ('p', 'f') ORDER BY k.conrelid, k.conname";

/// The limits and column rules of a snapshot, and the place for the UTC offset.
pub(super) struct Bounds<'a> {
    /// Maximum number of frequent values of a column.
    pub(super) sampled: usize,
    /// Maximum memory of the snapshot, approximately.
    pub(super) max_bytes: usize,
    /// The column rules of the source. If there are rules, `kin` of each table names the tables of its inheritance or
    /// partition tree to which a rule applies.
    pub(super) rules: &'a ColumnRules,
    /// The schemas in which statements look for a name, in order.
    pub(super) path: &'a [String],
    /// Receives the UTC offset of the session's time zone, in seconds.
    pub(super) utc_offset: &'a AtomicI32,
}

/// A table while its columns are read.
struct Draft {
    table: TableDescription,
    /// Number and type of each column.
    columns: Vec<(i16, u32)>,
    /// Position in the order of names.
    place: i64,
    is_left_out: bool,
}

impl Draft {
    fn column(&mut self, number: i16) -> Option<&mut Column> {
        let at = self.columns.iter().position(|(own, _)| *own == number)?;
        self.table.columns.get_mut(at)
    }

    /// Returns the names of a key's columns; `None` if one of them is not visible.
    fn names(&self, numbers: &[i16]) -> Option<Vec<String>> {
        let name = |number: &i16| {
            let at = self.columns.iter().position(|(own, _)| own == number)?;
            Some(self.table.columns.get(at)?.name.clone())
        };
        numbers.iter().map(name).collect()
    }
}

/// The tables that were read, each in its own heap allocation. During a read, no allocation may be larger than the
/// maximum size of a message of the server.
#[expect(clippy::vec_box, reason = "one piece of memory for all tables would be larger than a message")]
pub(super) struct Drafts {
    fingerprint: String,
    drafts: Vec<Box<Draft>>,
    /// Number of tables for which there was no room, not even without their columns.
    left_out: usize,
}

impl Drafts {
    pub(super) fn snapshot(self) -> Snapshot {
        let left_out = self.left_out + self.drafts.iter().filter(|draft| draft.is_left_out).count();
        if left_out > 0 {
            tracing::warn!(left_out, "the schema is larger than its snapshot may be: these tables are not part of it");
        }
        let tables = self.drafts.into_iter().filter(|draft| !draft.is_left_out).map(|draft| draft.table).collect();
        Snapshot { tables, fingerprint: Some(self.fingerprint), left_out, ..Snapshot::default() }
    }
}

/// Returns all visible tables as [`TableDescription`], without the parts that only `describe_table` shows. `None` if
/// the fingerprint of the catalog is still `unless`.
pub(super) async fn snapshot(
    connection: &mut PgConnection,
    (hidden, shown): (Vec<String>, Vec<String>),
    bounds: &Bounds<'_>,
    unless: Option<&str>,
) -> Result<Option<Drafts>, DatabaseError> {
    connection.execute(PLAIN_PLANS).await.map_err(|error| sql_error(error, None))?;
    let fingerprint = fingerprint(connection, bounds.utc_offset).await.map_err(|error| sql_error(error, None))?;
    if unless == Some(fingerprint.as_str()) {
        return Ok(None);
    }
    let (drafts, left_out) = read(connection, hidden, shown, bounds).await.map_err(|error| sql_error(error, None))?;
    Ok(Some(Drafts { fingerprint, drafts, left_out }))
}

async fn fingerprint(connection: &mut PgConnection, utc_offset: &AtomicI32) -> Result<String, sqlx::Error> {
    let shapes = catalog::fingerprint(&mut *connection).await?;
    let (changes, offset): (String, i32) = sqlx::query_as(CHANGES).persistent(false).fetch_one(connection).await?;
    utc_offset.store(offset, Ordering::Relaxed);
    Ok(format!("{shapes} {changes}"))
}

async fn read(
    connection: &mut PgConnection,
    hidden: Vec<String>,
    shown: Vec<String>,
    bounds: &Bounds<'_>,
) -> Result<(Vec<Box<Draft>>, usize), sqlx::Error> {
    let (mut tables, whole) = Tables::read(connection, hidden, shown, bounds).await?;
    tables.read_columns(connection, whole).await?;
    tables.read_values(connection).await?;
    types(connection, &mut tables.drafts, &mut tables.bytes, bounds.max_bytes).await?;
    tables.read_keys(connection).await?;
    let Tables { mut drafts, left_out, .. } = tables;
    drafts.sort_unstable_by_key(|draft| draft.place);
    shadow(&mut drafts, bounds.path);
    Ok((drafts, left_out))
}

/// The tables of the schema while they are read.
#[expect(clippy::vec_box, reason = "one piece of memory for all tables would be larger than a message")]
struct Tables<'a> {
    drafts: Vec<Box<Draft>>,
    /// Index of each table in `drafts`, by its oid.
    place: HashMap<u32, usize>,
    oids: Vec<Oid>,
    /// Size of the drafts.
    bytes: usize,
    /// Number of tables for which there was no room.
    left_out: usize,
    bounds: &'a Bounds<'a>,
}

impl<'a> Tables<'a> {
    /// Reads the tables without their columns. Also returns for each table whether the role may read all of its columns.
    async fn read(
        connection: &mut PgConnection,
        hidden: Vec<String>,
        shown: Vec<String>,
        bounds: &'a Bounds<'a>,
    ) -> Result<(Self, Vec<bool>), sqlx::Error> {
        let (mut drafts, mut place, mut oids, mut whole) = (Vec::new(), HashMap::new(), Vec::new(), Vec::new());
        let (mut comment_bytes, mut bytes, mut left_out) = (0, 0, 0);
        let mut rows = sqlx::query(own(TABLES.replace("TRUSTED", TRUSTED)))
            .bind(hidden)
            .bind(shown)
            .persistent(false)
            .fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            // Tables without columns may take half of the limit. The rest is for columns.
            if bytes > bounds.max_bytes / 2 {
                left_out += 1;
                continue;
            }
            let oid: Oid = row.try_get(0)?;
            let kind: String = row.try_get(4)?;
            let kin = Arc::new(vec![(lossy::text(&row, 1)?, lossy::text(&row, 2)?)]);
            place.insert(oid.0, drafts.len());
            oids.push(oid);
            whole.push(row.try_get::<bool, _>(8)?);
            // Once the comments reach a quarter of the limit, further comments are dropped. So long comments of another
            // user cannot displace tables.
            let comment = row.try_get::<Option<Lossy>, _>(5)?.map(|comment| comment.0);
            comment_bytes += comment.as_ref().map_or(0, String::len);
            let table = TableDescription {
                kin,
                comment: comment.filter(|_| comment_bytes < bounds.max_bytes / 4),
                rows: row.try_get(6)?,
                foreign: row.try_get(7)?,
                row_security: row.try_get(9)?,
                ..TableDescription::new(lossy::text(&row, 3)?, decode(&format!("\"{kind}\""))?)
            };
            bytes += table.bytes();
            drafts.push(Box::new(Draft { table, columns: Vec::new(), place: row.try_get(10)?, is_left_out: false }));
        }
        drop(rows);
        if !bounds.rules.is_empty() {
            kin(connection, &mut drafts, &place, bounds.rules).await?;
        }
        let bytes = drafts.iter().map(|draft| draft.table.bytes()).sum();
        Ok((Tables { drafts, place, oids, bytes, left_out, bounds }, whole))
    }

    async fn read_columns(&mut self, connection: &mut PgConnection, whole: Vec<bool>) -> Result<(), sqlx::Error> {
        let unnamed: Arc<str> = "".into();
        let query = sqlx::query(COLUMNS).bind(self.oids.clone()).bind(whole).persistent(false);
        let mut rows = query.fetch(connection);
        while let Some(row) = rows.try_next().await? {
            let Some(draft) = draft_of(&mut self.drafts, &self.place, row.try_get(0)?) else { continue };
            let column = Column {
                nullable: !row.try_get::<bool, _>(4)?,
                comment: row
                    .try_get::<Option<Lossy>, _>(5)?
                    .filter(|_| self.bytes < self.bounds.max_bytes / 2)
                    .map(|comment| comment.0.into()),
                // Column rules need to know that the column is generated. The expression stays empty, because only
                // `describe_table` shows it.
                generated: row.try_get::<bool, _>(6)?.then(Box::default),
                ..Column::new(lossy::text(&row, 2)?, Arc::clone(&unnamed))
            };
            self.bytes += column.bytes();
            if self.bytes > self.bounds.max_bytes {
                draft.is_left_out = true;
                draft.table.columns = Vec::new();
                continue;
            }
            draft.columns.push((row.try_get(1)?, row.try_get::<Oid, _>(3)?.0));
            draft.table.columns.push(column);
        }
        drop(rows);
        // The capacity of the lists of columns grew beyond their length.
        self.drafts.iter_mut().for_each(|draft| draft.table.columns.shrink_to_fit());
        Ok(())
    }

    /// Reads lists of the values of columns. A later list of values replaces an earlier list. The values of a CHECK, and
    /// then the labels of an enum, are more exact than the planner's statistics.
    async fn read_values(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let most = i32::try_from(self.bounds.sampled).unwrap_or(i32::MAX);
        let frequent = sqlx::query(FREQUENT).bind(self.oids.clone()).bind(most).persistent(false);
        let checks = sqlx::query(CHECKS).bind(self.oids.clone()).persistent(false);
        for query in [frequent, checks] {
            // The savepoint is a separate message, as pgpool-II needs it.
            connection.execute("SAVEPOINT known_values").await?;
            connection.execute(VALUES).await?;
            let mut rows = query.fetch(&mut *connection);
            loop {
                let row = match rows.try_next().await {
                    Ok(Some(row)) => row,
                    Ok(None) => break,
                    // The query can fail because of a lock of another session, or because of very long statistics or
                    // checks. Then the snapshot has the tables without these values.
                    Err(sqlx::Error::Database(error)) => {
                        tracing::warn!(%error, "the values of some columns are not known");
                        break;
                    }
                    Err(error) => return Err(error),
                };
                let number: i16 = row.try_get(1)?;
                let column =
                    draft_of(&mut self.drafts, &self.place, row.try_get(0)?).and_then(|draft| draft.column(number));
                if let Some(column) = column {
                    column.set_values(lossy::texts(&row, 2)?, row.try_get(3)?);
                    self.bytes += size_of_texts(&column.values);
                    if self.bytes > self.bounds.max_bytes {
                        column.values = Vec::new();
                    }
                }
            }
            drop(rows);
            connection.execute("ROLLBACK TO SAVEPOINT known_values").await?;
        }
        Ok(())
    }

    /// Reads the primary keys and the foreign keys.
    async fn read_keys(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut rows = sqlx::query(KEYS).bind(self.oids.clone()).persistent(false).fetch(connection);
        while let Some(row) = rows.try_next().await? {
            let Some(&at) = self.place.get(&row.try_get::<Oid, _>(0)?.0) else { continue };
            let numbers: Vec<i16> = row.try_get(3)?;
            let Some(columns) = self.drafts.get(at).and_then(|draft| draft.names(&numbers)) else { continue };
            let is_primary: bool = row.try_get(1)?;
            let period: bool = row.try_get(5)?;
            let other = self.place.get(&row.try_get::<Oid, _>(2)?.0).and_then(|at| self.drafts.get(*at));
            let key = match (is_primary, other) {
                (true, _) => None,
                (false, Some(other)) => {
                    other.names(&row.try_get::<Vec<i16>, _>(4)?).map(|referenced_columns| ForeignKey {
                        columns: columns.clone(),
                        references: other.table.name.clone(),
                        referenced_columns,
                        period,
                        ..ForeignKey::default()
                    })
                }
                (false, None) => continue,
            };
            self.bytes +=
                size_of_texts(&columns) + key.as_ref().map_or(0, |key| size_of_texts(&key.referenced_columns) + 64);
            if self.bytes > self.bounds.max_bytes {
                continue;
            }
            let Some(draft) = self.drafts.get_mut(at) else { continue };
            if is_primary {
                draft.table.primary_key = columns;
            } else {
                draft.table.foreign_keys.extend(key);
            }
        }
        Ok(())
    }
}

/// Marks tables whose schema is not in the path, and tables that a statement cannot mean by their name alone, because a
/// table of the same name comes earlier in the path.
fn shadow(drafts: &mut [Box<Draft>], path: &[String]) {
    let place = |schema: &str| path.iter().position(|known| known == schema).unwrap_or(path.len());
    // By hashes of the names, because one piece of memory with all names would be larger than a message.
    let random = RandomState::new();
    let mut first: HashMap<u64, u32> = HashMap::new();
    let of = |draft: &Draft| {
        let (schema, name) = draft.table.schema_and_name();
        // A question may mean `employee` and `employees` by the same word.
        let name = name.to_lowercase();
        (random.hash_one(name.strip_suffix('s').unwrap_or(&name)), u32::try_from(place(&schema)).unwrap_or(u32::MAX))
    };
    for draft in drafts.iter() {
        let (name, place) = of(draft);
        first.entry(name).and_modify(|first| *first = place.min(*first)).or_insert(place);
    }
    for draft in drafts {
        let (name, place) = of(draft);
        draft.table.is_shadowed = first.get(&name).is_some_and(|first| *first < place);
        draft.table.is_off_path = usize::try_from(place).is_ok_and(|place| place == path.len());
    }
}

fn draft_of<'a>(drafts: &'a mut [Box<Draft>], place: &HashMap<u32, usize>, oid: Oid) -> Option<&'a mut Draft> {
    drafts.get_mut(*place.get(&oid.0)?).map(AsMut::as_mut)
}

/// Sets `kin` of each table in an inheritance or partition tree to the names of the tables of that tree to which a rule
/// applies. A rule about one table of a tree holds for all tables of the tree. The tables of one tree share one list.
async fn kin(
    connection: &mut PgConnection,
    drafts: &mut [Box<Draft>],
    place: &HashMap<u32, usize>,
    rules: &ColumnRules,
) -> Result<(), sqlx::Error> {
    // Union-find: maps each table to a table nearer to the root of its set. Each lookup shortens the path.
    let mut parent: HashMap<u32, u32> = HashMap::new();
    fn root(parent: &mut HashMap<u32, u32>, of: u32) -> u32 {
        let mut at = of;
        while let Some(&up) = parent.get(&at).filter(|up| **up != at) {
            let above = parent.get(&up).copied().unwrap_or(up);
            parent.insert(at, above);
            at = above;
        }
        at
    }
    let mut rows = sqlx::query(INHERITANCE).persistent(false).fetch(&mut *connection);
    while let Some(row) = rows.try_next().await? {
        let (one, other) = (row.try_get::<Oid, _>(0)?.0, row.try_get::<Oid, _>(1)?.0);
        let (one, other) = (root(&mut parent, one), root(&mut parent, other));
        parent.insert(one, other);
        parent.insert(other, other);
    }
    drop(rows);
    let related: Vec<u32> = parent.keys().copied().collect();
    let mut trees: HashMap<u32, Vec<(String, String)>> = HashMap::new();
    let oids: Vec<Oid> = related.iter().copied().map(Oid).collect();
    let mut rows = sqlx::query(NAMES_OF).bind(oids).persistent(false).fetch(&mut *connection);
    while let Some(row) = rows.try_next().await? {
        let tree = root(&mut parent, row.try_get::<Oid, _>(0)?.0);
        let (schema, table) = (lossy::text(&row, 1)?, lossy::text(&row, 2)?);
        let touched = trees.entry(tree).or_default();
        if rules.touches(&schema, &table) {
            touched.push((schema, table));
        }
    }
    drop(rows);
    // A table of a tree without rules keeps its own name.
    trees.retain(|_, names| !names.is_empty());
    let trees: HashMap<u32, _> = trees.into_iter().map(|(root, names)| (root, Arc::new(names))).collect();
    for oid in related {
        let tree = trees.get(&root(&mut parent, oid));
        if let (Some(tree), Some(draft)) = (tree, place.get(&oid).and_then(|at| drafts.get_mut(*at))) {
            draft.table.kin = Arc::clone(tree);
        }
    }
    Ok(())
}

/// Fills in the names of types and the labels of enums. All columns of a type share one name.
async fn types(
    connection: &mut PgConnection,
    drafts: &mut [Box<Draft>],
    bytes: &mut usize,
    max_bytes: usize,
) -> Result<(), sqlx::Error> {
    let mut used: Vec<u32> = drafts.iter().flat_map(|draft| draft.columns.iter().map(|(_, oid)| *oid)).collect();
    used.sort_unstable();
    used.dedup();
    let used: Vec<Oid> = used.into_iter().map(Oid).collect();
    let mut names: HashMap<u32, Arc<str>> = HashMap::new();
    let mut rows = sqlx::query(TYPES).bind(used.clone()).persistent(false).fetch(&mut *connection);
    while let Some(row) = rows.try_next().await? {
        let name: Arc<str> = lossy::text(&row, 1)?.into();
        *bytes += name.len();
        names.insert(row.try_get::<Oid, _>(0)?.0, name);
    }
    drop(rows);
    let mut bases: HashMap<u32, u32> = HashMap::new();
    let mut rows = sqlx::query(BASES).bind(used).persistent(false).fetch(&mut *connection);
    while let Some(row) = rows.try_next().await? {
        bases.insert(row.try_get::<Oid, _>(0)?.0, row.try_get::<Oid, _>(1)?.0);
    }
    drop(rows);
    let mut label_types: HashMap<u32, u32> = HashMap::new();
    for oid in names.keys() {
        // Each type of the chain is also mapped to the end of the chain, so that a long chain is followed once.
        let (mut at, mut passed) = (*oid, Vec::new());
        while let Some(next) = bases.get(&at).copied().filter(|next| *next != at) {
            passed.push(at);
            at = next;
        }
        bases.extend(passed.into_iter().map(|oid| (oid, at)));
        if bases.get(&at) == Some(&at) {
            label_types.insert(*oid, at);
        }
    }
    // Many domains can have the same enum as their base type. The labels of each enum are read once.
    let mut enums: Vec<u32> = label_types.values().copied().collect();
    enums.sort_unstable();
    enums.dedup();
    let enums: Vec<Oid> = enums.into_iter().map(Oid).collect();
    let mut labels: HashMap<u32, Vec<String>> = HashMap::new();
    let mut label_bytes = 0;
    let mut rows = sqlx::query(LABELS).bind(enums).persistent(false).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let list = lossy::texts(&row, 1)?;
        label_bytes += size_of_texts(&list);
        if *bytes + label_bytes <= max_bytes {
            labels.insert(row.try_get::<Oid, _>(0)?.0, list);
        }
    }
    for draft in drafts {
        for ((_, oid), column) in draft.columns.iter().zip(&mut draft.table.columns) {
            let Some(name) = names.get(oid) else { continue };
            column.type_name = Arc::clone(name);
            let labels = label_types.get(oid).and_then(|oid| labels.get(oid)).filter(|_| *bytes <= max_bytes);
            if let Some(labels) = labels {
                column.values.clone_from(labels);
                column.has_all_values = true;
                *bytes += size_of_texts(labels);
            }
        }
    }
    Ok(())
}

/// Returns the approximate memory of a list of texts, in bytes.
fn size_of_texts(texts: &[String]) -> usize {
    texts.iter().map(|text| size_of::<String>() + text.len()).sum()
}

/// Parses a JSON text that TUDB built itself.
fn decode<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

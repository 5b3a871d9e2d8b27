//! Reads PostgreSQL's catalog for `list_tables` and `describe_table`. The SQL is built from string literals of this
//! program and reads `pg_catalog`; values are bound as parameters. The server returns each page and each description as
//! one JSON text.
//!
//! `information_schema` is not used. It hides keys from a role that may only SELECT, and its join for foreign keys
//! takes seconds on large catalogs.

use sqlx::postgres::PgConnection;
use sqlx::{Executor, Row};

use super::lossy::{self, Lossy};
use super::sql_error;
use crate::database::catalog::{TableDescription, TableSummary};
use crate::database::{DatabaseError, ListRequest, ListedTable, TablePage};
use crate::error::nearest;
use crate::quoting;

/// SQL condition: the role may read the table `c`, or some of its columns. A table without rights of its columns is not
/// searched, because it may have 1,600 columns.
macro_rules! readable {
    () => {
        "(has_table_privilege(c.oid, 'SELECT') OR EXISTS (SELECT 1 FROM pg_catalog.pg_attribute x WHERE x.attrelid = c.oid
              AND x.attnum > 0 AND x.attacl IS NOT NULL AND has_column_privilege(c.oid, x.attnum, 'SELECT')))"
    };
}

/// The CTE `visible`: tables that the role may read. $1 hidden schemas, $2 shown schemas. An empty $2 means all
/// schemas. Partitions and tables that belong to an extension are left out.
macro_rules! visible {
    () => {
        concat!(
            "WITH visible AS (
          SELECT c.oid, c.relname, c.relkind, c.reltuples, c.relrowsecurity, n.nspname,
            quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind IN ('r','p','v','m','f') AND NOT c.relispartition
            AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
            AND n.nspname <> ALL ($1::text[]) AND (cardinality($2::text[]) = 0 OR n.nspname = ANY ($2::text[]))
            AND has_schema_privilege(n.oid, 'USAGE')
            AND ",
            readable!(),
            "
            AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
              WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
        "
        )
    };
}

/// The kind of a relation, spelled as in the tool contract.
macro_rules! kind {
    () => {
        "CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned_table' WHEN 'v' THEN 'view'
           WHEN 'm' THEN 'materialized_view' ELSE 'foreign_table' END"
    };
}

/// True if another server stores rows of the table, otherwise NULL. For a partitioned table, all partitions below it
/// count. For a plain table, only its direct children count.
macro_rules! foreign {
    () => {
        "CASE WHEN c.relkind = 'f' OR c.relkind = 'p' AND EXISTS (WITH RECURSIVE part AS (SELECT c.oid AS oid UNION ALL
             SELECT i.inhrelid FROM part JOIN pg_catalog.pg_inherits i ON i.inhparent = part.oid)
           SELECT 1 FROM part JOIN pg_catalog.pg_class l ON l.oid = part.oid WHERE l.relkind = 'f')
         OR c.relkind = 'r' AND EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i
           JOIN pg_catalog.pg_class l ON l.oid = i.inhrelid WHERE i.inhparent = c.oid AND l.relkind = 'f') THEN true END"
    };
}

/// The planner's estimate of the number of rows. The estimate of a partitioned table is the sum for its leaf
/// partitions, because a partitioned table often has no estimate of its own. For a table or partition that was never
/// analysed, the number comes from `pg_stat_get_live_tuples`. `pg_partition_tree` is not used, because it would wait
/// for locks on the table. The owner of a table can set any estimate, so it is limited to 1e15.
macro_rules! rows {
    () => {
        "CASE WHEN c.relkind IN ('r','m','f') AND c.reltuples >= 0 THEN least(c.reltuples, 1e15)::bigint
           WHEN c.relkind IN ('r','m') THEN nullif(pg_stat_get_live_tuples(c.oid), 0)
           WHEN c.relkind = 'p' THEN (WITH RECURSIVE part AS (SELECT c.oid AS oid UNION ALL
             SELECT i.inhrelid FROM part JOIN pg_catalog.pg_inherits i ON i.inhparent = part.oid)
             SELECT least(sum(CASE WHEN l.reltuples < 0 THEN pg_stat_get_live_tuples(l.oid) ELSE l.reltuples END), 1e15)::bigint
             FROM part JOIN pg_catalog.pg_class l ON l.oid = part.oid WHERE l.relkind <> 'p') END"
    };
}

const LIST: &str = concat!(
    visible!(),
    ", hits AS (
      SELECT v.oid, v.nspname, v.relname, m.matched, m.words FROM visible v
      LEFT JOIN (
        SELECT oid, (array_agg(hit ORDER BY place, hit) FILTER (WHERE is_first))[1:20] AS matched, count(DISTINCT word) AS words
        FROM (SELECT oid, place, hit, word, row_number() OVER (PARTITION BY oid, hit ORDER BY word) = 1 AS is_first FROM (
          SELECT oid, 0 AS place, 'table ' || relname AS hit, word FROM visible, unnest($3) word
            WHERE strpos(lower(relname), lower(word)) > 0
          UNION ALL
          SELECT d.objoid, 1, 'comment', word FROM visible JOIN pg_catalog.pg_description d ON d.objoid = visible.oid,
            unnest($3) word WHERE NOT $8 AND d.objsubid = 0 AND d.classoid = 'pg_catalog.pg_class'::regclass
              AND strpos(lower(substr(d.description, 1, 4000)), lower(word)) > 0
          UNION ALL
          SELECT a.attrelid, 1 + a.attnum, 'column ' || a.attname, word
            FROM visible JOIN pg_catalog.pg_attribute a ON a.attrelid = visible.oid
            LEFT JOIN pg_catalog.pg_description d ON d.objoid = a.attrelid AND d.objsubid = a.attnum
              AND d.classoid = 'pg_catalog.pg_class'::regclass, unnest($3) word
            WHERE NOT $8 AND a.attnum > 0 AND NOT a.attisdropped
              AND (strpos(lower(a.attname), lower(word)) > 0 OR strpos(lower(substr(d.description, 1, 4000)), lower(word)) > 0)) f) h
        WHERE $3::text[] IS NOT NULL GROUP BY oid) m USING (oid)
      WHERE $4::text IS NULL OR v.nspname = $4),
    wanted AS (SELECT * FROM hits WHERE $3::text[] IS NULL OR words = (SELECT max(words) FROM hits)),
    page AS (
      SELECT * FROM wanted
      WHERE $5::text IS NULL OR (nspname COLLATE \"C\", relname COLLATE \"C\") > ($5, $6)
      ORDER BY nspname COLLATE \"C\", relname COLLATE \"C\" LIMIT $7 + 1)
    SELECT jsonb_build_object(
      'total', (SELECT count(*) FROM wanted),
      'schemas', CASE WHEN $4 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM visible WHERE nspname = $4)
        THEN (SELECT coalesce(jsonb_agg(DISTINCT nspname), '[]') FROM visible) END,
      'tables', coalesce((SELECT jsonb_agg(jsonb_build_object(
        'schema', p.nspname, 'table', p.relname,
        'summary', jsonb_strip_nulls(jsonb_build_object(
          'name', v.name, 'kind', ",
    kind!(),
    ", 'rows', ",
    rows!(),
    ", 'comment', substr(obj_description(v.oid, 'pg_class'), 1, 500),
          'partitions', CASE WHEN c.relkind = 'p' THEN (SELECT count(*) FROM pg_catalog.pg_inherits i
            WHERE i.inhparent = v.oid) END,
          'foreign', ",
    foreign!(),
    ",
          'matched', coalesce(p.matched, '{}')))) ORDER BY p.nspname COLLATE \"C\", p.relname COLLATE \"C\")
        FROM page p JOIN visible v USING (oid) JOIN pg_catalog.pg_class c USING (oid)), '[]'))::text"
);

macro_rules! kept_plans {
    () => {
        "SET LOCAL quote_all_identifiers = off; SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0"
    };
}

/// Settings for queries by name. Their plan is kept for all values, because planning them takes longer than running them.
const KEPT_PLANS: &str = kept_plans!();

/// Settings for catalog queries. Such a query takes milliseconds. JIT compilation, or starting parallel workers, would
/// take longer. The opening message sets `plan_cache_mode` for the look-up of names. These settings undo that.
pub(super) const PLAIN_PLANS: &str = concat!("SET LOCAL plan_cache_mode = DEFAULT; ", kept_plans!());

/// Tables that match a name. $1 schema or NULL, $2 table, $3 whether the search is case-sensitive.
const FIND: &str = concat!(
    "SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r','p','v','m','f') AND n.nspname !~ '^pg_toast'
      AND ($1::text IS NULL AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        OR n.nspname = $1 OR NOT $3 AND lower(n.nspname) = lower($1))
      AND (c.relname = $2 OR NOT $3 AND lower(c.relname) = lower($2))
      AND has_schema_privilege(n.oid, 'USAGE')
      AND ",
    readable!(),
    "
    ORDER BY 2 LIMIT 20"
);

const NAMES: &str = "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r','p','v','m','f') AND NOT c.relispartition AND n.nspname !~ '^pg_'
      AND n.nspname <> 'information_schema' AND has_schema_privilege(n.oid, 'USAGE')
      AND has_table_privilege(c.oid, 'SELECT') LIMIT 20000";

/// The name of a type without modifier. The name of a user's type includes its schema.
macro_rules! type_name {
    () => {
        "CASE WHEN coalesce(en.nspname, tn.nspname) = 'pg_catalog' THEN format_type(t.oid, NULL)
           WHEN e.oid IS NOT NULL THEN quote_ident(en.nspname) || '.' || quote_ident(e.typname) || '[]'
           ELSE quote_ident(tn.nspname) || '.' || quote_ident(t.typname) END"
    };
}

/// Matches a CHECK that is a list of values and nothing else. Any other condition may name values that cannot occur.
macro_rules! is_list {
    () => {
        "'^CHECK \\(+[^()=<>!~ ]+\\)?(::[a-z ]+)? = ANY \\(+ARRAY\\[[^]]*\\]\\)?(::[a-z ]+\\[\\])?\\)+$'"
    };
}

/// Sub-query of types: the type `t`, then repeatedly the base type of each domain and the element type of each array.
macro_rules! base_types {
    () => {
        "WITH RECURSIVE base AS (SELECT t.oid AS oid UNION ALL
           SELECT CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE y.typelem END FROM base
           JOIN pg_catalog.pg_type y ON y.oid = base.oid WHERE y.typtype = 'd' OR y.typcategory = 'A' AND y.typelem <> 0)
         SELECT oid FROM base"
    };
}

/// The strings of a CHECK list on one column: `((status = ANY (ARRAY['a'::text, ..])))`.
const CHECK_VALUES: &str = concat!(
    "(SELECT array_agg(replace(m[1], '''''', '''')) FROM pg_catalog.pg_constraint k,
      regexp_matches(pg_get_constraintdef(k.oid), '''((?:[^'']|'''')*)''::(?:text|character varying|bpchar)', 'g') m
    WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum]
      AND pg_get_constraintdef(k.oid) ~ ",
    is_list!(),
    ")"
);

/// The first 500 labels of an enum, in order. The type may also be a domain over the enum or an array of the enum. An
/// enum can have hundreds of thousands of labels.
macro_rules! enum_labels {
    () => {
        concat!(
            "(SELECT array_agg(first.label ORDER BY first.place) FROM (
               SELECT l.enumlabel::text AS label, l.enumsortorder AS place FROM pg_catalog.pg_enum l WHERE l.enumtypid IN (",
            base_types!(),
            ") ORDER BY l.enumsortorder LIMIT 500) first)"
        )
    };
}

/// The values of a column in the planner's statistics, the most frequent values first. If a column has few different
/// values, its histogram contains those that are not among the most frequent. From version 18 on, the owner of a table
/// can write any statistics, so the number and the length of the values have no limit.
macro_rules! known_values {
    () => {
        "coalesce(s.most_common_vals::text::text[], '{}') || coalesce(s.histogram_bounds::text::text[], '{}')"
    };
}

/// The first values of [`known_values`], at most `$most`. Each value is cut to 200 characters.
macro_rules! frequent_values {
    ($most:literal) => {
        concat!(
            "ARRAY(SELECT substr(u.value, 1, 200) FROM unnest(",
            known_values!(),
            ") WITH ORDINALITY u(value, place) ORDER BY u.place LIMIT ",
            $most,
            ")"
        )
    };
}

/// The planner's estimate of the number of different values. If `n_distinct` is negative, its absolute value is a
/// fraction of the number of rows.
macro_rules! distinct {
    () => {
        "CASE WHEN s.n_distinct < 0 THEN round(-s.n_distinct::float8 * greatest(c.reltuples, 0)) ELSE s.n_distinct END"
    };
}

/// Condition under which [`frequent_values`] is read: the column has at most `$most` different values and its
/// statistics are short. If the statistics include child tables, a fraction of the rows cannot be used: the number of
/// rows of a plain table leaves out the rows of its children. The limit of 8,000 bytes applies to the stored
/// statistics, which are compressed to a hundredth of their length at best.
macro_rules! has_frequent_values {
    ($most:literal) => {
        concat!(
            distinct!(),
            " BETWEEN 1 AND ",
            $most,
            " AND NOT (s.n_distinct < 0 AND s.inherited AND c.relkind = 'r')
      AND coalesce(pg_column_size(s.most_common_vals), 0) + coalesce(pg_column_size(s.histogram_bounds), 0) < 8000"
        )
    };
}

/// The most frequent values of a text column with at most 30 different values. NULL for tables with row-level security.
const FREQUENT: &str = concat!(
    "(SELECT ",
    frequent_values!("30"),
    " FROM pg_catalog.pg_stats s
    WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
      AND NOT c.relrowsecurity AND t.typcategory = 'S' AND ",
    has_frequent_values!("30"),
    " ORDER BY s.inherited DESC LIMIT 1)"
);

/// False if the column has more different values than the statistics list. Otherwise NULL.
macro_rules! are_partial {
    () => {
        concat!("CASE WHEN cardinality(", known_values!(), ") < ", distinct!(), " THEN false END")
    };
}

/// False if the column has other values than those of [`FREQUENT`]. Otherwise NULL.
const ARE_PARTIAL: &str = concat!(
    "(SELECT ",
    are_partial!(),
    " FROM pg_catalog.pg_stats s
    WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
      AND NOT c.relrowsecurity AND t.typcategory = 'S' AND ",
    has_frequent_values!("30"),
    " ORDER BY s.inherited DESC LIMIT 1)"
);

/// Every table of the inheritance or partition tree, as [schema, table]. A rule about one table of a tree holds for all
/// its tables. NULL for a table without a parent and without children.
macro_rules! kin_tree {
    () => {
        "CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)) THEN
          (WITH RECURSIVE kin AS (SELECT c.oid AS oid UNION SELECT x.oid FROM kin, LATERAL (
            SELECT i.inhparent AS oid FROM pg_catalog.pg_inherits i WHERE i.inhrelid = kin.oid
            UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = kin.oid) x)
          SELECT jsonb_agg(jsonb_build_array(kn.nspname, kc.relname)) FROM kin
            JOIN pg_catalog.pg_class kc ON kc.oid = kin.oid JOIN pg_catalog.pg_namespace kn ON kn.oid = kc.relnamespace) END"
    };
}

pub(super) use {
    are_partial, distinct, foreign, frequent_values, has_frequent_values, is_list, kind, known_values, readable, rows,
    type_name, visible,
};

fn describe_query() -> String {
    let mut text = String::from(
        "SELECT jsonb_strip_nulls(jsonb_build_object(
          'name', quote_ident(n.nspname) || '.' || quote_ident(c.relname), 'kin', ",
    );
    text.push_str(concat!(
        "coalesce(",
        kin_tree!(),
        ", jsonb_build_array(jsonb_build_array(n.nspname, c.relname))), 'kind', ",
        kind!(),
        ", 'comment', substr(obj_description(c.oid, 'pg_class'), 1, 4000), 'rows', ",
        rows!(),
        ", 'columns', coalesce((SELECT jsonb_agg(jsonb_build_object(
            'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
            'nullable', NOT a.attnotnull OR EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k
              WHERE k.conrelid = c.oid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum] AND NOT k.convalidated),
            'base_type', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
            'fields', CASE WHEN t.typtype = 'c' THEN (SELECT jsonb_agg(jsonb_build_object('name', fa.attname,
                'type', format_type(fa.atttypid, fa.atttypmod)) ORDER BY fa.attnum) FROM pg_catalog.pg_attribute fa
              WHERE fa.attrelid = t.typrelid AND fa.attnum > 0 AND NOT fa.attisdropped AND fa.attnum <= 200) END,
            'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(f.adbin, f.adrelid) END,
            'generated', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(f.adbin, f.adrelid) END,
            'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
            'comment', substr(col_description(c.oid, a.attnum), 1, 4000),
            'check', (SELECT string_agg(substr(pg_get_constraintdef(k.oid), 7), ' AND ' ORDER BY k.conname)
              FROM pg_catalog.pg_constraint k WHERE k.contype = 'c' AND (k.conrelid = c.oid AND k.conkey = ARRAY[a.attnum]
                OR k.contypid = t.oid AND t.typtype = 'd')),
            'values', to_jsonb(coalesce("
    ));
    text.push_str(enum_labels!());
    text += &format!(
        ", {CHECK_VALUES}, {FREQUENT})), 'values_complete', CASE WHEN coalesce({labels}, {CHECK_VALUES}) IS NULL THEN {ARE_PARTIAL} END)
         ORDER BY a.attnum)",
        labels = enum_labels!()
    );
    text.push_str(
        " FROM pg_catalog.pg_attribute a
          JOIN pg_catalog.pg_type t ON t.oid = a.atttypid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
          LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
          LEFT JOIN pg_catalog.pg_namespace en ON en.oid = e.typnamespace
          LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND (has_table_privilege(c.oid, 'SELECT') OR has_column_privilege(c.oid, a.attnum, 'SELECT'))), '[]'),
        'primary_key', (SELECT jsonb_agg(a.attname ORDER BY u.place) FROM pg_catalog.pg_constraint k,
          unnest(k.conkey) WITH ORDINALITY u(attnum, place), pg_catalog.pg_attribute a
          WHERE k.conrelid = c.oid AND k.contype = 'p' AND a.attrelid = c.oid AND a.attnum = u.attnum),
        'unique', (SELECT jsonb_agg(columns ORDER BY conname) FROM (SELECT k.conname, jsonb_agg(a.attname ORDER BY u.place)
          AS columns FROM pg_catalog.pg_constraint k, unnest(k.conkey) WITH ORDINALITY u(attnum, place),
          pg_catalog.pg_attribute a WHERE k.conrelid = c.oid AND k.contype = 'u' AND a.attrelid = c.oid
          AND a.attnum = u.attnum GROUP BY k.conname) q),
        'foreign_keys', (SELECT jsonb_agg(jsonb_build_object('columns', q.own, 'references', q.other,
          'referenced_columns', q.others, 'to_primary_key', q.is_primary, 'period', q.key->>'conperiod' = 'true', 'not_validated', NOT q.convalidated,
          'not_enforced', coalesce(q.key->>'conenforced' = 'false', false),
          'on_delete', CASE q.confdeltype WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' WHEN 'd' THEN 'set default'
            WHEN 'r' THEN 'restrict' END) ORDER BY q.conname) FROM (SELECT k.conname, to_jsonb(k) AS key,
            k.convalidated, k.confdeltype,
            jsonb_agg(a.attname ORDER BY u.place) AS own, jsonb_agg(b.attname ORDER BY u.place) AS others,
            EXISTS (SELECT 1 FROM pg_catalog.pg_constraint p WHERE p.conrelid = k.confrelid AND p.contype = 'p'
              AND p.conkey = k.confkey) AS is_primary,
            (SELECT quote_ident(rn.nspname) || '.' || quote_ident(r.relname) FROM pg_catalog.pg_class r
              JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace WHERE r.oid = k.confrelid) AS other
          FROM pg_catalog.pg_constraint k, unnest(k.conkey, k.confkey) WITH ORDINALITY u(own, other, place),
            pg_catalog.pg_attribute a, pg_catalog.pg_attribute b
          WHERE k.conrelid = c.oid AND k.contype = 'f' AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint whole
              WHERE whole.oid = k.conparentid AND whole.conrelid = k.conrelid)
            AND a.attrelid = k.conrelid AND a.attnum = u.own
            AND b.attrelid = k.confrelid AND b.attnum = u.other GROUP BY k.oid) q),
        'referenced_by', (SELECT jsonb_agg(jsonb_build_object('table', q.other, 'columns', q.others,
          'referenced_columns', q.own) ORDER BY q.other, q.conname) FROM (SELECT k.conname,
            jsonb_agg(b.attname ORDER BY u.place) AS own, jsonb_agg(a.attname ORDER BY u.place) AS others,
            (SELECT quote_ident(rn.nspname) || '.' || quote_ident(r.relname) FROM pg_catalog.pg_class r
              JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace WHERE r.oid = k.conrelid) AS other
          FROM pg_catalog.pg_constraint k, unnest(k.conkey, k.confkey) WITH ORDINALITY u(own, other, place),
            pg_catalog.pg_attribute a, pg_catalog.pg_attribute b
          WHERE k.confrelid = c.oid AND k.contype = 'f' AND k.conparentid = 0 AND a.attrelid = k.conrelid
            AND a.attnum = u.own AND b.attrelid = k.confrelid AND b.attnum = u.other
          GROUP BY k.conname, k.conrelid) q),
        'indexes', (SELECT jsonb_agg(d.def ORDER BY i.indexrelid) FROM pg_catalog.pg_index i, LATERAL (
          -- NULL for an index that was dropped a moment ago.
          SELECT pg_get_indexdef(i.indexrelid) AS def OFFSET 0) d
          WHERE d.def IS NOT NULL AND i.indrelid = c.oid AND i.indisvalid AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k
            WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u')
              AND to_jsonb(i)->>'indnullsnotdistinct' IS DISTINCT FROM 'true')),
        'checks', (SELECT jsonb_agg(d.def ORDER BY k.conname) FROM pg_catalog.pg_constraint k, LATERAL (
          SELECT pg_get_constraintdef(k.oid) AS def OFFSET 0) d
          WHERE d.def IS NOT NULL AND k.conrelid = c.oid AND (k.contype = 'c' AND cardinality(k.conkey) IS DISTINCT FROM 1 OR k.contype = 'x'
            OR k.contype IN ('p', 'u') AND to_jsonb(k)->>'conperiod' = 'true')),
        'inherits', CASE WHEN NOT c.relispartition THEN (SELECT jsonb_agg(quote_ident(pn.nspname) || '.' || quote_ident(p.relname)
          ORDER BY i.inhseqno) FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
          JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace WHERE i.inhrelid = c.oid) END,
        'partition_of', CASE WHEN c.relispartition THEN (SELECT quote_ident(pn.nspname) || '.' || quote_ident(p.relname)
          FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
          JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace WHERE i.inhrelid = c.oid) END,
        'partition_names', CASE WHEN c.relkind = 'p' THEN (SELECT jsonb_agg(s.name) FROM (
          SELECT quote_ident(pn.nspname) || '.' || quote_ident(p.relname) AS name FROM pg_catalog.pg_inherits i
          JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
          WHERE i.inhparent = c.oid ORDER BY 1 LIMIT 20) s) END,
        'populated', CASE WHEN NOT c.relispopulated THEN false END,
        'readable_columns', CASE WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN (SELECT jsonb_agg(a.attname
          ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
          AND NOT a.attisdropped AND has_column_privilege(c.oid, a.attnum, 'SELECT')) END,
        'triggers', (SELECT jsonb_agg(s.tgname) FROM (SELECT g.tgname FROM pg_catalog.pg_trigger g
          WHERE g.tgrelid = c.oid AND NOT g.tgisinternal ORDER BY 1 LIMIT 50) s),
        'definition', CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
        'partition_key', CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
        'partitions', CASE WHEN c.relkind = 'p' THEN (SELECT count(*) FROM pg_catalog.pg_inherits i
          WHERE i.inhparent = c.oid) END,
        'foreign', ",
    );
    text.push_str(foreign!());
    text.push_str(
        ", 'row_security', CASE WHEN c.relrowsecurity THEN true END))::text
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
    );
    text
}

/// A value that changes if a table, a column or another object that a name in a statement can mean is changed. Each
/// change of an object writes a new version of its row, so the `xmin` of the row differs.
const FINGERPRINT: &str = "SELECT md5(string_agg(part, ',' ORDER BY part)) FROM (
    SELECT 'c' || oid || ':' || xmin AS part FROM pg_catalog.pg_class WHERE relkind IN ('r','p','v','m','f','c') AND oid >= 16384
    UNION ALL SELECT 'p' || oid || ':' || xmin FROM pg_catalog.pg_proc WHERE oid >= 16384
    UNION ALL SELECT 'o' || oid || ':' || xmin FROM pg_catalog.pg_operator WHERE oid >= 16384
    UNION ALL SELECT 'k' || oid || ':' || xmin FROM pg_catalog.pg_cast WHERE oid >= 16384
    UNION ALL SELECT 'r' || oid || ':' || xmin FROM pg_catalog.pg_rewrite WHERE oid >= 16384
    UNION ALL SELECT 't' || oid || ':' || xmin FROM pg_catalog.pg_type WHERE oid >= 16384
    UNION ALL SELECT 'd' || oid || ':' || xmin FROM pg_catalog.pg_constraint WHERE contypid <> 0
    UNION ALL SELECT 'a' || oid || ':' || xmin FROM pg_catalog.pg_amproc WHERE oid >= 16384
    UNION ALL SELECT 'b' || oid || ':' || xmin FROM pg_catalog.pg_amop WHERE oid >= 16384
    UNION ALL SELECT 'f' || oid || ':' || xmin FROM pg_catalog.pg_opclass WHERE oid >= 16384
    UNION ALL SELECT 'g' || aggfnoid::oid || ':' || xmin FROM pg_catalog.pg_aggregate WHERE aggfnoid::oid >= 16384
    UNION ALL SELECT 's' || partrelid || ':' || xmin FROM pg_catalog.pg_partitioned_table
    UNION ALL SELECT 'q' || count(*) || ':' || sum(hashtextextended(attrelid || ' ' || attnum || ' ' || xmin, 0)::numeric)
      FROM pg_catalog.pg_attribute WHERE attrelid >= 16384 AND attnum > 0
    UNION ALL SELECT 'n' || oid || ':' || xmin || ':' || nspname FROM pg_catalog.pg_namespace WHERE oid >= 16384 OR nspname = 'public'
    UNION ALL SELECT 'e' || oid || ':' || xmin FROM pg_catalog.pg_extension
    UNION ALL SELECT 'm' || roleid || ':' || member || ':' || xmin FROM pg_catalog.pg_auth_members
    UNION ALL SELECT 'i' || inhrelid || ':' || inhparent FROM pg_catalog.pg_inherits) parts";

pub(super) async fn fingerprint(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let fingerprint: Option<String> = sqlx::query_scalar(FINGERPRINT).persistent(false).fetch_one(connection).await?;
    Ok(fingerprint.unwrap_or_default())
}

/// Marks a statement of TUDB as safe for the driver. `text` contains only literals of this program and values that TUDB
/// generated, no text from outside.
pub(super) fn own(text: String) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(text)
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, DatabaseError> {
    serde_json::from_str(text).map_err(|error| DatabaseError::Connection(sqlx::Error::Decode(error.into())))
}

/// Schema and name of a table. The cursor of a table is the JSON text of this value; the next page begins after the
/// table.
#[derive(serde::Serialize, serde::Deserialize)]
struct Place(String, String);

pub(super) async fn list(
    connection: &mut PgConnection,
    hidden: Vec<String>,
    shown: Vec<String>,
    request: &ListRequest,
    keep_plan: bool,
) -> Result<TablePage, DatabaseError> {
    #[derive(serde::Deserialize)]
    struct Listed {
        schema: String,
        table: String,
        summary: TableSummary,
    }
    #[derive(serde::Deserialize)]
    struct Page {
        total: u64,
        /// The schemas with tables, if the wanted one has none.
        schemas: Option<Vec<String>>,
        tables: Vec<Listed>,
    }
    let after: Option<Place> = match &request.after {
        None => None,
        Some(cursor) => Some(
            serde_json::from_str(cursor)
                .map_err(|_| DatabaseError::Invalid("cursor is not one that this tool gave out".into()))?,
        ),
    };
    let (after_schema, after_table) = after.map_or((None, None), |Place(schema, table)| (Some(schema), Some(table)));
    let limit = i64::try_from(request.limit).unwrap_or(i64::MAX - 1);
    connection
        .execute(if keep_plan { KEPT_PLANS } else { PLAIN_PLANS })
        .await
        .map_err(|error| sql_error(error, None))?;
    let Lossy(text) = sqlx::query_scalar(LIST)
        .bind(hidden)
        .bind(shown)
        .bind(request.words())
        .bind(request.schema.clone())
        .bind(after_schema)
        .bind(after_table)
        .bind(limit)
        .bind(request.names_only)
        .persistent(keep_plan)
        .fetch_one(connection)
        .await
        .map_err(|error| sql_error(error, None))?;
    let mut page: Page = parse(&text)?;
    if let Some(schemas) = page.schemas {
        return Err(request.unknown_schema(&schemas));
    }
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let more = page.tables.len() > limit;
    page.tables.truncate(limit);
    let tables = page
        .tables
        .into_iter()
        .map(|listed| {
            let cursor = serde_json::to_string(&Place(listed.schema, listed.table)).unwrap_or_default();
            ListedTable { summary: listed.summary, cursor }
        })
        .collect();
    Ok(TablePage { tables, total: page.total, more })
}

pub(super) async fn describe(
    connection: &mut PgConnection,
    wanted: &str,
    source_name: &str,
    keep_plan: bool,
) -> Result<TableDescription, DatabaseError> {
    let (schema, table) = quoting::split_name(wanted);
    let mut matches = Vec::new();
    for exact in [true, false] {
        let rows = sqlx::query(FIND)
            .bind(schema.clone())
            .bind(table.clone())
            .bind(exact)
            .persistent(keep_plan)
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| sql_error(error, None))?;
        for row in rows {
            let oid: sqlx::postgres::types::Oid = row.try_get(0).map_err(DatabaseError::Connection)?;
            matches.push((oid, lossy::text(&row, 1).map_err(DatabaseError::Connection)?));
        }
        if !matches.is_empty() {
            break;
        }
    }
    let oid = match matches.as_slice() {
        [(oid, _)] => *oid,
        [] => {
            let names: Vec<Lossy> = sqlx::query_scalar(NAMES)
                .persistent(false)
                .fetch_all(&mut *connection)
                .await
                .map_err(|error| sql_error(error, None))?;
            let near = nearest(&table, names.iter().map(|Lossy(name)| name.as_str()), 3);
            return Err(DatabaseError::UnknownTable {
                name: wanted.to_owned(),
                source_name: source_name.to_owned(),
                nearest: near.into_iter().map(str::to_owned).collect(),
            });
        }
        several => {
            return Err(DatabaseError::AmbiguousTable {
                name: wanted.to_owned(),
                matches: several.iter().map(|(_, name)| name.clone()).collect(),
            });
        }
    };
    let Lossy(text) = sqlx::query_scalar(own(describe_query()))
        .bind(oid)
        .persistent(keep_plan)
        .fetch_optional(connection)
        .await
        .map_err(|error| match sql_error(error, None) {
            // "Cache lookup failed": a part of the table was dropped while it was described.
            DatabaseError::Sql { sqlstate: Some(state), .. } if state == "XX000" => DatabaseError::Changing,
            error => error,
        })?
        .ok_or(DatabaseError::Changing)?;
    let mut table: TableDescription = parse(&text)?;
    for column in &mut table.columns {
        let values = std::mem::take(&mut column.values);
        column.set_values(values, column.has_all_values);
    }
    Ok(table)
}

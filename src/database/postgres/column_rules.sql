-- $1 and $2 schemas and names of relations; $3 the schemas of the caller's path in order; $4 names that may be types,
-- $5 schemas that are written before types; $6 names of types in casts.
--
-- Tables of one inheritance tree reach the same tables, so what is reached is found once for the tree's top (`root`), not
-- once for each partition that the statement names. Four kinds of row:
--   member    a relation that the statement names: `id` is its root, `texts` its columns, `more` its generated columns,
--             `whole` whether it is a partition.
--   key       a partitioned table that a root reaches by inheritance: `id` is the root, `texts` the columns of its partition
--             key, `whole` whether the key has an expression.
--   relation  a relation that a root reaches: `id` is its own oid, `texts` its columns, `more` its generated columns.
--   root      what a root reaches: `ids` by name and inheritance, `viewed` only through views, policies or sequences.
--             `more` and `tables` are the columns that come through (0: of every table). `whole`: every column does.
--             `texts` are the built-ins that the views and policies call, `tableoid` if they read it, and `regclass` if
--             they show an oid as a name.
--
-- A view that takes a whole row lets every column through. In the tree of a rule a whole row is a variable whose column
-- number is 0. The type of a table's rows and its array type name the table too.
WITH RECURSIVE
  named AS (
    SELECT c.oid FROM unnest($1::text[], $2::text[]) u(s, n)
      JOIN pg_namespace p ON p.nspname = u.s OR u.s = 'pg_temp' AND p.oid = pg_my_temp_schema()
      JOIN pg_class c ON c.relnamespace = p.oid AND c.relname = u.n
    UNION
    SELECT (SELECT c.oid FROM unnest($3::text[]) WITH ORDINALITY x(name, place) JOIN pg_namespace p ON p.nspname = x.name
        JOIN pg_class c ON c.relnamespace = p.oid AND c.relname = u.n ORDER BY x.place LIMIT 1)
      FROM unnest($1::text[], $2::text[]) u(s, n) WHERE u.s IS NULL
    UNION
    SELECT coalesce(e.typrelid, t.typrelid) FROM pg_type t JOIN pg_namespace p ON p.oid = t.typnamespace
        LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
      WHERE (t.typname = ANY ($4::text[]) AND e.typrelid <> 0 OR t.typname = ANY ($6::text[]) AND t.typrelid <> 0)
        AND (p.nspname = ANY ($3::text[]) OR p.nspname = ANY ($1::text[]) OR p.nspname = ANY ($5::text[]))),
  above AS (SELECT oid AS member, oid FROM named WHERE oid IS NOT NULL
    UNION SELECT a.member, i.inhparent FROM above a JOIN pg_inherits i ON i.inhrelid = a.oid),
  -- A table with several parents may have several tops. Each of them reaches the whole tree.
  members AS (SELECT a.member, min(a.oid) AS root FROM above a
    WHERE NOT EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = a.oid) GROUP BY a.member),
  reach AS (SELECT DISTINCT root, root AS oid, false AS viewed FROM members
    UNION
    SELECT r.root, x.oid, r.viewed OR x.viewed FROM reach r, LATERAL (
      SELECT m[1]::oid AS oid, true AS viewed FROM pg_class c JOIN pg_rewrite w ON w.ev_class = c.oid,
        LATERAL regexp_matches(w.ev_action::text, ':relid (\d+)', 'g') m
        WHERE c.oid = r.oid AND c.relkind IN ('v', 'm') AND c.relnamespace NOT IN
          ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      UNION ALL SELECT m[1]::oid, true FROM pg_policy y, LATERAL regexp_matches(y.polqual::text, ':relid (\d+)', 'g') m
        WHERE y.polrelid = r.oid
      -- A sequence tells the last value of the column that it belongs to.
      UNION ALL SELECT d.refobjid, true FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
      UNION ALL SELECT i.inhparent, false FROM pg_inherits i WHERE i.inhrelid = r.oid
      UNION ALL SELECT i.inhrelid, false FROM pg_inherits i WHERE i.inhparent = r.oid) x),
  -- What reads on behalf of a relation: the rules of views, and policies of row-level security.
  readers AS (SELECT DISTINCT r.root, 'pg_rewrite'::regclass AS class, w.oid AS rule
      FROM reach r JOIN pg_class c ON c.oid = r.oid AND c.relkind IN ('v', 'm') JOIN pg_rewrite w ON w.ev_class = c.oid
    UNION ALL SELECT DISTINCT r.root, 'pg_policy'::regclass, y.oid
      FROM reach r JOIN pg_policy y ON y.polrelid = r.oid AND y.polqual::text ~ ':relid '),
  trees AS MATERIALIZED (SELECT x.class, x.rule, x.tree ~ ':varattno 0 ' AS whole, ARRAY(
      SELECT p.proname::text FROM regexp_matches(x.tree, ':(?:funcid|opfuncid) (\d+)', 'g') m
        JOIN pg_proc p ON p.oid = m[1]::oid AND p.pronamespace = 'pg_catalog'::regnamespace
      -- The number of a row's table, and types that spell a number as a name: those of regproc to regcollation.
      UNION SELECT 'tableoid' WHERE x.tree ~ ':varattno -6 '
      UNION SELECT 'regclass'
        WHERE x.tree ~ ':(?:consttype|resulttype|funcresulttype) (?:24|220[2-6]|3734|3769|4089|4096|4191)[^0-9]') AS inside
    FROM (SELECT DISTINCT class, rule FROM readers) k, LATERAL (
      SELECT k.class, k.rule, CASE k.class WHEN 'pg_rewrite'::regclass
        THEN (SELECT ev_action::text FROM pg_rewrite WHERE oid = k.rule)
        ELSE (SELECT polqual::text FROM pg_policy WHERE oid = k.rule) END AS tree) x),
  -- The columns that come through. A column that is read from a table of an inheritance tree may come from any of them.
  through AS (SELECT v.root, a.attname::text AS name, CASE WHEN EXISTS (SELECT 1 FROM pg_inherits i
        WHERE i.inhrelid = d.refobjid) OR EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhparent = d.refobjid)
        THEN 0::oid ELSE d.refobjid END AS relation
      FROM readers v JOIN pg_depend d ON d.classid = v.class AND d.objid = v.rule AND d.refclassid = 'pg_class'::regclass
      JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    UNION SELECT r.root, a.attname::text, d.refobjid FROM reach r JOIN pg_depend d
        ON d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
        AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
      JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid),
  relations AS (SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name,
      ARRAY(SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
      ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
        AND NOT a.attisdropped AND a.attgenerated <> '' ORDER BY a.attnum) AS generated
    FROM (SELECT oid FROM reach UNION SELECT member FROM members) x JOIN pg_class c ON c.oid = x.oid
    JOIN pg_namespace n ON n.oid = c.relnamespace)
SELECT 'member' AS kind, m.root AS id, r.schema, r.name, r.columns AS texts, r.generated AS more,
    '{}'::oid[] AS ids, '{}'::oid[] AS viewed, '{}'::oid[] AS tables,
    (SELECT c.relispartition FROM pg_class c WHERE c.oid = m.member) AS whole
  FROM members m JOIN relations r ON r.oid = m.member
UNION ALL SELECT 'key', r.root, '', '', ARRAY(SELECT a.attname::text FROM pg_attribute a
    WHERE a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs::int2[])), '{}', '{}', '{}', '{}', p.partexprs IS NOT NULL
  FROM (SELECT DISTINCT root, oid FROM reach WHERE NOT viewed) r JOIN pg_partitioned_table p ON p.partrelid = r.oid
UNION ALL SELECT 'relation', oid, schema, name, columns, generated, '{}', '{}', '{}', false FROM relations
UNION ALL SELECT 'root', k.root, '', '',
    ARRAY(SELECT DISTINCT unnest(t.inside) FROM readers v JOIN trees t ON t.class = v.class AND t.rule = v.rule
      WHERE v.root = k.root),
    ARRAY(SELECT name FROM through t WHERE t.root = k.root ORDER BY name, relation),
    ARRAY(SELECT DISTINCT oid FROM reach r WHERE r.root = k.root AND NOT r.viewed),
    ARRAY(SELECT oid FROM reach r WHERE r.root = k.root GROUP BY oid HAVING bool_and(r.viewed)),
    ARRAY(SELECT relation FROM through t WHERE t.root = k.root ORDER BY name, relation),
    EXISTS (SELECT 1 FROM readers v JOIN trees t ON t.class = v.class AND t.rule = v.rule
      WHERE v.root = k.root AND t.whole)
  FROM (SELECT DISTINCT root FROM members) k

-- What the names of one statement can reach. The query runs under the path pg_catalog alone; the schemas of the
-- caller's path are a parameter. Objects that users made have oids from 16384 on.
--
-- $1 functions by bare name; $2 and $9 schemas and names of functions that are written with a schema; $3 names after a
-- dot; $4 operators; $5 and $6 schemas (or NULL) and names of relations; $7 types; $8 operators that keywords stand
-- for; $12 and $13 schemas and names of types that are
-- written with a schema; $10 whether foreign tables are refused; $11 the schemas of the caller's path, in order; $14
-- columns that the statement uses, NULL for all; $15 names of all functions that it calls, with and without a schema, also
-- after a dot; $16 those with several arguments; $17 whether it has literals; $18, $19 and $20 schemas (or NULL), tables (or
-- NULL for a sub-query) and names after a dot.
--
-- A pair of $5 and $6 with a schema may also be a type. Words in capitals that are no SQL stand for arrays that the
-- program puts in. $21 columns whose values the statement may convert to another type, NULL for all; $22 tables whose
-- whole row it may convert, NULL for all; $23 the functions and types that the settings list, as schema.name;
-- $24 whether the parser read the statement, so that names of types are known from names of tables; $25 types without a schema
-- in its casts; $26 whether code counts that other users attached to their tables.
--
-- Columns: kind of finding; schema and name of the chosen function; schema and name of the function that runs;
-- identity (with argument types) of the chosen function; extension, volatility and language of the function that runs
-- ('alias' for the code of a built-in under another name); whether that function takes internal values of the server;
-- schema of the chosen operator; whether functions of several owners have the chosen name; whether a user made the
-- chosen function.
WITH RECURSIVE
  whole_path AS (SELECT n.oid, p.place FROM unnest($11::text[]) WITH ORDINALITY p(name, place)
    JOIN pg_namespace n ON n.nspname = p.name),
  -- Schemas that hold too many operators, or too many functions of the names, to be checked. Such a schema refuses the
  -- statement, so its other objects need no check.
  crowded AS (SELECT o.oprnamespace AS oid FROM pg_operator o
      WHERE o.oid >= 16384 AND o.oprnamespace IN (SELECT oid FROM whole_path) GROUP BY 1 HAVING count(*) > 2000
    UNION ALL SELECT p.pronamespace FROM pg_proc p WHERE p.proname = ANY ($1 || $3) AND p.oid >= 16384
      AND p.pronamespace IN (SELECT oid FROM whole_path) GROUP BY 1 HAVING count(*) > 500),
  path AS (SELECT w.oid, w.place FROM whole_path w WHERE NOT EXISTS (SELECT 1 FROM crowded c WHERE c.oid = w.oid)),
  -- Named relations. A name without a schema means the first relation of that name in the path.
  first_of_path AS (SELECT u.n AS name, (SELECT c.oid FROM path p JOIN pg_class c ON c.relnamespace = p.oid
      AND c.relname = u.n ORDER BY p.place LIMIT 1) AS oid FROM unnest($5::text[], $6::text[]) u(s, n) WHERE u.s IS NULL),
  -- Whether a name after a table may call a built-in function that returns the whole row, or JSON of it: the server calls it
  -- where the table has no such column. The columns of sub-queries are not known.
  row_calls AS (SELECT EXISTS (SELECT 1 FROM unnest($18::text[], $19::text[], $20::text[]) u(s, t, n)
    JOIN pg_proc p ON p.proname = u.n AND p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind <> 'w'
      AND p.pronargs > 0 AND p.pronargs - p.pronargdefaults <= 1
    JOIN pg_type a ON a.oid = p.proargtypes[0] AND a.typtype = 'p'
    JOIN pg_type r ON r.oid = p.prorettype AND (r.typtype = 'p' OR r.typname IN ('json', 'jsonb'))
    WHERE u.t IS NULL OR NOT EXISTS (SELECT 1 FROM pg_class c JOIN pg_attribute k ON k.attrelid = c.oid AND k.attname = u.n
        AND NOT k.attisdropped WHERE c.relname = u.t AND CASE WHEN u.s IS NULL
          THEN c.oid IN (SELECT f.oid FROM first_of_path f WHERE f.name = u.t)
          ELSE c.relnamespace IN (SELECT n.oid FROM pg_namespace n WHERE n.nspname = u.s) END)) AS is_any),
  named AS (
    SELECT c.oid FROM unnest($5::text[], $6::text[]) u(s, n)
      JOIN pg_namespace p ON p.nspname = u.s OR u.s = 'pg_temp' AND p.oid = pg_my_temp_schema()
      JOIN pg_class c ON c.relnamespace = p.oid AND c.relname = u.n
    UNION
    SELECT oid FROM first_of_path),
  -- Named functions. A bare name is looked up in the path only.
  asked AS (
    SELECT p.oid, 'function' AS what FROM pg_proc p
      WHERE p.proname = ANY ($1) AND p.pronamespace IN (SELECT oid FROM path)
    UNION SELECT p.oid, 'function of a schema' FROM unnest($2::text[], $9::text[]) q(schema, name)
      JOIN pg_proc p ON p.proname = q.name JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = q.schema
    -- value.name calls a function that takes one row.
    UNION SELECT p.oid, 'function of a row' FROM pg_proc p WHERE p.proname = ANY ($3) AND p.oid >= 16384
      AND p.pronamespace IN (SELECT oid FROM path)
      AND p.pronargs - p.pronargdefaults <= 1 AND (p.provariadic <> 0 OR EXISTS (
        SELECT 1 FROM pg_type t WHERE t.oid = p.proargtypes[0] AND t.typtype IN ('c', 'p', 'd')))),
  -- Functions that fill a row by its type, and functions that write JSON. The latter look up casts when they run.
  fillers AS (SELECT coalesce(array_agg(p.oid), '{}') AS oids FROM pg_proc p WHERE p.proname = ANY ('{json_populate_record,
    json_populate_recordset,jsonb_populate_record,jsonb_populate_recordset,jsonb_populate_record_valid,populate_record}')),
  writers AS (SELECT coalesce(array_agg(p.oid), '{}') AS oids FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace
    AND (p.proname LIKE 'json%' OR p.proname IN ('to_json', 'to_jsonb', 'row_to_json', 'array_to_json'))
    AND p.proname ~ '^(to_jsonb?|row_to_json|array_to_json|jsonb?_(agg|object_agg|build)\w*)$'),
  -- Everything that the names reach, by class:
  -- c: a relation;
  -- w: a type that the statement or a view names, or of which it makes values;
  -- b: a type that a word without a schema may name;
  -- m: a type of a function's result or arguments, of an operator's result, or in a check of a domain;
  -- l: the type of a column that the statement uses;
  -- v: a type whose values the statement can read or make;
  -- k: the type of a column, of a whole row, or of a result or argument of a user's function, that the statement may
  --    convert to another type.
  reach AS (
    SELECT 'c' AS class, oid FROM named WHERE oid IS NOT NULL
    -- A type name without a schema is looked up in the path only.
    UNION SELECT 'b', t.oid FROM pg_type t WHERE t.oid >= 16384 AND t.typnamespace IN (SELECT oid FROM path)
      AND (t.typname = ANY ($7) OR t.typname = ANY (ARRAY(SELECT '_' || x FROM unnest($7::text[]) x)))
    UNION SELECT 'w', t.oid FROM unnest($12::text[], $13::text[]) u(s, n) JOIN pg_namespace p ON p.nspname = u.s
      JOIN pg_type t ON t.typnamespace = p.oid AND t.oid >= 16384 AND t.typname IN (u.n, '_' || u.n)
    -- Row types in casts without a schema, also as arrays. Their names are those of tables.
    UNION SELECT 'w', t.oid FROM pg_type t WHERE t.typtype = 'c' AND t.oid >= 16384
      AND (t.typname = ANY ($25) OR '_' || t.typname = ANY ($25)) AND t.typnamespace IN (SELECT oid FROM path)
    -- A literal next to the result of a function or an operator becomes a value of the same type.
    UNION SELECT 'm', x.oid FROM asked a JOIN pg_proc p ON p.oid = a.oid, LATERAL (
      SELECT p.prorettype AS oid UNION ALL SELECT unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])
        -- An aggregate makes values of its state types. A user's aggregate with the name of a built-in is never called.
        || coalesce((SELECT ARRAY[g.aggtranstype, g.aggmtranstype] FROM pg_aggregate g WHERE g.aggfnoid = p.oid
          AND p.oid >= 16384 AND (a.what <> 'function' OR NOT EXISTS (SELECT 1 FROM pg_proc b
            WHERE b.proname = p.proname AND b.pronamespace = 'pg_catalog'::regnamespace))), '{}'))) x
      WHERE x.oid >= 16384
    -- Values of the functions that the settings list, also of those of operators. No other function of a user runs.
    UNION SELECT 'k', x.oid FROM asked a JOIN pg_proc p ON p.oid = a.oid AND p.oid >= 16384
      JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname || '.' || p.proname = ANY ($23), LATERAL (
      SELECT p.prorettype AS oid UNION ALL SELECT u.oid FROM unnest(p.proallargtypes, p.proargmodes) u(oid, mode)
        WHERE u.mode IN ('o', 'b', 't')) x
      WHERE x.oid >= 16384
    -- A default may decide the type of a polymorphic result.
    UNION SELECT k.class, u.oid FROM asked a JOIN pg_proc p ON p.oid = a.oid AND p.proargdefaults IS NOT NULL
      JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname || '.' || p.proname = ANY ($23),
      LATERAL unnest(ARRAY(SELECT t.oid FROM regexp_matches(p.proargdefaults::text, ':\w*typ(?:e|id|eid|eId) (\d{5,})', 'g') m
        JOIN pg_type t ON t.oid = m[1]::oid WHERE t.oid >= 16384)) u(oid), (VALUES ('k'), ('m')) k(class)
    UNION SELECT 'k', o.oprresult FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
      JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname || '.' || p.proname = ANY ($23)
      WHERE o.oid >= 16384 AND o.oprname = ANY ($4) AND o.oprresult >= 16384 AND o.oprnamespace IN (SELECT oid FROM path)
    -- schema.name(value) is a cast if a type has that name.
    UNION SELECT 'w', u.oid FROM unnest(ARRAY(SELECT t.oid FROM unnest($2::text[], $9::text[]) q(schema, name)
      JOIN pg_namespace n ON n.nspname = q.schema JOIN pg_type t ON t.typnamespace = n.oid AND t.typname = q.name
      WHERE t.oid >= 16384)) u(oid)
    UNION SELECT 'm', o.oprresult FROM pg_operator o
      WHERE o.oprname = ANY ($4) AND o.oprresult >= 16384 AND o.oprnamespace IN (SELECT oid FROM path)
    UNION
    SELECT x.class, x.oid FROM reach r, LATERAL (
      -- A view reaches its relations, and the types of which it makes values. So does a policy of another user, if such code
      -- counts. Types of values that the view only reads,
      -- selects with CASE, COALESCE and the like, or collects in an array or an aggregate do not count.
      SELECT t.class, t.oid FROM (
          SELECT w.ev_action::text AS tree, 'w' AS made FROM pg_class c JOIN pg_rewrite w ON w.ev_class = c.oid
            WHERE r.class = 'c' AND c.oid = r.oid AND c.relkind = 'v'
              AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
          -- A policy was parsed when it was made, so no cast is looked up for its types.
          UNION ALL SELECT o.tree, 'm' FROM OWNERS_CODE(r.oid) WHERE $26 AND r.class = 'c') w, LATERAL (
          -- Arrays keep the planner from expecting many rows, for which it would make a large table at each call.
          SELECT 'c' AS class, u.oid FROM unnest(ARRAY(SELECT m[1]::oid
            FROM regexp_matches(w.tree, ':relid (\d+)', 'g') m)) u(oid)
          UNION ALL SELECT 'm', u.oid FROM unnest(ARRAY(SELECT t.oid
            FROM regexp_matches(w.tree, ':funcresulttype (\d{5,})', 'g') m JOIN pg_type t ON t.oid = m[1]::oid)) u(oid)
          UNION ALL SELECT w.made, u.oid FROM unnest(ARRAY(SELECT t.oid FROM regexp_matches(w.tree,
              ':(?!vartype |funcresulttype |casetype |coalescetype |minmaxtype |array_typeid |element_typeid |typeId |wintype '
              '|aggtype |\w*typmod |\w*location |\w*len )\w+ (\d{5,})', 'g') m
            -- The number is the oid of a type, or of an aggregate. An aggregate counts as its state types.
            JOIN pg_type t ON t.oid = ANY (coalesce((SELECT ARRAY[g.aggtranstype, g.aggmtranstype] FROM pg_aggregate g
              WHERE g.aggfnoid = m[1]::oid), ARRAY[m[1]::oid])) WHERE t.oid >= 16384)) u(oid)
          -- Where a row is filled, it may be a row of any value that the view reads.
          UNION ALL SELECT w.made, u.oid FROM unnest(ARRAY(SELECT t.oid
            FROM regexp_matches(w.tree, ':vartype (\d{5,})', 'g') m JOIN pg_type t ON t.oid = m[1]::oid
            WHERE EXISTS (SELECT 1 FROM regexp_matches(w.tree, ':(?:funcid|opfuncid) (\d+)', 'g') f
              WHERE f[1]::oid = ANY ((SELECT oids FROM fillers)::oid[])))) u(oid)
          -- Lists of types. Only XMLTABLE and JSON_TABLE make values of those of `coltypes`.
          UNION ALL SELECT w.made, u.oid FROM unnest(ARRAY(SELECT t.oid
            FROM regexp_matches(w.tree, ':(\w+) \(o ([\d ]+)\)', 'g') m, unnest(string_to_array(m[2], ' ')) n
              JOIN pg_type t ON t.oid = n::oid WHERE t.oid >= 16384 AND m[1] NOT IN ('ctecoltypes', 'colTypes', 'aggargtypes')
              AND (m[1] <> 'coltypes' OR w.tree ~ '{TABLEFUNC '))) u(oid)) t
      -- If other users' code counts: also partitions, inheriting tables, and the relations of all policies.
      UNION ALL SELECT 'c', i.inhrelid FROM pg_inherits i WHERE $26 AND r.class = 'c' AND i.inhparent = r.oid
      UNION ALL SELECT 'c', u.oid FROM pg_policy y, LATERAL unnest(ARRAY(SELECT m[1]::oid
          FROM regexp_matches(y.polqual::text, ':relid (\d+)', 'g') m)) u(oid)
        WHERE $26 AND r.class = 'c' AND y.polrelid = r.oid AND u.oid >= 16384
      UNION ALL SELECT CASE WHEN r.oid = ANY (ARRAY(SELECT oid FROM named))
          AND ($14::text[] IS NULL OR a.attname = ANY ($14) OR (SELECT is_any FROM row_calls))
          THEN 'l' ELSE 'v' END, a.atttypid
        FROM pg_attribute a WHERE r.class = 'c' AND a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
      UNION ALL SELECT 'v', c.reltype FROM pg_class c WHERE r.class = 'c' AND c.oid = r.oid AND c.reltype >= 16384
      UNION ALL SELECT 'k', a.atttypid FROM pg_attribute a WHERE r.class = 'c' AND a.attrelid = r.oid AND a.attnum > 0
        AND NOT a.attisdropped AND a.atttypid >= 16384 AND r.oid = ANY (ARRAY(SELECT oid FROM named))
        AND ($21::text[] IS NULL OR a.attname = ANY ($21))
      UNION ALL SELECT 'k', c.reltype FROM pg_class c WHERE r.class = 'c' AND c.oid = r.oid AND c.reltype >= 16384
        AND r.oid = ANY (ARRAY(SELECT oid FROM named)) AND ($22::text[] IS NULL OR c.relname = ANY ($22)
          -- A name after a table that is no column of it may call a function with the whole row.
          OR EXISTS (SELECT 1 FROM unnest($18::text[], $19::text[], $20::text[]) u(s, t, n) WHERE u.t = c.relname
            AND NOT EXISTS (SELECT 1 FROM pg_attribute k WHERE k.attrelid = c.oid AND k.attname = u.n)))
      -- A type reaches its parts, and the types in the checks of a domain.
      UNION ALL SELECT r.class, part.oid FROM pg_type t, LATERAL (
          SELECT t.typelem AS oid UNION ALL SELECT t.typbasetype
          UNION ALL SELECT unnest(ARRAY[g.rngsubtype, g.rngtypid, g.rngmultitypid]) FROM pg_range g
            WHERE t.oid IN (g.rngtypid, g.rngmultitypid)
          UNION ALL SELECT a.atttypid FROM pg_attribute a
            WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) part
        WHERE r.class <> 'c' AND t.oid = r.oid AND part.oid >= 16384
      UNION ALL SELECT 'm', u.oid FROM unnest(ARRAY(SELECT k.conbin::text FROM pg_constraint k WHERE k.contypid = r.oid
            AND (SELECT sum(pg_column_size(s.conbin)) FROM pg_constraint s WHERE s.contypid = r.oid) < 20000)) k(tree),
          LATERAL unnest(ARRAY(SELECT t.oid FROM regexp_matches(k.tree, '[ (](\d{5,})', 'g') m
            JOIN pg_type t ON t.oid = m[1]::oid WHERE t.oid >= 16384)) u(oid)
        WHERE r.class IN ('m', 'l', 'w', 'b')
      UNION ALL SELECT 'v', r.oid WHERE r.class IN ('m', 'l', 'w', 'b')
      UNION ALL SELECT 'v', t.typarray FROM pg_type t WHERE r.class = 'v' AND t.oid = r.oid AND t.typarray >= 16384) x),
  -- Arrays instead of sets keep the planner's cost estimate low, so the server does not JIT-compile the query.
  reached AS (SELECT coalesce(array_agg(oid), '{}') AS oids FROM reach WHERE class = 'c'),
  made AS (SELECT coalesce(array_agg(oid), '{}') AS oids FROM reach WHERE class IN ('m', 'l', 'w', 'b')),
  -- Only these can be the target of an explicit cast.
  named_types AS (SELECT coalesce(array_agg(oid), '{}') AS oids FROM reach WHERE class IN ('m', 'w', 'b')),
  written_types AS (SELECT coalesce(array_agg(oid), '{}') AS oids FROM reach WHERE class = 'w'),
  column_types AS (SELECT coalesce(array_agg(oid), '{}') AS oids FROM reach WHERE class = 'l'),
  met AS (SELECT coalesce(array_agg(oid), '{}') AS oids FROM reach WHERE class = 'v'),
  converted AS (SELECT coalesce(array_agg(r.oid), '{}') AS oids FROM reach r JOIN pg_type t ON t.oid = r.oid
    WHERE (r.class = 'k' OR r.class = 'w' AND ($24 OR t.typrelid NOT IN (SELECT n.oid FROM named n WHERE n.oid IS NOT NULL)))
      AND t.typtype IN ('c', 'e', 'r', 'm') OR r.class IN ('w', 'b') AND t.typtype IN ('e', 'r', 'm')),
  -- The partitioned tables of the statement with all their partitions. They are found from their roots: another user can
  -- make so many partitioned tables that looking for the root of each takes seconds.
  partitions AS (SELECT DISTINCT pg_partition_root(r.oid)::oid AS oid FROM unnest((SELECT oids FROM reached)) r(oid)
    UNION SELECT i.inhrelid FROM partitions p JOIN pg_inherits i ON i.inhparent = p.oid),
  -- Expression trees that run: of views, of the checks of domains, of partition keys, and those that other users attached
  -- to their tables: policies, and expressions and conditions of indexes and statistics, which the planner computes.
  trees AS (SELECT w.ev_action::text AS tree FROM unnest((SELECT oids FROM reached)) r(oid)
      JOIN pg_class c ON c.oid = r.oid AND c.relkind = 'v'
        AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      JOIN pg_rewrite w ON w.ev_class = c.oid
    UNION ALL SELECT k.conbin::text FROM unnest((SELECT oids FROM made)::oid[]) r(oid) JOIN pg_constraint k ON k.contypid = r.oid
      WHERE (SELECT sum(pg_column_size(s.conbin)) FROM pg_constraint s WHERE s.contypid = r.oid) < 20000
        AND k.connamespace <> 'information_schema'::regnamespace
    -- From version 18 on a generated column may be computed when it is read.
    UNION ALL SELECT f.adbin::text FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
      WHERE f.adrelid = ANY ((SELECT oids FROM reached)::oid[]) AND a.attgenerated = 'v'
    -- The server computes the constant parts of a partition key when it opens the partitioned table or one of its
    -- partitions.
    UNION ALL SELECT t.partexprs::text FROM partitions p JOIN pg_partitioned_table t ON t.partrelid = p.oid
      WHERE t.partexprs IS NOT NULL
    UNION ALL SELECT o.tree FROM unnest((SELECT oids FROM reached)) r(oid), LATERAL OWNERS_CODE(r.oid) WHERE $26),
  -- Whether the statement calls a function that writes JSON, and whether a view or another tree does.
  writes AS (SELECT EXISTS (SELECT 1 FROM pg_proc p WHERE p.oid = ANY ((SELECT oids FROM writers)::oid[]) AND p.proname = ANY ($15))
      OR $15::text[] IS NULL OR $15::text[] && '{json_object,json_array,json_objectagg,json_arrayagg,json_scalar,passing}' AS is_called,
    EXISTS (SELECT 1 FROM trees WHERE tree LIKE '%{JSONCONSTRUCTOREXPR%' OR EXISTS (
      SELECT 1 FROM regexp_matches(tree, ':(?:funcid|aggfnoid|winfnoid) (\d+)', 'g') f
        WHERE f[1]::oid = ANY ((SELECT oids FROM writers)::oid[]))) AS is_inside),
  -- Every number in a tree, in any field, that may be the oid of an object that a user made.
  inside AS (SELECT DISTINCT m[1]::oid AS oid FROM trees,
      LATERAL regexp_matches(tree, ':(?!\w*typmod |\w*location |\w*len )\w+ (\d{5,})', 'g') m WHERE length(m[1]) < 11
    UNION SELECT DISTINCT n::oid FROM trees, LATERAL regexp_matches(tree, '\(o ([\d ]+)\)', 'g') m,
      unnest(string_to_array(m[1], ' ')) n),
  -- Operators of the names, and whether a superuser or the owner of the database made them.
  named_operators AS (
    SELECT o.*, EXISTS (SELECT 1 FROM pg_roles r WHERE r.oid = o.oprowner AND (r.rolsuper
        OR r.oid = (SELECT d.datdba FROM pg_database d WHERE d.datname = current_database()))) AS is_trusted,
      EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_operator'::regclass AND d.objid = o.oid AND d.deptype = 'e')
        AND EXISTS (SELECT 1 FROM pg_roles r WHERE r.oid = o.oprowner AND r.rolsuper) AS is_extensions
    FROM pg_operator o WHERE o.oid >= 16384 AND (o.oprname = ANY ($4) OR o.oprname = ANY ($8))
      AND o.oprnamespace IN (SELECT oid FROM path)),
  -- Types of operands of other users' operators that a value of another type can become without a cast in pg_cast: a value
  -- of the base type becomes one of a domain, a row becomes one of a composite type, also in arrays.
  open_types AS (SELECT t.oid FROM pg_type t
    WHERE t.oid IN (SELECT o.oprleft FROM named_operators o UNION SELECT o.oprright FROM named_operators o)
      AND (t.typtype IN ('d', 'c') OR t.typcategory = 'A' AND EXISTS (SELECT 1 FROM pg_type e
        WHERE e.oid = t.typelem AND (e.typtype IN ('d', 'c') OR e.oid < 16384)))),
  -- Types of operands that a value of the statement has, or becomes by an implicit cast.
  operands AS (SELECT x.oid FROM (SELECT o.oprleft AS oid FROM named_operators o UNION SELECT o.oprright FROM named_operators o) x
    WHERE x.oid <> 0 AND (x.oid < 16384 OR x.oid = ANY ((SELECT oids FROM met)::oid[]) OR EXISTS (SELECT 1 FROM pg_cast k
      WHERE k.casttarget = x.oid AND k.castcontext = 'i'
        AND (k.castsource < 16384 OR k.castsource = ANY ((SELECT oids FROM met)::oid[]))))),
  operators AS (
    -- An operator of another user that has the name of another operator is a lookalike: it can change the meaning of
    -- statements. Operators that came with an extension are no lookalikes. A literal can become a value of any type, such as
    -- an enum. So in a statement with literals each operator of another user counts; in one without, those of which an
    -- operand type occurs. An operator of a superuser or of the owner of the database counts if both operand types occur, or
    -- if there are literals and no built-in operator has its name.
    SELECT o.oid, o.oprcom, o.oprnegate, o.oprnamespace, CASE WHEN NOT o.is_extensions
        AND o.oprnamespace <> 'pg_catalog'::regnamespace AND (NOT o.is_trusted OR o.oprleft < 16384 AND o.oprright < 16384)
        AND EXISTS (SELECT 1 FROM pg_operator b
          WHERE b.oprname = o.oprname AND (b.oid < 16384 OR b.oprowner <> o.oprowner))
      THEN 'lookalike' ELSE 'operator' END AS what FROM named_operators o
      WHERE CASE WHEN o.is_trusted THEN (o.oprleft = 0 OR o.oprleft IN (SELECT oid FROM operands))
          AND (o.oprright = 0 OR o.oprright IN (SELECT oid FROM operands))
          OR $17 AND NOT EXISTS (SELECT 1 FROM pg_operator b WHERE b.oprnamespace = 'pg_catalog'::regnamespace
            AND b.oprname = o.oprname AND b.oprkind = o.oprkind)
        ELSE $17 OR o.oprleft IN (SELECT oid FROM operands UNION ALL SELECT oid FROM open_types)
          OR o.oprright IN (SELECT oid FROM operands UNION ALL SELECT oid FROM open_types) END
        -- Among operators with the same operand types the first of the path is chosen, which is the built-in.
        AND NOT EXISTS (SELECT 1 FROM pg_operator b WHERE b.oprnamespace = 'pg_catalog'::regnamespace
          AND b.oprname = o.oprname AND b.oprleft = o.oprleft AND b.oprright = o.oprright)
    -- The function of a user's operator may be any built-in.
    UNION ALL SELECT o.oid, o.oprcom, o.oprnegate, 0, 'function inside' FROM inside i JOIN pg_operator o ON o.oid = i.oid
      WHERE o.oid >= 16384),
  -- The planner may replace an operator by its commutator or its negator, and that operator by its own in turn.
  exchanged AS (SELECT oid, what, oprnamespace FROM operators
    UNION SELECT x.oid, e.what, e.oprnamespace FROM exchanged e JOIN pg_operator o ON o.oid = e.oid
      JOIN pg_operator x ON x.oid IN (o.oprcom, o.oprnegate)),
  -- Families of operator classes that sorting, grouping, an index or a partition of a reached relation uses.
  families AS (
    SELECT o.opcfamily AS oid FROM pg_opclass o WHERE o.oid = ANY (ARRAY(
        SELECT unnest(i.indclass::oid[]) FROM pg_index i WHERE i.indrelid = ANY ((SELECT oids FROM reached)::oid[])
        UNION ALL SELECT unnest(t.partclass::oid[]) FROM pg_partitioned_table t
          WHERE t.partrelid = ANY ((SELECT oids FROM reached)::oid[])
        UNION ALL SELECT g.rngsubopc FROM pg_range g WHERE g.rngtypid = ANY ((SELECT oids FROM met)::oid[])))
    -- A user can add an operator class to a built-in type that has none.
    UNION SELECT o.opcfamily FROM pg_opclass o JOIN pg_am a ON a.oid = o.opcmethod AND a.amname IN ('btree', 'hash')
      WHERE o.oid >= 16384 AND o.opcdefault AND o.opcintype < 16384 AND (
        EXISTS (SELECT 1 FROM pg_type t WHERE t.oid = o.opcintype AND t.typname = ANY ($7))
        OR EXISTS (SELECT 1 FROM pg_attribute t WHERE t.atttypid = o.opcintype
          AND t.attrelid = ANY ((SELECT oids FROM reached)::oid[]))
        OR EXISTS (SELECT 1 FROM asked JOIN pg_proc p ON p.oid = asked.oid AND p.prorettype = o.opcintype)
        OR EXISTS (SELECT 1 FROM pg_operator x WHERE x.oprname = ANY ($4) AND x.oprresult = o.opcintype))),
  called AS (
    SELECT oid, what, 0::oid AS place FROM asked
    UNION SELECT m[2]::oid, CASE m[1] WHEN 'opfuncid' THEN 'operator inside' ELSE 'function inside' END, 0
      FROM trees, LATERAL regexp_matches(tree,
        ':(funcid|aggfnoid|winfnoid|opfuncid|tsmhandler|startInRangeFunc|endInRangeFunc) (\d+)', 'g') m WHERE m[2] <> '0'
    UNION SELECT i.oid, 'function inside', 0 FROM inside i WHERE i.oid >= 16384
    -- The canonical function runs when a range is made. The planner calls the difference function for its estimates.
    UNION SELECT f.oid, 'operator inside', 0 FROM pg_range g, LATERAL (VALUES (g.rngcanonical::oid), (g.rngsubdiff::oid)) f(oid)
      WHERE (g.rngtypid = ANY ((SELECT oids FROM met)::oid[]) OR g.rngmultitypid = ANY ((SELECT oids FROM met)::oid[]))
        AND f.oid <> 0
    UNION SELECT x.oprcode, e.what, e.oprnamespace FROM exchanged e JOIN pg_operator x ON x.oid = e.oid AND x.oprcode <> 0
    UNION SELECT x.oid, 'operator class', 0 FROM (
        SELECT a.amproc::oid FROM pg_amproc a WHERE a.amproc >= 16384
          AND (a.amproclefttype = ANY ((SELECT oids FROM met)::oid[]) OR a.amprocfamily IN (SELECT oid FROM families))
        UNION ALL SELECT o.oprcode::oid FROM pg_amop a JOIN pg_operator o ON o.oid = a.amopopr AND o.oid >= 16384
          WHERE a.amoplefttype = ANY ((SELECT oids FROM met)::oid[]) OR a.amopfamily IN (SELECT oid FROM families)) x(oid)
      WHERE NOT EXISTS (SELECT 1 FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
        JOIN pg_roles o ON o.oid = p.proowner AND o.rolsuper
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = x.oid AND d.deptype = 'e')
    -- Values are converted to text and JSON in many places, also by the wrapper of the statement.
    UNION SELECT k.castfunc, 'cast', 0 FROM pg_cast k JOIN pg_type t ON t.oid = k.casttarget
      WHERE k.castfunc >= 16384
        AND (k.castsource < 16384 OR k.castsource = ANY ((SELECT oids FROM met)::oid[]))
        AND (k.casttarget < 16384 OR k.casttarget = ANY ((SELECT oids FROM met)::oid[]))
        AND (k.castcontext = 'i' OR k.castsource >= 16384 OR k.casttarget = ANY ((SELECT oids FROM named_types)::oid[])
          OR t.typname = ANY ($7) OR k.casttarget IN ('text'::regtype, 'json'::regtype, 'jsonb'::regtype)
          -- Keywords that name built-in types. Most of them are not the names of these types in pg_type.
          OR k.casttarget < 16384 AND $7::text[] && '{int,integer,bigint,smallint,real,double,float,decimal,dec,boolean,char,character,nchar,
            national,bit,time,timestamp,interval}')),
  -- An aggregate runs its support functions.
  run AS (
    SELECT c.what, c.place, c.oid AS chosen, c.oid, false AS of_aggregate FROM called c
      WHERE c.oid < 16384 OR NOT EXISTS (SELECT 1 FROM pg_aggregate a WHERE a.aggfnoid = c.oid)
    UNION SELECT c.what, c.place, c.oid, f.oid, true FROM called c JOIN pg_aggregate a ON a.aggfnoid = c.oid,
      LATERAL (SELECT unnest(ARRAY[a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn,
          a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn]::oid[])
        UNION ALL SELECT o.oprcode FROM pg_operator o WHERE o.oid = a.aggsortop) f(oid)
      WHERE c.oid >= 16384 AND f.oid <> 0),
  -- Names that functions of several owners have. Computed once for each name: a user can give one name to many functions.
  shared AS MATERIALIZED (SELECT x.proname, x.pronamespace FROM pg_proc x
    WHERE (x.proname, x.pronamespace) IN (SELECT q.proname, q.pronamespace FROM run r JOIN pg_proc q ON q.oid = r.chosen)
    GROUP BY 1, 2 HAVING min(x.proowner) <> max(x.proowner))
SELECT r.what, CASE WHEN q.oid >= 16384 AND qn.nspname IN ('pg_catalog', 'information_schema') THEN 'user in '
      -- The settings may list a type. That does not vouch for a function of its name, except for a range's constructor.
      WHEN q.oid >= 16384 AND EXISTS (SELECT 1 FROM pg_type t WHERE t.typnamespace = q.pronamespace AND t.typname = q.proname
        AND t.typowner <> ALL (TRUSTED) AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
          AND d.objid = q.oid AND d.refclassid = 'pg_type'::regclass AND d.refobjid = t.oid AND d.deptype = 'i'))
      THEN 'beside the type in ' ELSE '' END || qn.nspname, q.proname::text,
    CASE WHEN p.oid >= 16384 AND n.nspname IN ('pg_catalog', 'information_schema') THEN 'user in ' ELSE '' END
      || n.nspname, p.proname::text,
    left(qn.nspname || '.' || q.proname || '(' || pg_get_function_identity_arguments(q.oid) || ')', 400), e.extname::text,
    p.provolatile::text,
    -- The same code as a built-in, under another name. Aggregates share one placeholder, so they are not aliases.
    CASE WHEN l.lanname = 'internal' AND p.provolatile = 'i' AND p.prokind = 'f' AND EXISTS (SELECT 1 FROM pg_proc b
        WHERE b.pronamespace = 'pg_catalog'::regnamespace AND b.prolang = p.prolang AND b.prosrc = p.prosrc
          AND b.provolatile = 'i' AND b.prokind = 'f' AND p.oid >= 16384)
        -- The constructors of a range type belong to the server's first superuser, whoever made the type
        -- (findings/postgresql_range_constructors_belong_to_the_first_superuser.sh). One that shares its
        -- name with another function could be chosen instead of it.
        AND NOT EXISTS (SELECT 1 FROM pg_depend d JOIN pg_type t ON t.oid = d.refobjid AND t.typowner <> ALL (TRUSTED)
          JOIN pg_proc f ON f.proname = p.proname AND f.oid <> p.oid AND NOT EXISTS (SELECT 1 FROM pg_depend s
            WHERE s.classid = 'pg_proc'::regclass AND s.objid = f.oid AND s.refclassid = 'pg_type'::regclass
              AND s.refobjid = t.oid AND s.deptype = 'i')
          WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_type'::regclass AND d.deptype = 'i')
      THEN 'alias' ELSE l.lanname END::text,
    NOT r.of_aggregate AND (p.proargtypes::oid[] && ARRAY['internal'::regtype::oid, 'cstring'::regtype::oid]
      OR p.prorettype IN ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype, 'cstring'::regtype)),
    (SELECT o.nspname::text FROM pg_namespace o WHERE o.oid = r.place),
    (q.proname, q.pronamespace) IN (SELECT w.proname, w.pronamespace FROM shared w),
    -- True if a user made the chosen function, rather than the server or an extension.
    q.oid >= 16384 AND NOT EXISTS (SELECT 1 FROM pg_depend x WHERE x.classid = 'pg_proc'::regclass AND x.objid = q.oid
      AND x.deptype = 'e' AND q.proowner IN (SELECT oid FROM pg_roles WHERE rolsuper))
  FROM run r JOIN pg_proc p ON p.oid = r.oid JOIN pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_proc q ON q.oid = r.chosen JOIN pg_namespace qn ON qn.oid = q.pronamespace
  JOIN pg_language l ON l.oid = p.prolang
  -- The owner of an extension can add functions to it. Only those that came with the extension belong to a superuser.
  LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    AND p.proowner IN (SELECT oid FROM pg_roles WHERE rolsuper)
  LEFT JOIN pg_extension e ON e.oid = d.refobjid
UNION ALL
SELECT CASE WHEN c.oid IN (SELECT oid FROM named) THEN 'relation' ELSE 'relation inside' END, n.nspname::text, c.relname::text,
    n.nspname::text, c.relname::text, n.nspname || '.' || c.relname, NULL, '', '', false, NULL, false, false
  FROM unnest((SELECT oids FROM reached)) r(oid) JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname IN ('pg_catalog', 'information_schema') OR n.nspname LIKE 'pg\_toast%'
UNION ALL
-- The schema that a bare name is found in.
SELECT 'found', n.nspname::text, f.name, '', '', '', NULL, '', '', false, NULL, false, false
  FROM first_of_path f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL
-- What depends on the path: values of these types, also inside arrays and in views; policies, whose functions may look up
-- names; functions of users in expressions and conditions of indexes, which the planner runs.
(SELECT 'shown by path', '', '', '', '', '', NULL, '', '', false, NULL, false, false
  WHERE EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = ANY ((SELECT oids FROM reached)::oid[]) AND a.attnum > 0
        AND a.atttypid = ANY (REG_TYPES))
    -- The oids of these types.
    OR EXISTS (SELECT 1 FROM trees WHERE tree ~ ':\w*type (24|220[2-6]|3734|3769|4191) ')
    OR EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = ANY ((SELECT oids FROM reached)::oid[]) AND c.relrowsecurity)
    OR EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = ANY ((SELECT oids FROM reached)::oid[])
        AND concat(i.indexprs::text, i.indpred::text) ~ ':(funcid|opfuncid) \d{5,}'))
UNION ALL
-- Values of other users' types: their owners can make casts at any time, so the statement is checked before each run.
(SELECT 'foreign types', '', '', '', '', '', NULL, '', '', false, NULL, false, false
  WHERE EXISTS (SELECT 1 FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE t.oid = ANY ((SELECT oids FROM made)::oid[]) AND t.typowner <> ALL (TRUSTED)
      AND (t.typtype IN ('d', 'e', 'r', 'm') OR c.relkind = 'c' OR t.oid = ANY ((SELECT oids FROM written_types)::oid[]))))
UNION ALL
-- Types that their owner can change while the statement runs: checks of a domain, attributes of a row type (whose new
-- attribute may be a domain), and a cast to JSON, which the server looks up when it writes JSON. A domain is in a column
-- alone, or inside an array, a row or a range of a column.
SELECT x.what, n.nspname::text, t.typname::text, n.nspname::text, t.typname::text, n.nspname || '.' || t.typname, NULL, '', '',
    false, NULL, false, true
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace,
    LATERAL (SELECT CASE
      WHEN t.typtype = 'd' AND t.oid = ANY ((SELECT oids FROM named_types)::oid[]) THEN 'domain'
      WHEN t.typtype = 'd' AND EXISTS (SELECT 1 FROM pg_type h WHERE h.oid = ANY ((SELECT oids FROM made)::oid[]) AND (
        h.typelem = t.oid OR h.typtype = 'c' AND EXISTS (
          SELECT 1 FROM pg_attribute a WHERE a.attrelid = h.typrelid AND a.attnum > 0 AND a.atttypid = t.oid)
        OR EXISTS (SELECT 1 FROM pg_range g WHERE g.rngtypid = h.oid AND g.rngsubtype = t.oid))) THEN 'domain inside'
      WHEN t.typtype = 'd' THEN 'domain of a column'
      WHEN t.typtype = 'c' AND t.oid = ANY ((SELECT oids FROM written_types)::oid[]) THEN 'row type'
      WHEN t.typtype = 'c' AND t.oid = ANY ((SELECT oids FROM column_types)::oid[]) THEN 'row type of a column'
      WHEN t.typtype = 'c' THEN 'row type by path'
      ELSE 'type in json' END AS what) x
  WHERE t.oid = ANY (CASE WHEN t.typtype IN ('e', 'r', 'm') AND (SELECT is_inside FROM writes) THEN (SELECT oids FROM met)
      WHEN t.typtype IN ('e', 'r', 'm') THEN CASE WHEN (SELECT is_called FROM writes) THEN (SELECT oids FROM made) ELSE '{}' END
      ELSE (SELECT oids FROM made) END::oid[])
    AND t.oid = ANY ((SELECT oids FROM met)::oid[]) AND t.typtype IN ('d', 'c', 'e', 'r', 'm')
    -- Relations that the statement reads are locked. A type that it writes is not, as soon as it is remembered.
    AND (t.typrelid = 0 OR $24 AND t.oid = ANY ((SELECT oids FROM written_types)::oid[])
      OR t.typrelid NOT IN (SELECT n.oid FROM named n JOIN pg_class c ON c.oid = n.oid AND c.relkind <> 'c'))
    AND (t.typowner <> ALL (TRUSTED) OR n.nspowner <> ALL (TRUSTED)) AND n.nspname <> 'information_schema'
UNION ALL
-- Types for which their owner can make a cast at any time, where the server may look for one. A multirange is named as its
-- range.
SELECT 'converted type', n.nspname::text, t.typname::text, n.nspname::text, t.typname::text, n.nspname || '.' || t.typname,
    NULL, '', '', false, NULL, false, true
  FROM (SELECT DISTINCT coalesce(g.rngtypid, u.oid) AS oid FROM unnest((SELECT oids FROM converted)::oid[]) u(oid)
      LEFT JOIN pg_range g ON g.rngmultitypid = u.oid) u
    JOIN pg_type t ON t.oid = u.oid JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE t.typowner <> ALL (TRUSTED) AND n.nspname NOT IN ('pg_catalog', 'information_schema')
UNION ALL
-- What the called functions can make of their arguments. `several`: several polymorphic arguments get one type.
-- `array`: the result is an array or a range of an argument's type. `fills`: a row is filled from other values.
-- `others`: a function returns an array, or the columns have arrays of different types. `rows`: a name after a dot may be a
-- function of a whole row.
(SELECT 'forms', '', '', '', '', concat_ws(',', CASE WHEN bool_or(f.several) THEN 'several' END,
    CASE WHEN bool_or(f.array_of) THEN 'array' END, CASE WHEN bool_or(f.fills) THEN 'fills' END,
    CASE WHEN bool_or(f.others) THEN 'others' END, CASE WHEN (SELECT is_any FROM row_calls) THEN 'rows' END),
    NULL, '', '', false, NULL, false, false
  FROM (SELECT count(*) FILTER (WHERE t.typtype = 'p') > 1 AND bool_or(p.proname = ANY ($16)) AS several,
        p.prorettype IN ('anyarray'::regtype, 'anycompatiblearray'::regtype, 'anyrange'::regtype) AS array_of,
        p.oid = ANY ((SELECT oids FROM fillers)::oid[]) AS fills,
        bool_or((SELECT r.typcategory = 'A' OR r.typname LIKE 'any%array' FROM pg_type r WHERE r.oid = p.prorettype)) AS others
      FROM (SELECT a.oid FROM asked a UNION SELECT p.oid FROM pg_proc p WHERE p.proname = ANY ($15)
          AND p.pronamespace = 'pg_catalog'::regnamespace) a
        JOIN pg_proc p ON p.oid = a.oid, unnest(p.proargtypes) u(oid) JOIN pg_type t ON t.oid = u.oid
      WHERE t.typname <> 'any' GROUP BY p.oid
    UNION ALL SELECT false, false, false, count(DISTINCT a.atttypid) > 1 FROM named n, pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
      WHERE a.attrelid = n.oid AND a.attnum > 0 AND t.typcategory = 'A' AND ($14::text[] IS NULL OR a.attname = ANY ($14))) f
  HAVING count(*) > 0 OR (SELECT is_any FROM row_calls))
UNION ALL
SELECT 'crowded', n.nspname::text, '', n.nspname::text, '', 'schema ' || quote_ident(n.nspname), NULL, 'v', '', true,
    n.nspname::text, false, true
  FROM crowded c JOIN pg_namespace n ON n.oid = c.oid
UNION ALL
-- Checks that are too long to be looked through.
SELECT 'crowded', n.nspname::text, '', n.nspname::text, '', 'a check of domain ' || n.nspname || '.' || t.typname, NULL, 'v', '',
    true, n.nspname::text, false, true
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE t.oid = ANY ((SELECT oids FROM made)::oid[]) AND t.typtype = 'd'
    AND (SELECT sum(pg_column_size(s.conbin)) FROM pg_constraint s WHERE s.contypid = t.oid) >= 20000
UNION ALL
-- A cast from a row type lets row.name call a function of one argument, if the argument has the type that the cast makes.
SELECT 'cast', n.nspname::text, t.typname::text, n.nspname::text, t.typname::text,
    n.nspname || '.' || s.typname || ' to ' || t.typname, NULL, 'v', '', true, NULL, false, false
  FROM pg_cast k JOIN pg_type s ON s.oid = k.castsource AND s.typtype IN ('c', 'p') JOIN pg_namespace n ON n.oid = s.typnamespace
  JOIN pg_type t ON t.oid = k.casttarget
  WHERE k.oid >= 16384 AND k.castcontext = 'i' AND k.castsource = ANY ((SELECT oids FROM met)::oid[]) AND EXISTS (
    SELECT 1 FROM unnest($3::text[]) f(name) WHERE NOT EXISTS (SELECT 1 FROM pg_attribute a
      WHERE a.attrelid = s.typrelid AND a.attname = f.name AND NOT a.attisdropped)
      AND EXISTS (SELECT 1 FROM pg_proc p WHERE p.proname = f.name AND p.pronamespace IN (SELECT oid FROM path)
        AND p.pronargs > 0 AND p.pronargs - p.pronargdefaults <= 1
        AND (k.casttarget IN (p.proargtypes[0], p.provariadic) OR t.typtype = 'd' OR EXISTS (
          SELECT 1 FROM pg_type b WHERE b.oid IN (p.proargtypes[0], p.provariadic) AND b.typtype = 'd'))))
UNION ALL
-- Views and policies that lock rows: the server would add the policies FOR UPDATE of these rows. A read-only transaction may
-- not lock rows anyway.
SELECT 'locks rows', n.nspname::text, c.relname::text, n.nspname::text, c.relname::text, n.nspname || '.' || c.relname,
    NULL, '', '', false, NULL, false, false
  FROM unnest((SELECT oids FROM reached)) r(oid) JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE $26 AND (c.relkind = 'v' AND EXISTS (SELECT 1 FROM pg_rewrite w
      WHERE w.ev_class = c.oid AND w.ev_action::text LIKE '%:hasForUpdate true%')
    OR EXISTS (SELECT 1 FROM pg_policy y WHERE y.polrelid = c.oid AND y.polqual::text LIKE '%:hasForUpdate true%'))
UNION ALL
SELECT 'foreign table', n.nspname::text, c.relname::text, n.nspname::text, c.relname::text, n.nspname || '.' || c.relname,
    NULL, '', '', false, NULL, false, false
  FROM unnest((SELECT oids FROM reached)) r(oid) JOIN pg_class c ON c.oid = r.oid AND c.relkind = 'f' AND $10
    JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL
SELECT 'type', n.nspname::text, t.typname::text, n.nspname::text, t.typname::text, n.nspname || '.' || t.typname,
    e.extname::text, '', '', false, NULL, false, false
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
    AND t.typowner IN (SELECT oid FROM pg_roles WHERE rolsuper)
  LEFT JOIN pg_extension e ON e.oid = d.refobjid
  WHERE t.oid = ANY ((SELECT oids FROM made)::oid[]) AND t.typtype = 'b' AND t.typcategory <> 'A'

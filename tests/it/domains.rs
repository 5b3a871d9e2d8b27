//! Types of another user, who can change them while a statement runs: a check of a domain, an attribute of a row type, a cast
//! of an enum to JSON. A statement that makes values of such a type is refused, and one that only reads them is not. The
//! server itself says which does what: in a second database the types are changed already, and the change raises an error.

use serde_json::{Value, json};

use crate::crowded_names::serve;
use crate::support::postgres::{Postgres, servers};

const TABLES: &str = "
CREATE SCHEMA mal; GRANT USAGE ON SCHEMA mal TO PUBLIC; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
CREATE FUNCTION mal.check(text) RETURNS bool LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'CHECKED'; END$$;
CREATE DOMAIN mal.d AS text; CREATE DOMAIN mal.i AS int; CREATE DOMAIN mal.list AS text[];
CREATE TYPE mal.pair AS (a mal.d, b int); CREATE TYPE mal.span AS RANGE (subtype = mal.i);
CREATE TABLE mal.plain (d mal.d, i mal.i, n int, name text, words text[], list mal.list);
INSERT INTO mal.plain VALUES ('ok', 3, 2, 'x', '{x}', '{y}'), (NULL, NULL, 1, 'y', '{}', NULL);
CREATE TABLE mal.nested (n int, name text, words text[], tags mal.d[], p mal.pair, ps mal.pair[], s mal.span);
INSERT INTO mal.nested VALUES (1, 'x', '{x}', NULL, NULL, NULL, NULL), (2, 'y', '{}', '{ok}', '(ok,1)', '{\"(ok,1)\"}', '[1,5)');
CREATE VIEW mal.chosen AS WITH c AS (SELECT d, n FROM mal.plain) SELECT CASE WHEN n > 1 THEN d END AS d, n FROM c
  UNION ALL SELECT d, n FROM mal.plain;
CREATE VIEW mal.cast_to AS SELECT name::mal.d AS d FROM mal.plain;
CREATE VIEW mal.agg AS SELECT name, array_agg(d) AS ds, max(i) AS i FROM mal.plain GROUP BY name;
CREATE VIEW mal.before AS SELECT n, lag(i) OVER (ORDER BY n) AS i FROM mal.plain;
CREATE TYPE mal.mood AS ENUM ('sad', 'happy'); CREATE TYPE mal.later AS (a int); CREATE DOMAIN mal.late AS int;
CREATE DOMAIN mal.pairs AS mal.pair;
CREATE TABLE mal.unused (a int);
CREATE TABLE mal.moods (n int, name text, m mal.mood, later mal.later, pairs mal.pairs);
INSERT INTO mal.moods VALUES (1, 'x', 'sad', '(1)', NULL), (2, 'y', NULL, NULL, '(ok,1)');
CREATE VIEW mal.as_json AS SELECT to_json(m)::text AS r FROM mal.moods;
CREATE VIEW mal.filled AS SELECT jsonb_populate_record(ROW(d), jsonb_build_object('f1', n))::text AS r FROM mal.plain;
CREATE VIEW mal.filled_query AS SELECT jsonb_populate_record(q, jsonb_build_object('d', 'x'))::text AS r FROM (SELECT d FROM mal.plain) q;
CREATE VIEW mal.over_filled AS SELECT r FROM mal.filled;
CREATE VIEW mal.read_in AS SELECT ('(' || n || ',1)')::mal.later::text AS r FROM mal.plain;
CREATE VIEW mal.of_unused AS SELECT jsonb_populate_record(NULL::mal.unused, jsonb_build_object('z', n))::text AS r FROM mal.plain;
CREATE VIEW mal.feelings AS SELECT n, m FROM mal.moods;
";

/// The domains with a check for new values, the row types with another attribute, the enum with a cast to JSON. The function
/// tells whether a statement runs one.
const CHECKS: &str = "
  CREATE FUNCTION mal.is_checked(sql text) RETURNS bool LANGUAGE plpgsql AS $$BEGIN EXECUTE sql; RETURN false;
    EXCEPTION WHEN OTHERS THEN RETURN SQLERRM = 'CHECKED'; END$$;
  ALTER DOMAIN mal.d ADD CHECK (mal.check(VALUE)) NOT VALID; ALTER DOMAIN mal.i ADD CHECK (mal.check(VALUE::text)) NOT VALID;
  ALTER DOMAIN mal.list ADD CHECK (mal.check(VALUE::text)) NOT VALID;
  ALTER DOMAIN mal.pairs ADD CHECK (mal.check((VALUE).a)) NOT VALID;
  ALTER DOMAIN mal.late ADD CHECK (mal.check(VALUE::text)) NOT VALID; ALTER TYPE mal.later ADD ATTRIBUTE z mal.late;
  ALTER TABLE mal.unused ADD COLUMN z mal.late;
  CREATE FUNCTION mal.to_json(mal.mood) RETURNS json LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'CHECKED'; END$$;
  CREATE CAST (mal.mood AS json) WITH FUNCTION mal.to_json(mal.mood);";

/// Statements that only read. They are answered.
const HONEST: [&str; 41] = [
    "SELECT * FROM mal.plain ORDER BY n",
    "SELECT d, i FROM mal.plain WHERE d = 'ok' AND i = 3",
    "SELECT coalesce(d, 'none'), coalesce(i, 0), CASE d WHEN 'ok' THEN 'y' ELSE d END FROM mal.plain ORDER BY n",
    "SELECT d FROM mal.plain UNION SELECT 'x' ORDER BY 1",
    "SELECT count(*), max(d), string_agg(d, ', ') FROM mal.plain WHERE name IN ('x', 'y')",
    "SELECT array_agg(d) FROM mal.plain WHERE name = 'x'",
    "SELECT d || '!', upper(d), i + 1, concat(d, 'x') FROM mal.plain WHERE d LIKE 'o%' ORDER BY n",
    "SELECT d, lag(i) OVER (ORDER BY n), sum(i) OVER () FROM mal.plain ORDER BY n",
    "SELECT json_build_object('d', d, 'i', i) FROM mal.plain ORDER BY n",
    "SELECT json_agg(t) FROM mal.plain t WHERE name = 'x'",
    "SELECT p.d, t.n FROM mal.plain p JOIN mal.nested t ON t.n = p.n WHERE p.name = 'x'",
    "SELECT nullif(d, 'x'), greatest(d, 'a') FROM mal.plain ORDER BY n",
    "SELECT d FROM mal.plain WHERE d = ANY (ARRAY['ok', 'b'])",
    "SELECT list[1] FROM mal.plain ORDER BY n",
    "SELECT n, name FROM mal.nested WHERE name = 'x'",
    "SELECT coalesce(name, '{}'), CASE WHEN n = 1 THEN 'one' END FROM mal.nested WHERE words @> '{x}'",
    "SELECT * FROM mal.nested WHERE name = 'x'",
    "SELECT tags, (p).a, array_length(tags, 1), s FROM mal.nested WHERE name = 'y'",
    "SELECT 'ok' = ANY (tags) FROM mal.nested ORDER BY n",
    "SELECT array_to_string(words, ', ') FROM mal.nested ORDER BY n",
    "SELECT unnest(tags) FROM mal.nested WHERE name = 'y'",
    "SELECT d, n FROM mal.chosen WHERE n = 2",
    "SELECT coalesce(d, 'none') FROM mal.chosen ORDER BY 1",
    "SELECT row_to_json(c) FROM mal.chosen c ORDER BY n, d LIMIT 1",
    "SELECT n, lag(i) OVER (ORDER BY n) FROM mal.plain WHERE name = 'x'",
    "SELECT * FROM mal.agg ORDER BY name",
    "SELECT * FROM mal.before ORDER BY n",
    "SELECT name, tags FROM mal.nested UNION ALL SELECT 'z', NULL ORDER BY 1",
    "SELECT coalesce(array_length(tags, 1), 0) FROM mal.nested ORDER BY n",
    "SELECT CASE WHEN n = 1 THEN name ELSE 'other' END, tags FROM mal.nested ORDER BY n",
    "SELECT n, m FROM mal.moods WHERE m = 'sad'",
    "SELECT m, count(*) FROM mal.moods GROUP BY m ORDER BY m",
    "SELECT coalesce(m::text, 'none'), CASE WHEN m = 'happy' THEN 1 ELSE 0 END FROM mal.moods ORDER BY n",
    "SELECT array_agg(m), string_agg(m::text, ',') FROM mal.moods",
    "SELECT json_agg(name), json_build_object('n', max(n)) FROM mal.moods",
    "SELECT * FROM mal.feelings ORDER BY n",
    "SELECT later, (pairs).b FROM mal.moods ORDER BY n",
    "SELECT t.d, t.name FROM mal.plain t WHERE t.name = 'x'",
    "SELECT s.count, s.max FROM (SELECT count(*), max(d) FROM mal.plain) s WHERE s.count <> 9",
    "SELECT s.array_agg FROM (SELECT array_agg(name) FROM mal.plain WHERE name = 'x') s",
    "SELECT m.m, m.name FROM mal.moods m WHERE m.name = 'x'",
];

/// Statements some of which make values. The server says which.
const OTHERS: [&str; 86] = [
    "SELECT lead(d, 1, 'x') OVER () FROM mal.plain",
    "SELECT pg_catalog.lead(d, 1, 'x') OVER () FROM mal.plain",
    "SELECT \"lead\" (d, 1, NULL) OVER () FROM mal.plain",
    "SELECT lead(i, 1, '1') OVER () FROM mal.plain",
    "SELECT width_bucket(d, '{x}') FROM mal.plain",
    "SELECT coalesce(ARRAY[d], '{x}') FROM mal.plain",
    "SELECT coalesce(ARRAY[d], $${x}$$) FROM mal.plain",
    "SELECT coalesce(ARRAY[d], E'\\x7bx}') FROM mal.plain",
    "SELECT coalesce(ARRAY[d], words) FROM mal.plain UNION ALL SELECT words FROM mal.plain",
    "SELECT ARRAY[d] FROM mal.plain UNION ALL SELECT words FROM mal.plain",
    "SELECT array_agg(d) FROM mal.plain UNION ALL SELECT words FROM mal.plain",
    "SELECT array_cat(array_agg(d), '{x}') FROM mal.plain",
    "SELECT array_append(ARRAY[d], 'x') FROM mal.plain",
    "SELECT array_position(ARRAY(SELECT d FROM mal.plain), 'x')",
    "SELECT coalesce(t, '(x,1,1,x,,)') FROM mal.plain t",
    "SELECT t = '(x,1,1,x,,)' FROM mal.plain t",
    "SELECT CASE WHEN n = 7 THEN plain ELSE '(x,1,1,x,,)' END FROM mal.plain",
    "SELECT coalesce(mal.plain, '(x,1,1,x,,)') FROM mal.plain",
    "SELECT coalesce(t.*, '(x,1,1,x,,)') FROM mal.plain t",
    "SELECT (json_populate_record(t, json_build_object('d', name))).n FROM mal.plain t",
    "SELECT (jsonb_populate_record(t, jsonb_build_object('d', 1))).d FROM mal.plain t",
    "SELECT d FROM mal.plain t, LATERAL (SELECT (x).n FROM jsonb_populate_recordset(t, '[{\"d\":\"x\"}]') x) y",
    "SELECT (json_populate_record(p, json_build_object('a', name))).b FROM mal.nested",
    "SELECT array_remove(tags, 'x') FROM mal.nested",
    "SELECT array_replace(tags, 'x', 'y') FROM mal.nested",
    "SELECT array_position(tags, 'x') FROM mal.nested",
    "SELECT tags @> '{x}', n FROM mal.nested",
    "SELECT coalesce(tags, '{x}') FROM mal.nested",
    "SELECT coalesce(tags, words) FROM mal.nested",
    "SELECT coalesce(tags, ARRAY[name]) FROM mal.nested",
    "SELECT CASE WHEN n = 7 THEN words ELSE tags END FROM mal.nested",
    "SELECT tags FROM mal.nested UNION SELECT words FROM mal.nested",
    "WITH RECURSIVE a AS (SELECT tags, 1 AS i FROM mal.nested UNION ALL SELECT words, i + 1 FROM a, mal.nested WHERE i < 2) SELECT * FROM a",
    "SELECT greatest(tags, words) FROM mal.nested",
    "SELECT ARRAY[tags, words] FROM mal.nested",
    "SELECT lead(tags, 1, words) OVER () FROM mal.nested",
    "SELECT p = '(x,1)' FROM mal.nested",
    "SELECT coalesce(p, '(x,1)') FROM mal.nested",
    "SELECT ps @> '{\"(x,1)\"}' FROM mal.nested",
    "SELECT s @> '[1,2)' FROM mal.nested",
    "SELECT s @> '1' FROM mal.nested",
    "SELECT coalesce(list, '{x}') FROM mal.plain",
    "SELECT name::mal.d FROM mal.plain",
    "SELECT jsonb_populate_record(ROW(d), jsonb_build_object('f1', name)) FROM mal.plain",
    "SELECT jsonb_populate_record((d, n), jsonb_build_object('f1', name)) FROM mal.plain",
    "SELECT jsonb_populate_recordset(ROW(d), '[{\"f1\": \"x\"}]') FROM mal.plain",
    "SELECT jsonb_populate_record(q, jsonb_build_object('d', 'x')) FROM (SELECT d FROM mal.plain) q",
    "SELECT pg_catalog.jsonb_populate_record(q, jsonb_build_object('d', 'x')) FROM mal.plain p, LATERAL (SELECT p.d) q",
    "WITH q AS (SELECT d FROM mal.plain) SELECT json_populate_record(q, json_build_object('d', 'x')) FROM q",
    "SELECT r FROM mal.filled",
    "SELECT r FROM mal.filled_query",
    "SELECT r FROM mal.over_filled",
    "SELECT r FROM mal.read_in",
    "SELECT r FROM mal.of_unused",
    "SELECT r FROM mal.as_json",
    "SELECT jsonb_populate_record(pairs, jsonb_build_object('a', name)) FROM mal.moods",
    "SELECT jsonb_populate_record(later, jsonb_build_object('z', n)) FROM mal.moods",
    "SELECT ('(' || n || ',1)')::mal.later FROM mal.plain",
    "SELECT ('{\"(' || n || ',1)\"}')::mal.later[] FROM mal.plain",
    "SELECT x.k FROM jsonb_to_record(jsonb_build_object('k', '{\"z\": 1}'::jsonb)) AS x(k mal.later)",
    "SELECT to_json(m) FROM mal.moods",
    "SELECT jsonb_agg(m) FROM mal.moods",
    "SELECT json_agg(q) FROM mal.moods q",
    "SELECT row_to_json(q) FROM (SELECT n, m FROM mal.moods) q",
    "SELECT jsonb_build_object('m', ARRAY[m]) FROM mal.moods",
    "SELECT json_object_agg(n, m) FROM mal.moods",
    "SELECT json_agg(f) FROM mal.feelings f",
    "SELECT n FROM mal.nested WHERE tags = E''\n'\\x7bx}'",
    // A name after a table that is no column of it is a function of the whole row.
    "SELECT t.array_agg = '{\"(x,1,1,x,,)\"}' FROM mal.plain t",
    "SELECT coalesce(plain.array_agg, '{\"(x,1,1,x,,)\"}') FROM mal.plain",
    "SELECT array_append(t.array_agg, '(x,1,1,x,,)') FROM mal.plain t",
    "SELECT array_position(\"t\".\"array_agg\", '(x,1,1,x,,)') FROM mal.plain t",
    "SELECT (json_populate_record((t.array_agg)[1], '{\"d\": \"x\"}')).n FROM mal.plain t",
    "SELECT q.ARRAY_AGG = E'\\x7b\"(x,1,1,x,,)\"}' FROM mal.plain q TABLESAMPLE system (100)",
    "SELECT s.array_agg = '{\"(x)\"}' FROM (SELECT d FROM mal.plain) s",
    "SELECT (m).to_json FROM mal.moods",
    "SELECT moods.to_json FROM mal.moods",
    "SELECT (q.m).to_jsonb FROM mal.moods q",
    "SELECT q.row_to_json FROM mal.moods q",
    "SELECT q.json_agg FROM mal.moods q",
    "SELECT s.json_agg FROM (SELECT n, m FROM mal.moods) s",
    "SELECT (ARRAY[m]).array_to_json FROM mal.moods",
    // Arrays that a cast makes, and the arguments of hypothetical sets.
    "SELECT tags FROM mal.nested UNION ALL SELECT (chr(123) || name || chr(125))::text[] FROM mal.nested",
    "SELECT coalesce(nullif(tags, tags), CAST(chr(123) || name || chr(125) AS _text)) FROM mal.nested",
    "SELECT rank(string_to_array('x', ',')) WITHIN GROUP (ORDER BY tags) FROM mal.nested",
    "SELECT rank(string_to_array('x', ',')) WITHIN GROUP (ORDER BY a) FROM (SELECT array_agg(d) AS a FROM mal.plain) s",
];

/// Statements of version 17 and later.
const OTHERS_OF_17: [&str; 3] = [
    "SELECT json_value('1', '$x' PASSING m AS x) FROM mal.moods",
    "SELECT json_query('1', '$x' PASSING m AS x) FROM mal.moods",
    "SELECT json_exists('1', '$x' PASSING m AS x) FROM mal.moods",
];

fn shop(postgres: &Postgres, name: &str, more: &str) -> String {
    let (database, _) = postgres.database(name);
    for role in ["mallory", "honest LOGIN"] {
        postgres.script_best_effort(&database, &format!("CREATE ROLE {role}"));
    }
    postgres.query("postgres", &format!("GRANT CREATE ON DATABASE \"{database}\" TO mallory"));
    postgres.script(&database, &format!("SET ROLE mallory; {TABLES} {more}"));
    database
}

/// True if the server runs a check for this statement.
fn is_checked(postgres: &Postgres, database: &str, sql: &str) -> bool {
    postgres.query(database, &format!("SELECT mal.is_checked($q${sql}$q$)")) == "t"
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_statement_that_makes_values_of_another_users_domain_is_refused() {
    for postgres in servers() {
        let (open, checked) = (shop(postgres, "domains", ""), shop(postgres, "domains_checked", CHECKS));
        let (_home, mut server) = serve(postgres, &open, "");
        let (_allowing_home, mut allowing) = serve(
            postgres,
            &open,
            "allow_functions = [\"mal.d\", \"mal.i\", \"mal.list\", \"mal.pairs\", \"mal.later\", \"mal.unused\", \"mal.mood\", \"mal.pair\", \"mal.plain\", \"mal.nested\", \"mal.moods\", \"mal.feelings\", \"mal.s\", \"mal.span\"]\n",
        );
        let mut compared = Vec::new();
        for sql in HONEST {
            assert!(!is_checked(postgres, &checked, sql), "{sql}");
            let mut reply = server.call("run_sql", json!({"sql": sql}));
            // Types that are compared need the administrator's word (`other_casts`).
            if reply["error"]["message"].as_str().is_some_and(|message| message.contains("make a cast for it")) {
                compared.push(sql);
                reply = allowing.call("run_sql", json!({"sql": sql}));
            }
            assert!(reply["rows"].as_array().is_some_and(|rows| !rows.is_empty()), "{sql}: {reply}");
        }
        let expected = [
            "SELECT n, m FROM mal.moods WHERE m = 'sad'",
            "SELECT coalesce(m::text, 'none'), CASE WHEN m = 'happy' THEN 1 ELSE 0 END FROM mal.moods ORDER BY n",
            "SELECT array_agg(m), string_agg(m::text, ',') FROM mal.moods",
        ];
        assert_eq!(compared, expected, "statements that compare such types");
        let mut refused = 0;
        let newer = if postgres.version.starts_with("15") { &[][..] } else { &OTHERS_OF_17 };
        for sql in OTHERS.iter().chain(newer).copied() {
            let reply = server.call("run_sql", json!({"sql": sql}));
            if is_checked(postgres, &checked, sql) {
                assert_eq!(reply["error"]["code"], "function_refused", "{sql}: {reply}");
                assert!(reply["error"]["message"].as_str().is_some_and(|text| text.contains("owner")), "{reply}");
                let plan = server.call("explain_query", json!({"sql": sql}));
                assert_eq!(plan["error"]["code"], "function_refused", "{sql}: {plan}");
                let allowed = allowing.call("run_sql", json!({"sql": sql}));
                assert_ne!(allowed["error"]["code"], "function_refused", "{sql}: {allowed}");
                refused += 1;
            }
        }
        assert!(refused > 68, "{refused}");
    }
}

/// Every function of the server that takes polymorphic arguments, with arguments of each kind.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn no_polymorphic_function_makes_values_of_another_users_domain() {
    // For each argument: what stands for an element, an array, a range, and for the other types. A window function or an
    // aggregate is called as one.
    const CALLS: &str = "
        SELECT format('SELECT %s%I(%s)%s FROM mal.%s t', k.prefix, p.proname, string_agg(CASE
            WHEN y.typname IN ('anyelement', 'anynonarray', 'anycompatible', 'anycompatiblenonarray') THEN
              CASE WHEN u.place = k.place THEN k.column_ ELSE k.element END
            WHEN y.typname IN ('anyarray', 'anycompatiblearray') THEN CASE WHEN u.place = k.place THEN k.array_ ELSE k.literal END
            WHEN y.typname LIKE 'any%range' THEN 't.s'
            WHEN y.typname = 'json' THEN 'json_build_object(''d'', name, ''a'', name)'
            WHEN y.typname = 'jsonb' THEN 'jsonb_build_object(''d'', name, ''a'', name)'
            WHEN y.typname ~ '^_?int' THEN CASE WHEN y.typelem <> 0 THEN '''{1}''' ELSE '1' END
            WHEN y.typname ~ '^_?float' THEN CASE WHEN y.typelem <> 0 THEN '''{0.5}''' ELSE '0.5' END
            ELSE format('NULL::%s', y.oid::regtype) END, ', ' ORDER BY u.place),
          CASE WHEN p.prokind = 'w' THEN ' OVER ()' ELSE '' END, k.table_)
        FROM pg_proc p, unnest(p.proargtypes) WITH ORDINALITY u(oid, place) JOIN pg_type y ON y.oid = u.oid,
          (SELECT c.*, e.element, l.literal, x.prefix, place FROM (VALUES
              ('t.d', 'ARRAY[t.d]', 'plain'), ('t', 'ARRAY[t]', 'plain'), ('t.p', 't.tags', 'nested'), ('t.tags', 't.ps', 'nested'),
              ('ARRAY[t.d]', 'array_append(NULL, t.d)', 'plain')) c(column_, array_, table_),
            (VALUES ('''x'''), ('''(x,1)'''), ('''{x}'''), ('NULL'), ('t.words')) e(element), (VALUES ('''{x}'''), ('t.words')) l(literal),
            (VALUES (''), ('pg_catalog.')) x(prefix), generate_series(1, 3) place) k
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'w', 'a') AND p.provolatile <> 'v'
          AND EXISTS (SELECT 1 FROM unnest(p.proargtypes) a(oid) JOIN pg_type b ON b.oid = a.oid WHERE b.typtype = 'p' AND b.typname LIKE 'any_%')
          AND NOT EXISTS (SELECT 1 FROM unnest(p.proargtypes) a(oid) JOIN pg_type b ON b.oid = a.oid WHERE b.typname IN ('internal', 'cstring', 'any'))
        GROUP BY p.oid, p.proname, p.prokind, k.column_, k.array_, k.table_, k.element, k.literal, k.prefix, k.place";
    for postgres in servers() {
        let (open, checked) = (shop(postgres, "polymorphic", ""), shop(postgres, "polymorphic_checked", CHECKS));
        let made = postgres.query(
            &checked,
            &format!(
                "SELECT c FROM (SELECT DISTINCT c FROM ({CALLS}) x(c) OFFSET 0) y WHERE mal.is_checked(c) ORDER BY 1"
            ),
        );
        assert!(made.lines().count() > 40, "{made}");
        let (_home, mut server) = serve(postgres, &open, "");
        let mut passed: Vec<(&str, Value)> = Vec::new();
        for sql in made.lines() {
            let reply = server.call("run_sql", json!({"sql": sql}));
            if reply["error"]["code"] != "function_refused" {
                passed.push((sql, reply));
            }
        }
        assert!(passed.is_empty(), "{} passed: {:#?}", passed.len(), passed.first());
        println!("{} refused", made.lines().count());
    }
}

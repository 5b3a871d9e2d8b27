//! Types of another user of the database, for which that user can make a cast at any time. The server looks up a cast by the
//! types alone, whatever the `search_path` is.

use serde_json::json;

use crate::crowded_names::serve;
use crate::support::postgres::{Postgres, servers};

/// Makes a database, and the roles of an honest reader and of another user.
fn with_mallory(postgres: &Postgres, name: &str) -> String {
    let (database, _) = postgres.database(name);
    for role in ["mallory", "honest LOGIN"] {
        postgres.script_best_effort(&database, &format!("CREATE ROLE {role}"));
    }
    database
}

const SHOP: &str = "
CREATE SCHEMA mal AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA mal TO PUBLIC;
SET ROLE mallory;
CREATE TYPE mal.mood AS ENUM ('sad', 'happy');
CREATE TYPE mal.span AS RANGE (subtype = int4);
CREATE TYPE mal.pair AS (a int, b text);
CREATE TABLE mal.notes (id int, note text); INSERT INTO mal.notes VALUES (1, 'x');
GRANT SELECT ON mal.notes TO PUBLIC;
RESET ROLE;
CREATE TABLE items (id int, k mal.mood, s mal.span, p mal.pair, ks mal.mood[]);
INSERT INTO items VALUES (1, 'happy', '[1,4)', ROW(1, 'x'), '{sad,happy}'), (2, NULL, NULL, ROW(NULL, NULL), NULL);
CREATE TABLE one (k mal.mood); INSERT INTO one VALUES ('sad');
CREATE TABLE lines (id int, b text); INSERT INTO lines VALUES (1, 'a'); ALTER TABLE lines OWNER TO mallory;
CREATE TYPE holder AS (id int, k mal.mood);
CREATE TABLE blob (id int, b text); ALTER TABLE blob OWNER TO mallory;
GRANT SELECT ON items, one, lines, blob TO PUBLIC;
";

/// Casts from each of the types. Their function fails if it runs.
const CASTS: &str = "SET ROLE mallory;
CREATE FUNCTION mal.ran(anyelement) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RAISE EXCEPTION 'it ran'; END$$;
CREATE FUNCTION mal.f(mal.mood) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT mal.ran($1)';
CREATE FUNCTION mal.f(mal.span) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT mal.ran($1)';
CREATE FUNCTION mal.f(mal.pair) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT mal.ran($1)';
CREATE FUNCTION mal.f(mal.mood[]) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT mal.ran($1[1])';
CREATE CAST (mal.mood AS text) WITH FUNCTION mal.f(mal.mood) AS IMPLICIT;
CREATE CAST (mal.span AS text) WITH FUNCTION mal.f(mal.span) AS IMPLICIT;
CREATE CAST (mal.pair AS text) WITH FUNCTION mal.f(mal.pair) AS IMPLICIT;
CREATE CAST (mal.mood[] AS text) WITH FUNCTION mal.f(mal.mood[]) AS IMPLICIT;";

/// Statements that show values, sort and group by them, and convert nothing.
const SHOWN: [&str; 9] = [
    "SELECT id, k, s, p, ks FROM items ORDER BY id",
    "SELECT * FROM items ORDER BY k",
    "SELECT k, count(*) FROM items GROUP BY k ORDER BY k",
    "SELECT DISTINCT ks FROM items ORDER BY ks",
    "SELECT id FROM items WHERE k IS NOT NULL",
    "SELECT count(DISTINCT k), count(p) FROM items",
    "SELECT id, note FROM mal.notes WHERE note = 'x'",
    // Only the second reader reads these, for which the name of a table may be that of its row type.
    "TABLE mal.notes",
    "SELECT id FROM ONLY mal.notes",
];

const CONVERTED: [&str; 58] = [
    "SELECT id FROM items WHERE k = 'happy'",
    "SELECT k::text FROM items",
    "SELECT CAST(s AS text) FROM items",
    "SELECT max(k) FROM items",
    "SELECT k || '' FROM items",
    "SELECT coalesce(k, 'sad') FROM items",
    "SELECT k FROM items UNION SELECT 'sad'",
    "SELECT id FROM items WHERE s @> 2",
    "SELECT p::text FROM items",
    "SELECT lower(ks::text) FROM items",
    "SELECT id FROM items WHERE 'sad' = ANY (ks)",
    "SELECT 'sad'::mal.mood",
    "SELECT q.x FROM (SELECT k AS x FROM items) q WHERE q.x = 'sad'",
    "SELECT n::text FROM mal.notes n",
    "SELECT (n.*)::text FROM mal.notes n",
    "SELECT ROW(i.*) = ROW(1, 'happy', s, p, ks) FROM items i",
    "SELECT n::text AS global FROM mal.notes n",
    "SELECT n.lower FROM mal.notes n",
    // The columns of a `*` below the outermost list get other names, or none.
    "SELECT (SELECT * FROM one)::text",
    "SELECT 'sad' IN (SELECT * FROM one)",
    "SELECT ARRAY(SELECT * FROM one)::text[]",
    "SELECT x.z::text FROM (SELECT * FROM items) x(a, z)",
    "WITH w(z) AS (SELECT * FROM one) SELECT count(*) FROM w WHERE z <> 'sad'",
    "SELECT x.p::text FROM (SELECT NULL AS p UNION ALL SELECT * FROM one) x",
    "SELECT i.id FROM items i JOIN (SELECT * FROM one) s(z) ON s.z::text = i.k::text",
    "SELECT x.z::text FROM one o, LATERAL (SELECT o.*) x(z)",
    // Row types of tables that the statement reads, or not.
    "SELECT ROW(1, 'x')::mal.notes::text",
    "SELECT ROW(1, 'x')::mal.notes",
    "SELECT '(1,x)'::mal.notes FROM mal.notes",
    "SELECT x::text FROM json_populate_recordset(NULL::mal.notes, '[]') x",
    // Rows that only the second reader sees.
    "SELECT n.id AS global FROM mal.notes n JOIN items i ON n::text = 'x'",
    "SELECT n.id FROM mal.notes n LEFT JOIN items AS global ON n::text = 'x'",
    "SELECT x.b AS global FROM mal.notes n JOIN LATERAL (VALUES (n::text)) x(b) ON true",
    "SELECT n::text AS global, 1 AS distinct FROM mal.notes n",
    "SELECT 1 AS from, n::text AS global FROM mal.notes n",
    "SELECT x.g AS global FROM mal.notes n, LATERAL left(n::text, 19) AS x(g)",
    "SELECT x.g AS global FROM mal.notes n, ROWS FROM (left(n::text, 30)) AS x(g)",
    "SELECT x.g AS global FROM mal.notes n, LATERAL CAST(n AS text) AS x(g)",
    "SELECT i.id AS global FROM mal.notes n JOIN items i ON ARRAY['a', n::text] @> ARRAY['x']",
    "SELECT 'a' || n AS materialized, 1 AS global FROM mal.notes n",
    "SELECT (mal.notes.*)::text AS global FROM ONLY mal.notes",
    "SELECT ROW(1, 'a')::mal.notes::text AS global FROM mal.notes",
    "SELECT '(1,a)'::mal.notes::text AS global",
    "SELECT mal.notes.id FROM mal.notes WHERE mal.notes.id BETWEEN SYMMETRIC 9 AND 1",
    // Row types without a schema, beside their table or a CTE of the name.
    "SELECT ROW(1, 'a')::lines::text FROM lines",
    "SELECT '(1,a)'::lines::text FROM lines",
    "SELECT CAST(CAST('(1,a)' AS lines) AS text) FROM public.lines",
    "SELECT ('{\"(1,a)\"}'::lines[])[1]::text FROM lines",
    "SELECT json_populate_record(NULL::lines, '{}')::text FROM lines",
    "WITH lines AS (SELECT 1) SELECT ROW(1, 'a')::lines::text FROM lines",
    "SELECT ROW(1, 'a')::lines FROM lines",
    "SELECT json_populate_record(NULL::lines, '{\"b\": \"a\"}') FROM lines",
    "WITH lines AS (SELECT 1) SELECT '(1,a)'::lines FROM lines",
    "SELECT ARRAY[l]::_lines::text FROM lines l",
    "SELECT ROW(1, 'happy')::holder::text",
    "SELECT ROW(1, 'a')::blob::text FROM blob",
    "TABLE mal.notes ORDER BY notes AT TIME ZONE note",
    "SELECT k::text AS global FROM items",
];

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn no_cast_of_another_user_runs() {
    for postgres in servers() {
        let database = with_mallory(postgres, "casts");
        postgres.script(&database, SHOP);
        for rules in ["", "deny = [\"public.items.none\"]"] {
            let (_home, mut server) = serve(postgres, &database, rules);
            let reply = server.call("run_sql", json!({"sql": SHOWN[0]}));
            assert_eq!(
                reply["rows"],
                json!([[1, "happy", "[1,4)", "(1,x)", "{sad,happy}"], [2, null, null, "(,)", null]]),
                "{reply}"
            );
            let before = SHOWN.map(|sql| server.call("run_sql", json!({"sql": sql}))["rows"].clone());
            assert!(before.iter().all(serde_json::Value::is_array), "{before:?}");
            for sql in CONVERTED {
                let error = &server.call("run_sql", json!({"sql": sql}))["error"];
                assert_eq!(error["code"], "function_refused", "{sql}: {error}");
                let message = error["message"].as_str().unwrap();
                assert!(
                    message.contains("make a cast for it") || message.contains("add domains to it"),
                    "{sql}: {error}"
                );
                let error = &server.call("explain_query", json!({"sql": sql}))["error"];
                assert_eq!(error["code"], "function_refused", "{sql}: {error}");
            }
            // A cast is made while the statements are remembered, by text and by name. It runs in none of them.
            postgres.script(&database, CASTS);
            for (sql, before) in SHOWN.iter().zip(&before) {
                for more in [json!({"sql": sql}), json!({"sql": sql, "max_rows": 7})] {
                    let reply = server.call("run_sql", more);
                    assert!(!reply.to_string().contains("it ran"), "{sql}: {reply}");
                    assert!(reply["rows"] == *before || reply["error"]["code"] == "function_refused", "{sql}: {reply}");
                }
            }
            for sql in CONVERTED {
                let reply = server.call("run_sql", json!({"sql": sql}));
                assert_eq!(reply["error"]["code"], "function_refused", "{sql}: {reply}");
            }
            for (tool, arguments) in [
                ("describe_table", json!({"table": "items", "sample": true})),
                ("list_tables", json!({"search": "items"})),
                ("ask_database", json!({"question": "How many items are happy?"})),
            ] {
                let reply = server.call(tool, arguments).to_string();
                assert!(!reply.contains("it ran"), "{tool}: {reply}");
            }
            postgres.script(&database, "DROP OWNED BY mallory CASCADE");
            postgres.script(&database, "DROP TYPE IF EXISTS holder; DROP TABLE IF EXISTS items, one, lines, blob; DROP SCHEMA IF EXISTS mal CASCADE");
            postgres.script(&database, SHOP);
        }
        // The administrator vouches for a type.
        let (_home, mut server) = serve(postgres, &database, "allow_functions = [\"mal.mood\"]");
        let reply = server.call("run_sql", json!({"sql": CONVERTED[0]}));
        assert_eq!(reply["rows"], json!([[1]]), "{reply}");
        assert_eq!(server.call("run_sql", json!({"sql": CONVERTED[7]}))["error"]["code"], "function_refused");
    }
}

/// Functions that the administrator lists, with results of types of mallory.
const FUNCTIONS: &str = "
CREATE FUNCTION mood(int) RETURNS mal.mood LANGUAGE sql STABLE BEGIN ATOMIC SELECT 'sad'::mal.mood; END;
CREATE FUNCTION moods(int) RETURNS mal.mood[] LANGUAGE sql STABLE BEGIN ATOMIC SELECT '{sad}'::mal.mood[]; END;
CREATE FUNCTION span(int) RETURNS mal.span LANGUAGE sql STABLE BEGIN ATOMIC SELECT '[1,2)'::mal.span; END;
CREATE FUNCTION noted(int) RETURNS SETOF mal.notes LANGUAGE sql STABLE BEGIN ATOMIC SELECT * FROM mal.notes; END;
CREATE FUNCTION two(OUT a mal.mood, OUT b int) LANGUAGE sql STABLE BEGIN ATOMIC SELECT 'sad'::mal.mood, 1; END;
CREATE FUNCTION same(x anyelement DEFAULT 'sad'::mal.mood) RETURNS anyelement LANGUAGE sql STABLE AS 'SELECT x';
CREATE FUNCTION price(int) RETURNS int LANGUAGE sql STABLE BEGIN ATOMIC SELECT $1 * 2; END;
";

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn no_cast_runs_on_values_of_listed_functions() {
    const LISTED: &str = "allow_functions = [\"public.mood\", \"public.moods\", \"public.span\", \"public.noted\", \
                          \"public.two\", \"public.price\", \"public.same\"]";
    for postgres in servers() {
        let database = with_mallory(postgres, "cast_functions");
        postgres.script(&database, &format!("{SHOP}{FUNCTIONS}{CASTS}"));
        let (_home, mut server) = serve(postgres, &database, LISTED);
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT price(21)"}))["rows"], json!([[42]]));
        for sql in [
            "SELECT mood(1)::text",
            "SELECT id FROM items WHERE mood(id) = 'sad'",
            "SELECT x::text FROM mood(1) x",
            "SELECT z::text AS global FROM mood(1) x(z)",
            "SELECT moods(1)::text",
            "SELECT 'sad' = ANY (moods(1))",
            "SELECT (moods(1))[1]::text",
            "SELECT span(1) = '[1,5)'",
            "SELECT x::text FROM noted(1) x, mal.notes n",
            "SELECT noted(1)::text FROM mal.notes",
            "SELECT (two()).a::text",
            "SELECT x.q::text FROM two() x(q, w)",
            "SELECT array_agg(mood(id))::text FROM items",
            "SELECT same()::text",
            "SELECT 'x' || same()",
        ] {
            let reply = server.call("run_sql", json!({"sql": sql}));
            assert_eq!(reply["error"]["code"], "function_refused", "{sql}: {reply}");
        }
    }
}

/// The settings list a type. Its owner makes a function of the same name.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_listed_type_vouches_for_no_function_of_its_name() {
    for postgres in servers() {
        let database = with_mallory(postgres, "cast_names");
        postgres.script(
            &database,
            &format!(
                "{SHOP} SET ROLE mallory;
                 CREATE FUNCTION mal.mood(mal.mood) RETURNS text LANGUAGE plpgsql IMMUTABLE
                   AS $$BEGIN RAISE EXCEPTION 'it ran'; END$$;
                 CREATE CAST (mal.mood AS text) WITH FUNCTION mal.mood(mal.mood) AS IMPLICIT"
            ),
        );
        let (_home, mut server) = serve(postgres, &database, "allow_functions = [\"mal.mood\", \"mal.span\"]");
        for sql in
            ["SELECT k::text FROM items", "SELECT id FROM items WHERE k = 'sad'", "SELECT mal.mood(k) FROM items"]
        {
            let reply = server.call("run_sql", json!({"sql": sql}));
            assert_eq!(reply["error"]["code"], "function_refused", "{sql}: {reply}");
        }
        // The constructor of a listed range is part of the type.
        let reply = server.call("run_sql", json!({"sql": "SELECT mal.span(1, 5) @> 2"}));
        assert_eq!(reply["rows"], json!([[true]]), "{reply}");
    }
}

/// The constructors of a range type belong to the server's first superuser. One that another user names like a function of an
/// extension would be chosen for arguments that fit it better.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn no_range_of_another_user_replaces_a_function() {
    for postgres in servers() {
        let database = with_mallory(postgres, "range_twins");
        postgres.script(
            &database,
            "CREATE EXTENSION fuzzystrmatch; CREATE EXTENSION pg_trgm; GRANT CREATE ON SCHEMA public TO PUBLIC;
             CREATE TABLE words (a varchar, b varchar); INSERT INTO words VALUES ('kitten', 'sitting');
             GRANT SELECT ON words TO PUBLIC",
        );
        let statements = [
            ("SELECT levenshtein(a, b) FROM words", json!([[3]])),
            ("SELECT public.levenshtein(a, b) FROM words", json!([[3]])),
            ("SELECT similarity(a, b) > 0 FROM words", json!([[true]])),
            ("SELECT lower(a), length(b) FROM words", json!([["kitten", 7]])),
        ];
        let (_home, mut server) = serve(postgres, &database, "");
        for (sql, rows) in &statements {
            assert_eq!(server.call("run_sql", json!({"sql": sql}))["rows"], *rows, "{sql}");
        }
        let twins = ["levenshtein", "similarity", "lower", "length"];
        let twins = twins.map(|name| {
            format!("CREATE TYPE public.{name} AS RANGE (subtype = varchar, multirange_type_name = {name}_m);")
        });
        postgres.script(&database, &format!("SET ROLE mallory; {}", twins.concat()));
        let (_home, mut server) = serve(postgres, &database, "");
        for (sql, rows) in &statements {
            let reply = server.call("run_sql", json!({"sql": sql}));
            assert!(reply["rows"] == *rows || reply["error"]["code"] == "function_refused", "{sql}: {reply}");
        }
    }
}

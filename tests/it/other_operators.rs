//! Operators of another user of the same database, over types of that user's own: they change no answer, run in no
//! statement, and refuse none.

use serde_json::{Value, json};

use crate::crowded_names::serve;
use crate::support::Server;
use crate::support::postgres::{Postgres, servers};

const SHOP: &str = "
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email varchar(80), ssn text, tags text[], spent numeric);
INSERT INTO customers VALUES (1, 'Ann', 'ann@x.org', '111-11', '{a,b}', 10.5), (2, 'Bob', 'bob@x.org', '222-22', '{b}', 20);
GRANT SELECT ON customers TO PUBLIC;
";

/// Statements that use each operator in several forms.
const HONEST: [&str; 17] = [
    "SELECT id FROM customers WHERE email = 'ann@x.org'",
    "SELECT id FROM customers WHERE email = '(x)' OR email IN ('q', 'bob@x.org')",
    "SELECT nullif(email, 'q'), CASE email WHEN 'q' THEN 1 ELSE 2 END FROM customers ORDER BY id",
    "SELECT id FROM customers WHERE email IS NOT DISTINCT FROM 'x' OR email = ANY ('{x}')",
    "SELECT id FROM ONLY customers WHERE email = 'x'",
    "SELECT count(*) FROM customers a JOIN customers b USING (email)",
    "SELECT id FROM customers WHERE email LIKE 'zzz%'",
    "SELECT id FROM customers WHERE email <> email",
    "SELECT id || 'x', name || id, name || '-' || email FROM customers ORDER BY id",
    "SELECT ARRAY['a', 'b'] && '{b}', tags && '{b}', tags @> '{a}' FROM customers ORDER BY id",
    "SELECT spent * id, spent > 10, spent + 1, -spent FROM customers ORDER BY id",
    "SELECT id FROM customers WHERE (email, id) = ('ann@x.org', 1)",
    "SELECT id + 1, id - 1, id * 2, id / 2, id % 2, id < 2, id >= 2 FROM customers ORDER BY id",
    "SELECT DISTINCT email FROM customers ORDER BY email DESC",
    "SELECT max(email), min(spent), sum(id) FROM customers GROUP BY name HAVING name = 'Ann'",
    "SELECT id FROM customers WHERE email BETWEEN 'a' AND 'b'",
    "SELECT id FROM customers WHERE email NOT SIMILAR TO 'a' AND email SIMILAR TO 'a%' AND email !~ 'q' AND email NOT LIKE 'q'",
];

/// Types of another user that a value or a literal can become.
const TYPES: [&str; 8] = [
    "CREATE DOMAIN own AS varchar",
    "CREATE DOMAIN own AS int",
    "CREATE DOMAIN under AS text; CREATE DOMAIN own AS under",
    "CREATE TYPE own AS ENUM ('ann@x.org', 'q', 'x', '-', '1', '{b}')",
    "CREATE TYPE own AS (a text)",
    "CREATE DOMAIN own AS text[]",
    "CREATE TYPE own AS RANGE (subtype = int)",
    "CREATE DOMAIN part AS varchar; CREATE DOMAIN own AS part[]",
];

fn database(postgres: &Postgres, objects: &str) -> String {
    let (database, _) = postgres.database("operators");
    for role in ["mallory", "honest LOGIN"] {
        postgres.script_best_effort(&database, &format!("CREATE ROLE {role}"));
    }
    postgres.script(&database, SHOP);
    postgres.script(&database, "GRANT CREATE ON SCHEMA public TO mallory");
    postgres.script(&database, &format!("SET client_min_messages = error; SET ROLE mallory; {objects}"));
    database
}

fn answers(server: &mut Server) -> Vec<Value> {
    let mut answer = |sql| {
        let reply = server.call("run_sql", json!({"sql": sql}));
        if reply["error"].is_null() { reply["rows"].clone() } else { reply }
    };
    HONEST.iter().map(|sql| answer(*sql)).collect()
}

/// Every operator that the statements use, with the type on each side and before one operand.
fn operators() -> String {
    let mut text = String::new();
    for other in ["varchar", "text", "int", "numeric", "text[]", "own"] {
        for (sides, left, right) in [("l", other, "own"), ("r", "own", other)] {
            let function = format!("f_{sides}_{}", other.replace("[]", "s"));
            text += &format!(
                "CREATE FUNCTION {function}({left}, {right}) RETURNS bool LANGUAGE plpgsql IMMUTABLE
                   AS 'BEGIN RAISE WARNING ''HARM DONE''; RETURN true; END';"
            );
            for operator in
                ["=", "<>", "<", ">", ">=", "<=", "~~", "!~~", "~", "!~", "||", "&&", "@>", "*", "+", "-", "/", "%"]
            {
                if other != "own" || sides == "l" {
                    text += &format!(
                        "CREATE OPERATOR public.{operator} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = {function});"
                    );
                }
            }
        }
    }
    text += "CREATE FUNCTION f_before(own) RETURNS bool LANGUAGE plpgsql IMMUTABLE
               AS 'BEGIN RAISE WARNING ''HARM DONE''; RETURN true; END';
             CREATE OPERATOR public.- (RIGHTARG = own, FUNCTION = f_before);";
    text
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn operators_over_a_users_own_types_change_no_answer() {
    for postgres in servers() {
        let plain = database(postgres, "SELECT 1");
        let expected = answers(&mut serve(postgres, &plain, "").1);
        assert!(expected.iter().all(|rows| rows["error"].is_null()), "{expected:?}");
        let log = postgres.log().len();
        for own in TYPES {
            let database = database(postgres, &format!("{own}; {}", operators()));
            for ((sql, expected), rows) in
                HONEST.iter().zip(&expected).zip(answers(&mut serve(postgres, &database, "").1))
            {
                assert_eq!(rows, *expected, "{own}: {sql}");
            }
        }
        assert!(!postgres.log().get(log..).unwrap_or_default().contains("HARM DONE"));
    }
}

/// Operators whose names no built-in has, so that the server turns literals into values of the other user's types.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn operators_between_literals_do_not_run() {
    const STATEMENTS: [&str; 9] = [
        "SELECT 'a' === 'b'",
        "SELECT NULL === 'b'",
        "SELECT 'a' === ANY ('{a}')",
        "SELECT !=! 'a'",
        "SELECT !=! NULL",
        "SELECT id FROM customers WHERE 'a' === 'b' ORDER BY 'a' === 'a'",
        "SELECT count(*) FILTER (WHERE 'a' === 'b') FROM customers",
        "SELECT '[1,2)' === '[1,2)', '{a}' === '{b}', '(a)' === '(b)'",
        "EXPLAIN SELECT 'a' === 'b'",
    ];
    for postgres in servers() {
        for own in TYPES.iter().chain(&["CREATE TYPE part AS ENUM ('a', 'b'); CREATE DOMAIN own AS part[]"]) {
            let own = own.replace("'ann@x.org'", "'a', 'b'");
            for of in ["own", "own[]"] {
                let harm = "RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''HARM DONE''; END'";
                let objects = format!(
                    "{own}; CREATE FUNCTION f_two({of}, {of}) {harm}; CREATE FUNCTION f_one({of}) {harm};
                     CREATE OPERATOR public.=== (LEFTARG = {of}, RIGHTARG = {of}, FUNCTION = f_two);
                     CREATE OPERATOR public.!=! (RIGHTARG = {of}, FUNCTION = f_one);"
                );
                let database = database(postgres, &objects);
                let (_home, mut server) = serve(postgres, &database, "");
                for sql in STATEMENTS {
                    let reply = server.call("run_sql", json!({"sql": sql}));
                    assert!(reply["error"]["code"].is_string(), "{own}: {sql}: {reply}");
                    assert!(!reply.to_string().contains("HARM DONE"), "{own}: {sql}: {reply}");
                }
                let reply = server.call("run_sql", json!({"sql": "SELECT id FROM customers WHERE name = 'Ann'"}));
                assert_eq!(reply["rows"], json!([[1]]), "{own}: {reply}");
            }
        }
    }
}

/// An operator whose function reads a denied column.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_operator_shows_no_denied_column() {
    for postgres in servers() {
        let database = database(
            postgres,
            "CREATE DOMAIN own AS text; CREATE FUNCTION leak(int, own) RETURNS text LANGUAGE sql STABLE
               AS 'SELECT ssn FROM public.customers WHERE id = $1';
             CREATE OPERATOR public.|| (LEFTARG = int, RIGHTARG = own, FUNCTION = leak);",
        );
        let (_home, mut server) = serve(postgres, &database, "deny = [\"customers.ssn\"]\n");
        let reply = server.call("run_sql", json!({"sql": "SELECT id || '-' AS label FROM customers"}));
        assert_eq!(reply["rows"], json!([["1-"], ["2-"]]), "{reply}");
    }
}

/// Objects that make the look-up of names, or the reading of the schema, long or large.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn many_objects_hold_up_and_end_nobodys_call() {
    let objects = [
        // Each block is a transaction, because every new view takes a lock.
        "DO $$ BEGIN FOR i IN 1..3000 LOOP EXECUTE 'CREATE VIEW e' || i || ' AS SELECT'; END LOOP; END $$;
         DO $$ BEGIN FOR i IN 3001..6000 LOOP EXECUTE 'CREATE VIEW e' || i || ' AS SELECT'; END LOOP; END $$;
         DO $$ BEGIN FOR i IN 6001..9000 LOOP EXECUTE 'CREATE VIEW e' || i || ' AS SELECT'; END LOOP; END $$;
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;",
        "DO $$ DECLARE pair record; BEGIN
           EXECUTE 'CREATE FUNCTION f(a int) RETURNS bool LANGUAGE sql IMMUTABLE RETURN true';
           FOR pair IN SELECT l.typname AS l, r.typname AS r FROM pg_type l, pg_type r WHERE l.typtype = 'b' AND r.typtype = 'b'
             AND l.typcategory <> 'A' AND r.typcategory <> 'A' AND l.oid < 6000 AND r.oid < 6000 AND l.typnamespace = 11
             AND r.typnamespace = 11 LIMIT 1900 LOOP
             BEGIN
               EXECUTE format('CREATE FUNCTION f(%I, %I) RETURNS bool LANGUAGE sql IMMUTABLE RETURN true', pair.l, pair.r);
               EXECUTE format('CREATE OPERATOR public.= (LEFTARG = %I, RIGHTARG = %I, FUNCTION = f)', pair.l, pair.r);
             EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP;
           FOR n IN 1..20000 LOOP EXECUTE format('CREATE FUNCTION f(int, int, int, a%s int DEFAULT %s) RETURNS bool LANGUAGE sql IMMUTABLE RETURN true', n, n);
             EXIT; END LOOP; END $$;",
        "DO $$ BEGIN EXECUTE 'CREATE DOMAIN d0 AS int'; FOR i IN 1..6000 LOOP EXECUTE format('CREATE DOMAIN d%s AS d%s', i, i - 1); END LOOP;
           FOR t IN 0..5 LOOP EXECUTE (SELECT 'CREATE TABLE odd' || t || ' (' || string_agg(format('c%s d%s', i, t * 1000 + i), ',') || ')'
             FROM generate_series(1, 1000) i); END LOOP; END $$;
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;",
    ];
    for postgres in servers() {
        for objects in objects {
            let database = database(postgres, objects);
            let (_home, mut server) = serve(postgres, &database, "");
            for sql in ["SELECT id FROM customers WHERE name = 'Ann'", "SELECT 1"] {
                let began = std::time::Instant::now();
                assert_eq!(server.call("run_sql", json!({"sql": sql}))["rows"], json!([[1]]), "{sql}: {objects}");
                assert!(began.elapsed().as_secs() < 8, "{:?}: {sql}: {objects}", began.elapsed());
            }
            let asked = server.call("ask_database", json!({"question": "how many customers are there?"}));
            assert_eq!(asked["rows"], json!([[2]]), "{objects}: {asked}");
        }
    }
}

/// Functions that have the names of keywords of the grammar.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn functions_called_like_keywords_refuse_nobodys_statement() {
    let words =
        ["overlaps", "varying", "second", "both", "placing", "current_timestamp", "localtimestamp", "precision"];
    let functions: String = words
        .map(|word| {
            format!("CREATE FUNCTION public.\"{word}\"(text) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';")
        })
        .concat();
    for postgres in servers() {
        let database = database(postgres, &functions);
        let (_home, mut server) = serve(postgres, &database, "");
        for sql in [
            "SELECT (current_date, current_date) OVERLAPS (current_date, current_date)",
            "SELECT CAST(name AS character varying(2)), name::character varying(2) FROM customers",
            "SELECT current_timestamp(3) IS NULL, localtimestamp(0) IS NULL",
            "SELECT interval '1.5' second (0), '3 days'::interval day to second(2)",
            "SELECT trim(both ('A') FROM name), overlay(name PLACING ('x') FROM 1) FROM customers",
        ] {
            let reply = server.call("run_sql", json!({"sql": sql}));
            assert!(reply["error"].is_null(), "{sql}: {reply}");
        }
    }
}

/// A domain that is called like a function, and a cast to another user's enum.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn types_of_other_users_run_nothing() {
    for postgres in servers() {
        let database = database(
            postgres,
            "CREATE FUNCTION evil(text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''HARM DONE''; RETURN true; END';
             CREATE DOMAIN current_setting AS text CHECK (evil(VALUE));",
        );
        let (_home, mut server) = serve(postgres, &database, "");
        let log = postgres.log().len();
        let version =
            server.call("run_sql", json!({"sql": "SELECT current_setting('server_version_num')::int > 100000"}));
        assert_eq!(version["rows"], json!([[true]]), "{version}");
        if postgres.query(&database, "SELECT count(*) FROM pg_available_extensions WHERE name = 'ltree'") != "0" {
            postgres.script(
                &database,
                "CREATE EXTENSION ltree; SET client_min_messages = error; SET ROLE mallory; CREATE TYPE mood AS ENUM ('a');
                 CREATE FUNCTION moody(ltree) RETURNS mood LANGUAGE plpgsql
                   AS 'BEGIN RAISE WARNING ''HARM DONE''; RETURN ''a''; END';
                 CREATE CAST (ltree AS mood) WITH FUNCTION moody(ltree) AS IMPLICIT;",
            );
            let cast = server.call("run_sql", json!({"sql": "SELECT ('{a.b}' ?@> 'a.b')::public.mood"}));
            assert!(!cast["error"].is_null(), "{cast}");
        }
        assert!(!postgres.log().get(log..).unwrap_or_default().contains("HARM DONE"));
    }
}

/// Words of the grammar that are also names of types and functions: `left 'x'` converts a text to a type `left`.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn types_and_functions_called_like_keywords_run_nothing() {
    for postgres in servers() {
        let evil = "CREATE FUNCTION evil(text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''KEYWORD RAN''; RETURN true; END';";
        let database = database(postgres, evil);
        let keywords =
            postgres.query(&database, "SELECT word FROM pg_get_keywords() WHERE catcode <> 'R' ORDER BY word");
        let objects: String = keywords
            .lines()
            .map(|word| {
                format!(
                    "CREATE DOMAIN public.\"{word}\" AS text CHECK (evil(VALUE));
                     CREATE FUNCTION public.\"{word}\"(text) RETURNS text LANGUAGE plpgsql
                       AS 'BEGIN RAISE WARNING ''KEYWORD RAN''; RETURN 1; END';"
                )
            })
            .collect();
        postgres.script(&database, &format!("SET client_min_messages = error; SET ROLE mallory; {objects}"));
        let (_home, mut server) = serve(postgres, &database, "");
        let log = postgres.log().len();
        for word in keywords.lines() {
            for sql in [
                format!("SELECT {word} 'x'"),
                format!("SELECT {word} 'x' FROM customers ORDER BY {word} 'x'"),
                format!("SELECT ARRAY[{word} 'x'] FROM customers LIMIT length({word} 'x')"),
                format!("SELECT {word}('x'::text) FROM customers"),
                format!("SELECT * FROM ROWS FROM ({word}('a'::text)) x"),
                format!("SELECT * FROM ROWS FROM ({word}('a'::text), {word}('b'::text)) x"),
                format!("SELECT * FROM ROWS FROM (json_to_recordset('[{{\"a\":1}}]') AS (a {word})) x"),
                format!("SELECT '1'::{word}, CAST('1' AS {word})"),
            ] {
                server.call("run_sql", json!({"sql": sql}));
            }
            let harm = postgres.log().get(log..).unwrap_or_default().contains("WARNING:  KEYWORD RAN");
            assert!(!harm, "{word}");
        }
        // The keywords themselves still work.
        for sql in [
            "SELECT a.name FROM customers a LEFT JOIN customers b ON a.id = b.id AND b.name LIKE 'A%' WHERE a.email ILIKE ('%x%')",
            "SELECT id FROM customers NATURAL INNER JOIN (SELECT id FROM customers) x WHERE name IS NOT NULL",
            "SELECT name FROM customers a FULL OUTER JOIN customers b USING (name) CROSS JOIN (SELECT 1) c WHERE a.id IS NOT DISTINCT FROM b.id",
        ] {
            let reply = server.call("run_sql", json!({"sql": sql}));
            assert!(reply["error"].is_null(), "{sql}: {reply}");
        }
    }
}

/// An implicit cast from the rows of a table matters only where a name after a dot could be a function.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_cast_from_rows_refuses_nobodys_statement() {
    for postgres in servers() {
        let database = database(postgres, "");
        postgres.script(
            &database,
            "CREATE SCHEMA mallory AUTHORIZATION mallory; SET client_min_messages = error; SET ROLE mallory;
             CREATE TYPE mallory.own AS (a int);
             CREATE FUNCTION mallory.f(public.customers) RETURNS mallory.own LANGUAGE plpgsql IMMUTABLE
               AS 'BEGIN RAISE WARNING ''HARM DONE''; RETURN ROW(1); END';
             CREATE CAST (public.customers AS mallory.own) WITH FUNCTION mallory.f(public.customers) AS IMPLICIT;
             CREATE FUNCTION mallory.taken(mallory.own) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
             RESET ROLE; GRANT CREATE ON SCHEMA public TO mallory; SET ROLE mallory;
             CREATE FUNCTION public.grabbed(mallory.own) RETURNS int LANGUAGE plpgsql IMMUTABLE
               AS 'BEGIN RAISE WARNING ''HARM DONE''; RETURN 1; END';",
        );
        let (_home, mut server) = serve(postgres, &database, "");
        let log = postgres.log().len();
        for sql in [
            "SELECT c.name, o.total FROM customers c JOIN (SELECT 1 AS total) o ON o.total = c.id",
            "WITH a AS (SELECT id AS x FROM customers) SELECT a.x FROM a",
            "SELECT s.n FROM (SELECT count(*) AS n FROM public.customers) s",
            // Built-in functions of one argument have these names, but none takes the other user's type.
            "SELECT c.name, o.length, o.text FROM customers c JOIN (SELECT 1 AS length, 'x' AS text) o ON o.length = c.id",
        ] {
            let reply = server.call("run_sql", json!({"sql": sql}));
            assert!(reply["error"].is_null(), "{sql}: {reply}");
        }
        let taken = server.call("run_sql", json!({"sql": "SELECT c.taken FROM customers c"}));
        assert!(!taken["error"].is_null(), "{taken}");
        let grabbed = server.call("run_sql", json!({"sql": "SELECT c.grabbed FROM customers c"}));
        assert!(!grabbed["error"].is_null(), "{grabbed}");
        assert!(!postgres.log().get(log..).unwrap_or_default().contains("HARM DONE"));
    }
}

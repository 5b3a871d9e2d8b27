//! Attempts of another user of the same database to make TUDB refuse statements or fail to read the schema: objects
//! named like columns, many operators, statistics and labels of any length, locks.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::postgres::{Postgres, servers};
use crate::support::{Home, Server, peak_memory_kb};

const SHOP: &str = "
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email varchar(80), ssn text, born date);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int REFERENCES customers, total numeric(10,2), placed timestamptz);
INSERT INTO customers VALUES (1, 'Ann', 'ann@example.org', '1', '1990-01-01'), (2, 'Bob', 'bob@example.org', '2', NULL);
INSERT INTO orders VALUES (1, 1, 10.5, '2026-01-02 03:04:05Z'), (2, 1, 5, '2026-02-02 03:04:05Z'), (3, 2, 7.25, NULL);
CREATE VIEW spending AS SELECT c.name, sum(o.total) AS spent FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.name;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
";

const HONEST: [&str; 12] = [
    "SELECT count(*) FROM customers",
    "SELECT c.id, c.name FROM customers c WHERE c.id = 1",
    "SELECT c.name, sum(o.total) AS spent FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.name ORDER BY spent DESC",
    "WITH t AS (SELECT customer_id, sum(total) AS s FROM orders GROUP BY customer_id) SELECT * FROM t ORDER BY s",
    "SELECT x.* FROM (SELECT id FROM orders) x ORDER BY x.id",
    "SELECT substring(name from 1 for 2), position('n' in name), trim(both ' ' from name) FROM customers ORDER BY id",
    "SELECT extract(year FROM placed), date_trunc('month', placed) FROM orders ORDER BY id",
    "SELECT name FROM customers WHERE name LIKE 'A%' AND email IN ('ann@example.org')",
    "SELECT id, rank() OVER (PARTITION BY customer_id ORDER BY total) FROM orders ORDER BY id",
    "SELECT * FROM spending ORDER BY name",
    "SELECT public.customers.id FROM public.customers ORDER BY 1",
    "SELECT json_build_object('id', id) FROM customers ORDER BY id",
];

/// Another user's objects, each with code in it that nobody vouches for.
const OBJECTS: [&str; 8] = [
    "CREATE DOMAIN public.id AS int CHECK (evil(VALUE)); CREATE DOMAIN public.name AS text CHECK (evil(length(VALUE)));
     CREATE DOMAIN public.count AS int CHECK (evil(VALUE)); CREATE DOMAIN public.x AS int CHECK (evil(VALUE));",
    "CREATE FUNCTION public.id(record) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
     CREATE FUNCTION public.name(anyelement) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';",
    "CREATE FUNCTION public.total(VARIADIC int[]) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';",
    "CREATE VIEW public.t AS SELECT evil(1) AS n; CREATE VIEW public.x AS SELECT evil(1) AS n;
     CREATE VIEW public.spent AS SELECT evil(1) AS n;",
    "CREATE SCHEMA c; CREATE DOMAIN c.id AS int CHECK (public.evil(VALUE)); CREATE VIEW c.name AS SELECT public.evil(1) AS n;
     GRANT USAGE ON SCHEMA c TO PUBLIC; GRANT SELECT ON c.name TO PUBLIC;",
    "CREATE FUNCTION public.count(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
     CREATE FUNCTION public.rank(int) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
     CREATE FUNCTION public.\"substring\"(text, int8, int8) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';",
    "CREATE TYPE public.name AS ENUM ('a'); CREATE FUNCTION public.made(text) RETURNS public.name LANGUAGE plpgsql
     AS 'BEGIN RETURN ''a''; END'; CREATE CAST (text AS public.name) WITH FUNCTION made(text) AS IMPLICIT;",
    "CREATE FUNCTION public.same(text, int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
     CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = int, FUNCTION = same);",
];

/// Serves a database in the role `honest`, which may only read. `more` are further settings of the source.
pub(crate) fn serve(postgres: &Postgres, database: &str, more: &str) -> (Home, Server) {
    let home = Home::new("crowded-names");
    let url = format!("postgres://honest@127.0.0.1:{}/{database}?sslmode=disable", postgres.port);
    let config = home.scratch.path("tudb.toml");
    std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\n{more}")).unwrap();
    let home = home.set("TUDB_CONFIG", config.display());
    let server = home.serve();
    (home, server)
}

pub(crate) fn as_mallory(postgres: &Postgres, database: &str, script: &str) {
    postgres.script(database, &format!("SET client_min_messages = error; SET ROLE mallory; {script}"));
}

pub(crate) fn shop(postgres: &Postgres, name: &str) -> String {
    let (database, _) = postgres.database(name);
    for role in ["mallory", "honest LOGIN"] {
        postgres.script_best_effort(&database, &format!("CREATE ROLE {role}"));
    }
    postgres.script(&database, SHOP);
    postgres.script(
        &database,
        &format!("GRANT CREATE ON SCHEMA public TO mallory; GRANT CREATE ON DATABASE \"{database}\" TO mallory;"),
    );
    database
}

/// The rows of each honest statement, or the whole reply if it has none.
fn answers(server: &mut Server) -> Vec<Value> {
    let rows = |reply: Value| if reply["rows"].is_array() { reply["rows"].clone() } else { reply };
    HONEST.iter().map(|sql| rows(server.call("run_sql", json!({"sql": sql})))).collect()
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn objects_called_like_columns_refuse_nobodys_statement() {
    for postgres in servers() {
        let database = shop(postgres, "crowded_plain");
        let expected = answers(&mut serve(postgres, &database, "").1);
        assert!(expected.iter().all(|rows| rows.as_array().is_some_and(|rows| !rows.is_empty())), "{expected:?}");
        for (number, objects) in OBJECTS.iter().enumerate() {
            let database = shop(postgres, &format!("crowded_{number}"));
            let evil = "CREATE FUNCTION public.evil(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE ''RAN''; END';";
            as_mallory(postgres, &database, &format!("{evil} {objects}"));
            for rules in ["", "mask = [\"customers.ssn\"]\n"] {
                let (_home, mut server) = serve(postgres, &database, rules);
                for ((sql, expected), rows) in HONEST.iter().zip(&expected).zip(answers(&mut server)) {
                    assert_eq!(rows, *expected, "{objects}: {rules}: {sql}");
                }
                // Statements that need the user's code are still refused.
                for sql in ["SELECT evil(1)", "SELECT public.evil(id) FROM customers"] {
                    let reply = server.call("run_sql", json!({"sql": sql}));
                    assert_eq!(reply["error"]["code"], "function_refused", "{sql}: {reply}");
                }
                if number == 0 {
                    for sql in
                        ["SELECT '1'::id", "SELECT CAST('1' AS public.id)", "SELECT public.id '1'", "SELECT id '1'"]
                    {
                        let reply = server.call("run_sql", json!({"sql": sql}));
                        assert!(reply["error"].is_object() && !reply.to_string().contains("RAN"), "{sql}: {reply}");
                    }
                }
                if rules.starts_with("mask") {
                    let masked = server.call("run_sql", json!({"sql": "SELECT ssn FROM customers WHERE id = 1"}));
                    assert_eq!(masked["rows"], json!([["***"]]), "{objects}");
                }
            }
        }
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn crowds_of_operators_and_functions_hold_nobody_up() {
    let postgres = &servers()[0];
    let database = shop(postgres, "crowds");
    let expected = answers(&mut serve(postgres, &database, "").1);
    as_mallory(
        postgres,
        &database,
        "CREATE FUNCTION public.same(anyelement, anyelement) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
         DO $$ DECLARE r record; o text; BEGIN FOR r IN SELECT a.typname x, b.typname y FROM pg_type a, pg_type b
             WHERE a.typtype = 'b' AND b.typtype = 'b' AND a.oid < 1200 AND b.oid < 1200 AND a.typname !~ '^_' AND b.typname !~ '^_'
             LIMIT 500 LOOP
           EXECUTE format('CREATE FUNCTION public.f(pg_catalog.%I, pg_catalog.%I) RETURNS bool LANGUAGE plpgsql AS ''BEGIN RETURN true; END''', r.x, r.y);
           EXECUTE format('CREATE FUNCTION public.count(pg_catalog.%I, pg_catalog.%I) RETURNS bool LANGUAGE plpgsql AS ''BEGIN RETURN true; END''', r.x, r.y);
           EXECUTE format('CREATE FUNCTION public.count(pg_catalog.%I, pg_catalog.%I, int) RETURNS bool LANGUAGE plpgsql AS ''BEGIN RETURN true; END''', r.x, r.y);
           FOREACH o IN ARRAY ARRAY['=', '<', '>', '<>', '<=', '>='] LOOP
             EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = pg_catalog.%I, RIGHTARG = pg_catalog.%I, FUNCTION = public.f)', o, r.x, r.y);
           END LOOP; END LOOP; END $$",
    );
    assert!(postgres.query(&database, "SELECT count(*) > 2500 FROM pg_operator WHERE oid >= 16384").contains('t'));
    let (_home, mut server) = serve(postgres, &database, "");
    assert_eq!(answers(&mut server), expected);
}

/// Calls every tool that reads the whole schema.
/// Every tool but for the odd table itself.
fn others_are_read(server: &mut Server, what: &str) {
    for (tool, arguments) in [
        ("list_tables", json!({})),
        ("list_tables", json!({"search": "cust"})),
        ("describe_table", json!({"table": "customers"})),
        ("ask_database", json!({"question": "How many customers are there?"})),
    ] {
        let reply = server.call(tool, arguments.clone());
        assert!(reply["error"].is_null(), "{what}: {tool} {arguments}: {reply}");
        assert!(reply.to_string().len() < 100_000, "{what}: {tool} {arguments}");
    }
}

fn schema_is_read(server: &mut Server, what: &str) {
    others_are_read(server, what);
    let reply = server.call("describe_table", json!({"table": "odd"}));
    assert!(reply["error"].is_null() && reply.to_string().len() < 100_000, "{what}: {}", reply["error"]);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn labels_and_statistics_of_any_length_leave_the_schema_readable() {
    let statistics = |values: &str| {
        format!(
            "CREATE TABLE public.odd (a text); SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', 'odd',
               'reltuples', '3e38'::real); SELECT pg_restore_attribute_stats('schemaname', 'public', 'relname', 'odd', 'attname',
               'a', 'inherited', false, 'version', 180000, 'null_frac', '0'::real, 'avg_width', 5, 'n_distinct', '2'::real,
               'most_common_vals', {values}, 'most_common_freqs', '{{0.5,0.5}}'::real[]);"
        )
    };
    let objects = [
        "CREATE TABLE public.odd (a text); ALTER TABLE odd ALTER a SET STATISTICS 10000; ALTER TABLE odd ALTER a SET (n_distinct = 3);
         INSERT INTO odd SELECT repeat(chr(34), 900) || (i % 3000) FROM generate_series(1, 9000) i; ANALYZE odd;"
            .to_owned(),
        "DO $$ BEGIN EXECUTE (SELECT 'CREATE TYPE public.big AS ENUM (' || string_agg(quote_literal(i || repeat('e', 50)), ',') || ')'
           FROM generate_series(1, 20000) i); END $$; CREATE TABLE public.odd (a big);"
            .to_owned(),
        "CREATE TABLE public.odd (a int); DO $$ BEGIN FOR i IN 1..400 LOOP
           EXECUTE format('CREATE TABLE public.%I () INHERITS (odd)', i || repeat('k', 58)); END LOOP; END $$;
         SELECT 1"
            .to_owned(),
        statistics("'[5:6]={a,b}'::text"),
        statistics("'{' || repeat('x', 3000000) || ',b}'"),
    ];
    for postgres in servers() {
        for (number, objects) in objects.iter().enumerate() {
            let has_restore = postgres.query("postgres", "SHOW server_version_num").trim() >= "180000";
            if objects.contains("pg_restore") && !has_restore {
                continue;
            }
            let database = shop(postgres, &format!("statistics_{number}"));
            as_mallory(
                postgres,
                &database,
                &format!("{objects}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;"),
            );
            for rules in ["", "deny = [\"customers.ssn\"]\n"] {
                schema_is_read(&mut serve(postgres, &database, rules).1, objects);
            }
        }
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_lock_on_one_table_holds_up_no_look_at_the_schema() {
    for postgres in servers() {
        let database = shop(postgres, "locked");
        as_mallory(
            postgres,
            &database,
            "CREATE TABLE locked (a text CHECK (a IN ('x', 'y'))); GRANT SELECT ON locked TO PUBLIC",
        );
        let mut holder = postgres.psql(&database);
        let mut holder = holder
            .args(["-c", "BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60)"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let is_locked =
            "SELECT count(*) FROM pg_locks WHERE relation = 'locked'::regclass AND mode = 'AccessExclusiveLock'";
        while postgres.query(&database, is_locked).trim() != "1" {
            std::thread::sleep(Duration::from_millis(20));
        }
        let began = Instant::now();
        let (_home, mut server) = serve(postgres, &database, "");
        let reply = server.call("ask_database", json!({"question": "How many customers are there?"}));
        assert_eq!(reply["rows"], json!([[2]]), "{reply}");
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        holder.kill().unwrap();
        holder.wait().unwrap();
    }
}

/// Code that would run or be shown through a range, an operator's relatives, a policy or a name like an entry of
/// `allow_functions`.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn what_hangs_on_a_type_an_operator_or_a_table_is_looked_at_too() {
    const RAISE: &str = "LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE LOG ''CROWD RAN''; RETURN 1; END'";
    // The server's own ANALYZE would call the distance as well.
    let harm = format!(
        "CREATE SCHEMA mal; GRANT USAGE ON SCHEMA mal TO PUBLIC;
         CREATE FUNCTION mal.distance(float8, float8) RETURNS float8 {RAISE};
         CREATE TYPE mal.stretch AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = mal.distance);
         CREATE TABLE mal.visits (id int, during mal.stretch) WITH (autovacuum_enabled = off);
         INSERT INTO mal.visits SELECT i, mal.stretch(i, i + 2) FROM generate_series(1, 300) i; ANALYZE mal.visits;
         CREATE VIEW public.recent AS SELECT id FROM mal.visits WHERE during && mal.stretch(3, 7);
         CREATE FUNCTION mal.evil(int, int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
           'BEGIN RAISE LOG ''CROWD RAN''; RETURN true; END';
         CREATE OPERATOR mal.### (LEFTARG = int, RIGHTARG = int, FUNCTION = int4lt, NEGATOR = OPERATOR(mal.!##));
         CREATE OPERATOR mal.!## (LEFTARG = int, RIGHTARG = int, FUNCTION = int4ge, NEGATOR = OPERATOR(mal.###),
           COMMUTATOR = OPERATOR(mal.#!#), RESTRICT = scalargesel);
         CREATE OPERATOR mal.#!# (LEFTARG = int, RIGHTARG = int, FUNCTION = mal.evil, COMMUTATOR = OPERATOR(mal.!##));
         CREATE TABLE mal.numbers (i int); INSERT INTO mal.numbers SELECT generate_series(1, 300); ANALYZE mal.numbers;
         CREATE VIEW public.clean AS SELECT i FROM mal.numbers WHERE NOT (5 OPERATOR(mal.###) i);
         CREATE FUNCTION public.\"score(integer)\"(int) RETURNS int LANGUAGE plpgsql STABLE AS
           'BEGIN RAISE LOG ''CROWD RAN''; RETURN 1; END';
         CREATE TABLE mal.guesses (k text); INSERT INTO mal.guesses VALUES ('1'), ('7');
         ALTER TABLE mal.guesses ENABLE ROW LEVEL SECURITY;
         CREATE POLICY seen ON mal.guesses USING (k IN (SELECT ssn FROM public.customers));
         CREATE VIEW mal.columns_of_all AS SELECT attname FROM pg_attribute;
         CREATE VIEW mal.definitions AS SELECT pg_get_indexdef(16400);
         CREATE VIEW mal.places AS SELECT tableoid::regclass::text AS place FROM mal.numbers;
         GRANT SELECT ON ALL TABLES IN SCHEMA mal, public TO PUBLIC;"
    );
    for postgres in servers() {
        let database = shop(postgres, "hangs");
        as_mallory(postgres, &database, &harm);
        let log = postgres.log().len();
        let rules = "deny = [\"customers.ssn\"]\nallow_functions = [\"public.score(integer)\"]\n";
        for rules in ["allow_functions = [\"public.score(integer)\"]\n", rules] {
            let (_home, mut server) = serve(postgres, &database, rules);
            for sql in [
                "SELECT count(*) FROM recent",
                "SELECT count(*) FROM mal.visits WHERE during && mal.stretch(3, 7)",
                "SELECT * FROM clean",
                "SELECT \"score(integer)\"(2)",
                "SELECT public.\"score(integer)\"(2)",
            ] {
                for tool in ["run_sql", "explain_query"] {
                    let reply = server.call(tool, json!({"sql": sql}));
                    assert!(reply["error"].is_object(), "{rules}: {sql}: {reply}");
                }
            }
            if rules.starts_with("deny") {
                let reply = server.call("run_sql", json!({"sql": "SELECT count(*) FROM mal.guesses"}));
                assert_eq!(reply["error"]["code"], "column_denied", "{reply}");
                for view in ["columns_of_all", "definitions", "places"] {
                    let reply = server.call("run_sql", json!({"sql": format!("SELECT * FROM mal.{view}")}));
                    assert_eq!(reply["error"]["code"], "relation_refused", "{view}: {reply}");
                }
            }
        }
        let said = postgres.log();
        assert!(!said.get(log..).unwrap_or_default().contains("CROWD RAN"));
    }
}

/// A view that another session keeps replacing shows no denied column.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn what_is_replaced_between_the_look_up_and_the_run_is_not_shown() {
    let postgres = &servers()[0];
    let database = shop(postgres, "replaced");
    as_mallory(
        postgres,
        &database,
        "CREATE VIEW public.shifting AS SELECT name AS v FROM customers; GRANT SELECT ON shifting TO PUBLIC",
    );
    postgres.script(&database, "ALTER VIEW shifting SET (security_invoker = true)");
    let mut replacing = postgres.psql(&database);
    let script = "DO $$ BEGIN FOR i IN 1..4000 LOOP
        CREATE OR REPLACE VIEW shifting WITH (security_invoker = true) AS SELECT ssn AS v FROM customers; COMMIT;
        CREATE OR REPLACE VIEW shifting WITH (security_invoker = true) AS SELECT name AS v FROM customers; COMMIT;
        END LOOP; END $$";
    let mut replacing = replacing.args(["-c", script]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (_home, mut server) = serve(postgres, &database, "deny = [\"customers.ssn\"]\n");
    let mut answered = 0;
    for number in 0..300 {
        // New texts alternate with one repeated text, which the driver has prepared before.
        let number = if number % 2 == 0 { number } else { 1 };
        let sql = format!("SELECT v FROM shifting WHERE {number} = {number} ORDER BY v");
        let reply = server.call("run_sql", json!({"sql": sql}));
        if reply["error"].is_null() {
            assert_eq!(reply["rows"], json!([["Ann"], ["Bob"]]), "{reply}");
            answered += 1;
        }
    }
    replacing.kill().unwrap();
    replacing.wait().unwrap();
    println!("{answered} of 300 were answered");
}

/// Definitions that are small in the catalog and without end as text, and more of them than are looked through.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn definitions_of_any_size_refuse_nobodys_statement() {
    let objects = [
        "DO $$ BEGIN EXECUTE 'CREATE TABLE public.odd (a numeric, CHECK (' ||
           (SELECT string_agg('a > ''1e130000''::numeric', ' OR ') FROM generate_series(1, 800)) || '))'; END $$",
        "CREATE TABLE public.odd (a int); DO $$ BEGIN EXECUTE format('CREATE DOMAIN public.id AS text CHECK (VALUE <> %L)',
           repeat('x', 20000000)); END $$",
        "CREATE TABLE public.odd (a int); CREATE SCHEMA mal; DO $$ BEGIN FOR d IN 1..7 LOOP
           FOR f IN 1..1000 LOOP EXECUTE format('CREATE FUNCTION mal.f%s_%s(int) RETURNS bool LANGUAGE sql RETURN true', d, f); END LOOP;
           EXECUTE (SELECT format('CREATE DOMAIN mal.d%s AS int CHECK (', d) || string_agg(format('mal.f%s_%s(VALUE)', d, f), ' AND ') || ')'
             FROM generate_series(1, 1000) f); END LOOP; END $$;
         CREATE TYPE public.name AS (a mal.d1, b mal.d2, c mal.d3, d mal.d4, e mal.d5, f mal.d6, g mal.d7)",
    ];
    for postgres in servers() {
        let expected = answers(&mut serve(postgres, &shop(postgres, "sizes_plain"), "").1);
        for (number, objects) in objects.iter().enumerate() {
            let database = shop(postgres, &format!("sizes_{number}"));
            as_mallory(postgres, &database, &format!("{objects}; GRANT SELECT ON public.odd TO PUBLIC"));
            let (_home, mut server) = serve(postgres, &database, "");
            others_are_read(&mut server, objects);
            for ((sql, expected), rows) in HONEST.iter().zip(&expected).zip(answers(&mut server)) {
                assert_eq!(rows, *expected, "{objects}: {sql}");
            }
        }
    }
}

/// Domains over one enum, and keys of many columns, take memory once.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn labels_of_many_domains_and_wide_keys_take_bounded_memory() {
    let domains = "DO $$ BEGIN
        EXECUTE 'CREATE TYPE e AS ENUM (' || (SELECT string_agg(quote_literal(lpad(i::text, 63, 'x')), ',') FROM generate_series(1, 500) i) || ')';
        FOR i IN 1..5000 LOOP EXECUTE 'CREATE DOMAIN d' || i || ' AS e'; END LOOP;
        FOR t IN 0..4 LOOP EXECUTE (SELECT 'CREATE TABLE odd' || t || ' (' || string_agg(format('c%s d%s', i, t * 1000 + i), ',') || ')'
          FROM generate_series(1, 1000) i); END LOOP; END $$; CREATE TABLE odd (a int);";
    let keys = "DO $$ DECLARE list text; BEGIN
        list := (SELECT string_agg(rpad('c' || i, 62, 'y'), ',') FROM generate_series(1, 32) i);
        EXECUTE 'CREATE TABLE odd (' || replace(list, ',', ' int,') || ' int, UNIQUE (' || list || '))';
        FOR t IN 1..40 LOOP EXECUTE 'CREATE TABLE k' || t || ' (' || replace(list, ',', ' int,') || ' int,' ||
          (SELECT string_agg(format('FOREIGN KEY (%s) REFERENCES odd (%s)', list, list), ',') FROM generate_series(1, 50) i) || ')';
        END LOOP; END $$;";
    for postgres in servers() {
        for objects in [domains, keys] {
            let database = shop(postgres, "memory");
            as_mallory(
                postgres,
                &database,
                &format!("{objects} GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC"),
            );
            let (_home, mut server) = serve(postgres, &database, "");
            others_are_read(&mut server, objects);
            let peak = peak_memory_kb(&server.child);
            // The debug form has larger code and stacks.
            let most = if cfg!(debug_assertions) { 135 } else { 120 };
            assert!(peak < most * 1024, "{peak} kB: {objects}");
        }
    }
}

/// A view that comes and goes under the name of a table, in a schema that is earlier in the path, is never read.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_name_is_not_taken_over_between_the_look_up_and_the_run() {
    for postgres in servers() {
        let database = shop(postgres, "taken_over");
        postgres.script(
            &database,
            "CREATE SCHEMA app; CREATE TABLE app.items AS SELECT 1 AS id, 'plain'::text AS note, 'secret'::text AS ssn;
             GRANT USAGE ON SCHEMA app TO PUBLIC; GRANT SELECT ON app.items TO PUBLIC;",
        );
        postgres
            .query(&database, &format!("ALTER ROLE honest IN DATABASE \"{database}\" SET search_path = public, app"));
        let script = "SET ROLE mallory; DO $$ BEGIN FOR i IN 1..4000 LOOP
            CREATE VIEW public.items WITH (security_invoker = true) AS SELECT id, ssn AS note FROM app.items;
            GRANT SELECT ON public.items TO PUBLIC; COMMIT;
            DROP VIEW public.items; COMMIT; PERFORM pg_sleep(0.001); END LOOP; END $$";
        let script =
            if postgres.query("postgres", "SHOW server_version_num").trim() >= "150000" { script } else { continue };
        let mut taking = postgres.psql(&database);
        let mut taking = taking.args(["-c", script]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        for rules in ["", "deny = [\"app.items.ssn\"]\n"] {
            let (_home, mut server) = serve(postgres, &database, rules);
            let mut answered = 0;
            for number in 2..202 {
                let with =
                    ["", "WITH items AS (SELECT * FROM items WHERE id > 0) ", "WITH x AS (SELECT 1) "][number % 3];
                let from = ["items", "ONLY items", "ONLY (items)", "ONLY items i", "(TABLE items) x"][number % 5];
                let from = if with.contains("items") { "items" } else { from };
                let sql = format!("{with}SELECT id, note FROM {from} WHERE id < {number}");
                let reply = server.call("run_sql", json!({"sql": sql}));
                assert!(!reply.to_string().contains("secret"), "{rules} {sql}: {reply}");
                answered += u32::from(reply["rows"] == json!([[1, "plain"]]));
            }
            assert!(answered > 20, "{answered} of 200 were answered");
        }
        taking.kill().unwrap();
        taking.wait().unwrap();
    }
}

/// A statement that is remembered means the same table on a new connection, whatever another user has made meanwhile.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_remembered_statement_reads_the_same_table_on_a_new_connection() {
    for postgres in servers() {
        let database = shop(postgres, "remembered");
        postgres.script(
            &database,
            "CREATE SCHEMA app; CREATE TABLE app.items AS SELECT 'plain'::text AS note;
             GRANT USAGE ON SCHEMA app TO PUBLIC; GRANT SELECT ON app.items TO PUBLIC;",
        );
        postgres
            .query(&database, &format!("ALTER ROLE honest IN DATABASE \"{database}\" SET search_path = public, app"));
        for sql in [
            "SELECT note FROM items",
            "SELECT i.note FROM customers c JOIN items i ON c.id = 1",
            "TABLE items",
            "TABLE ONLY items",
            "SELECT note FROM ONLY items",
            "SELECT note FROM ONLY (items)",
            "SELECT i.note FROM ONLY items AS i",
            "SELECT i.note FROM customers c, ONLY items AS i WHERE c.id = 1",
            "WITH q AS (TABLE items) TABLE q",
            "WITH q AS (SELECT * FROM ONLY items AS i) SELECT * FROM ONLY q AS i",
            "SELECT * FROM (WITH items AS (TABLE items) TABLE items) x",
        ] {
            let (_home, mut server) = serve(postgres, &database, "");
            assert_eq!(server.call("run_sql", json!({"sql": sql}))["rows"], json!([["plain"]]), "{sql}");
            as_mallory(
                postgres,
                &database,
                "CREATE VIEW public.items AS SELECT 'taken'::text AS note; GRANT SELECT ON public.items TO PUBLIC",
            );
            postgres
                .query(&database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'honest' AND datname = current_database()");
            let reply = server.call("run_sql", json!({"sql": sql}));
            // What only the second reader can read is looked up anew each time, because others may create objects in
            // `public`. Then the view is what the name means now.
            let is_plain = sql.starts_with("SELECT note FROM") || sql.contains("JOIN");
            let means_the_view = !is_plain && reply["rows"] == json!([["taken"]]);
            // Where it cannot be told that no row of the view is converted, the statement is refused.
            let is_refused = !is_plain && reply["error"]["code"] == "function_refused";
            assert!(reply["rows"] == json!([["plain"]]) || means_the_view || is_refused, "{sql}: {reply}");
            postgres.query(&database, "DROP VIEW public.items");
        }
    }
}

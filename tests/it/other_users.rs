//! Attacks of another user of the same database: objects that shadow those in TUDB's own statements, operators that
//! would refuse every statement, and backends that do not end.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::postgres::{Postgres, server, servers};
use crate::support::{Home, Server, output_of, peak_memory_kb};

/// Maximum memory of the process at any time.
const MAX_MEMORY_KB: u64 = 120 * 1024;

fn serve(url: &str, more: &str) -> (Home, Server) {
    let home = Home::new("other-users");
    let config = home.scratch.path("tudb.toml");
    std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\n{more}")).unwrap();
    let home = home.set("TUDB_CONFIG", config.display());
    let server = home.serve();
    (home, server)
}

const SHOP: &str = "
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL DEFAULT 'x', email varchar(80) UNIQUE, m mood, born date,
  CHECK (name IN ('Ann', 'Bob', 'x')));
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int REFERENCES customers, total numeric(10,2), placed timestamptz);
COMMENT ON TABLE orders IS 'what was bought'; COMMENT ON COLUMN orders.total IS 'in euros';
INSERT INTO customers VALUES (1, 'Ann', 'ann@example.org', 'happy', '1990-01-01'), (2, 'Bob', 'bob@example.org', 'sad', NULL);
INSERT INTO orders VALUES (1, 1, 10.50, '2026-01-02 03:04:05Z'), (2, 1, 5, '2026-02-02 03:04:05Z'), (3, 2, 7.25, NULL);
CREATE VIEW spending AS SELECT c.name, sum(o.total) AS spent FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.name;
CREATE TABLE days (day date, n int) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE INDEX ON orders (customer_id) WHERE total > 1;
ANALYZE;
";

/// Calls every tool once, and returns the replies.
fn every_tool(server: &mut Server) -> Vec<Value> {
    let calls = [
        ("list_tables", json!({})),
        ("list_tables", json!({"search": "tot"})),
        ("describe_table", json!({"table": "orders"})),
        ("describe_table", json!({"table": "customers"})),
        ("describe_table", json!({"table": "days"})),
        ("describe_table", json!({"table": "spending"})),
        ("describe_table", json!({"table": "ordres"})),
        ("run_sql", json!({"sql": "SELECT name, m, born FROM customers ORDER BY id"})),
        ("run_sql", json!({"sql": "SELECT * FROM spending ORDER BY name"})),
        ("run_sql", json!({"sql": "SELECT totl FROM orders"})),
        ("explain_query", json!({"sql": "SELECT * FROM orders WHERE total > 6"})),
        // A statement that is remembered already.
        ("explain_query", json!({"sql": "SELECT name, m, born FROM customers ORDER BY id"})),
        ("explain_query", json!({"sql": "SELECT * FROM spending ORDER BY name"})),
        ("run_sql", json!({"sql": "EXPLAIN SELECT * FROM spending ORDER BY name"})),
        ("ask_database", json!({"question": "How many customers are there?"})),
    ];
    calls
        .into_iter()
        .map(|(tool, arguments)| {
            let mut reply = server.call(tool, arguments);
            for field in ["elapsed_ms", "receipt"] {
                reply.as_object_mut().unwrap().remove(field);
            }
            reply
        })
        .collect()
}

/// Argument types that twins have instead of a built-in's own.
const TYPES: [&str; 12] =
    ["text", "name", "varchar", "\"char\"", "oid", "int2", "int4", "int8", "bool", "regclass", "name[]", "text[]"];

/// Whether `text` calls the function.
fn calls(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        before && text[at + name.len()..].trim_start_matches('"').starts_with('(')
    })
}

/// Makes twins: a function for each built-in that `text` calls and each choice of other argument types, and an operator
/// for each operator in `text` and each pair of types. Each writes to the server's log when it runs.
fn twins(postgres: &Postgres, database: &str, text: &str) -> String {
    let mut script = String::from("SET search_path = public;\n");
    let known = postgres.query(
        database,
        "SELECT DISTINCT proname || ' ' || pronargs FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND pronargs BETWEEN 1 AND 3",
    );
    let body = "LANGUAGE plpgsql AS $$BEGIN RAISE LOG 'A TWIN RAN'; RETURN NULL; END$$";
    let mut made = BTreeSet::new();
    for line in known.lines() {
        let (name, count) = line.split_once(' ').unwrap();
        if !calls(text, name) {
            continue;
        }
        // For three arguments, five types each give enough choices.
        let types: &[&str] = if count == "3" { &TYPES[..5] } else { &TYPES };
        let mut choices: Vec<Vec<&str>> = vec![Vec::new()];
        for _ in 0..count.parse().unwrap() {
            choices = choices.iter().flat_map(|c| types.iter().map(|t| [c.as_slice(), &[*t]].concat())).collect();
        }
        for choice in choices {
            let _ = writeln!(script, "CREATE FUNCTION \"{name}\"({}) RETURNS text {body};", choice.join(", "));
            made.insert(name.to_owned());
        }
    }
    assert!(made.len() > 25, "the texts call more than these: {made:?}");
    let operators = postgres.query(
        database,
        "SELECT DISTINCT oprname FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprname <> '<>'",
    );
    let is_operator = |c: char| "+-*/<>=~!@#%^&|`?".contains(c);
    let used: BTreeSet<&str> = text.split(|c: char| !is_operator(c)).filter(|run| !run.is_empty()).collect();
    for (at, left) in TYPES.iter().enumerate() {
        for (and, right) in TYPES.iter().enumerate() {
            let _ = writeln!(script, "CREATE FUNCTION twin_{at}_{and}({left}, {right}) RETURNS bool {body};");
        }
    }
    let mut count = 0;
    for name in operators.lines().filter(|name| used.contains(name)) {
        count += 1;
        for (at, left) in TYPES.iter().enumerate() {
            for (and, right) in TYPES.iter().enumerate() {
                let _ = writeln!(
                    script,
                    "CREATE OPERATOR {name} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = twin_{at}_{and});"
                );
            }
        }
    }
    assert!(count >= 8, "the texts use more operators than {count}");
    script
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn no_object_of_a_user_runs_for_a_name_in_tudbs_own_statements() {
    let postgres = Postgres::with_settings(&[("log_statement", "all")]);
    let (database, url) = postgres.database("twins");
    postgres.script(&database, SHOP);
    postgres.query("postgres", "CREATE ROLE reader LOGIN");
    postgres.query(&database, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader");
    // The worst search path: the users' schema comes before the built-ins'.
    postgres.query("postgres", "ALTER ROLE reader SET search_path = public, pg_catalog");
    let url = url.replace("postgres@", "reader@");
    let (_home, mut server) = serve(&url, "");
    let before = every_tool(&mut server);
    drop(server);
    let log = postgres.log();
    let own: Vec<&str> = log.lines().filter(|line| !line.contains("totl")).collect();
    postgres.script_best_effort(&database, &twins(&postgres, &database, &own.join("\n")));
    let ready = "SELECT count(*) FROM pg_operator WHERE oprnamespace = 'public'::regnamespace";
    assert!(postgres.query(&database, ready).parse::<u32>().unwrap() > 1_000);
    // Twins do run in a statement that names them under such a path.
    let tried = "SET search_path = public, pg_catalog; SELECT quote_ident('x'::name)";
    let _ = postgres.psql(&database).args(["-c", tried]).output();
    let log = postgres.log();
    assert!(log.contains("A TWIN RAN"), "the twins are no twins");

    let (home, mut server) = serve(&url, "");
    let after = every_tool(&mut server);
    let doctor = home.run(&["doctor"]);
    let fresh = postgres.log();
    let fresh = fresh.get(log.len()..).unwrap();
    assert!(!fresh.contains("A TWIN RAN"), "{fresh}");
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
}

/// A function that would do harm, with operators and aggregates of it over built-in types. Its owner may create objects
/// in the schema of the tables.
const HOSTILE: &str = "
CREATE FUNCTION harm(text, int) RETURNS bool LANGUAGE plpgsql STABLE AS $$BEGIN RAISE LOG 'HOSTILE RAN'; RETURN true; END$$;
CREATE FUNCTION harm(int, text) RETURNS bool LANGUAGE plpgsql STABLE AS $$BEGIN RAISE LOG 'HOSTILE RAN'; RETURN true; END$$;
CREATE FUNCTION harm(varchar, varchar) RETURNS bool LANGUAGE plpgsql STABLE AS $$BEGIN RAISE LOG 'HOSTILE RAN'; RETURN true; END$$;
CREATE FUNCTION harm(numeric, text) RETURNS numeric LANGUAGE plpgsql STABLE AS $$BEGIN RAISE LOG 'HOSTILE RAN'; RETURN 1; END$$;
CREATE FUNCTION harm(bigint, text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$BEGIN RAISE LOG 'HOSTILE RAN'; RETURN 1; END$$;
CREATE OPERATOR = (LEFTARG = text, RIGHTARG = int, FUNCTION = harm);
CREATE OPERATOR < (LEFTARG = int, RIGHTARG = text, FUNCTION = harm);
CREATE OPERATOR ~~ (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = harm);
CREATE OPERATOR * (LEFTARG = numeric, RIGHTARG = text, FUNCTION = harm);
CREATE OPERATOR || (LEFTARG = int, RIGHTARG = text, FUNCTION = harm);
CREATE AGGREGATE count(text) (SFUNC = harm, STYPE = bigint, INITCOND = '0');
CREATE AGGREGATE sum(text) (SFUNC = harm, STYPE = bigint, INITCOND = '0');
";

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_user_of_the_database_cannot_refuse_everybodys_statements() {
    const STATEMENTS: [&str; 13] = [
        "SELECT count(*) FROM customers",
        "SELECT twice(id), upper(twice(id)::text) FROM customers WHERE twice(id) < 9 ORDER BY 1",
        "SELECT * FROM customers ORDER BY id",
        "SELECT c.name, count(c.email) FROM customers c WHERE c.id = 1 GROUP BY c.name",
        "SELECT name || '-' || id AS label FROM customers ORDER BY 1",
        "SELECT email FROM customers WHERE email LIKE 'a%'",
        "SELECT o.id, o.total * 2 FROM orders AS o JOIN customers c ON c.id = o.customer_id WHERE c.name = 'Ann' ORDER BY 1",
        "WITH big AS (SELECT customer_id, sum(total) AS t FROM orders GROUP BY customer_id) SELECT c.name, t FROM big JOIN customers c ON c.id = big.customer_id ORDER BY t",
        "SELECT orders.id FROM orders WHERE orders.total < 8 ORDER BY orders.id",
        "SELECT * FROM spending ORDER BY name",
        "SELECT id FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE total BETWEEN 1 AND 8)",
        "SELECT CASE m WHEN 'happy' THEN 1 ELSE 0 END FROM customers ORDER BY id",
        "SELECT (SELECT max(total) FROM public.orders) - total FROM orders ORDER BY id",
    ];
    for postgres in servers() {
        let (database, url) = postgres.database("hostile");
        postgres.script(&database, SHOP);
        postgres.script(&database, "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1'");
        let vouched = "allow_functions = [\"public.twice\"]\n";
        let (_home, mut server) = serve(&url, vouched);
        let before: Vec<Value> =
            STATEMENTS.iter().map(|sql| server.call("run_sql", json!({"sql": sql}))["rows"].clone()).collect();
        drop(server);
        let log = postgres.log();
        postgres.script(&database, HOSTILE);
        let (_home, mut server) = serve(&url, vouched);
        for (sql, rows) in STATEMENTS.iter().zip(&before) {
            // The second run uses what is remembered of the statement.
            for _ in 0..2 {
                let reply = server.call("run_sql", json!({"sql": sql}));
                assert_eq!(&reply["rows"], rows, "{sql}: {reply}");
            }
            let reply = server.call("explain_query", json!({"sql": sql}));
            assert!(reply["error"].is_null(), "{sql}: {reply}");
        }
        // A statement that only their operator could answer stays refused. An error's position is that in the caller's
        // own text.
        for sql in ["SELECT id FROM customers WHERE name = 1", "SELECT sum(name) FROM customers"] {
            let reply = server.call("run_sql", json!({"sql": sql}));
            assert_eq!(reply["error"]["code"], "function_refused", "{sql}: {reply}");
        }
        let reply = server.call("run_sql", json!({"sql": "SELECT id, nme FROM customers WHERE id < 9"}));
        assert_eq!(reply["error"]["position"], 12, "{reply}");
        assert!(!postgres.log().get(log.len()..).unwrap().contains("HOSTILE RAN"));
        // The owner's function can make a type sortable that is not.
        postgres.script(&database, SORTED);
        let reply = server.call("run_sql", json!({"sql": "SELECT DISTINCT to_json(id) FROM customers"}));
        assert_eq!(reply["error"]["code"], "function_refused", "{reply}");
        assert_eq!(server.call("run_sql", json!({"sql": STATEMENTS[0]}))["rows"], before[0]);
    }
}

/// A user's operator in an extension's schema must not make another operator answer instead of the extension's.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_extensions_operators_are_chosen_or_the_statement_is_refused() {
    for postgres in servers() {
        let (database, url) = postgres.database("hostile_extension");
        let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'citext'";
        if postgres.query(&database, available) == "0" {
            continue;
        }
        postgres.script(
            &database,
            "CREATE EXTENSION citext; CREATE TABLE tags (id int, tag citext);
            INSERT INTO tags VALUES (1, 'Red'), (2, 'blue'); CREATE TABLE plain (id int); INSERT INTO plain VALUES (1)",
        );
        postgres.script(&database, HOSTILE);
        let (_home, mut server) = serve(&url, "");
        let plain = server.call("run_sql", json!({"sql": "SELECT count(*) FROM plain WHERE id = 1"}));
        assert_eq!(plain["rows"], json!([[1]]), "{plain}");
        for sql in ["SELECT id FROM tags WHERE tag = 'RED'", "SELECT id FROM tags WHERE 'BLUE' IN (tag)"] {
            let reply = server.call("run_sql", json!({"sql": sql}));
            assert_eq!(reply["error"]["code"], "function_refused", "{sql}: {reply}");
        }
    }
}

const SORTED: &str = "
CREATE FUNCTION json_less(json, json) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION json_order(json, json) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0';
CREATE OPERATOR <<# (LEFTARG = json, RIGHTARG = json, FUNCTION = json_less);
CREATE OPERATOR =# (LEFTARG = json, RIGHTARG = json, FUNCTION = json_less);
CREATE OPERATOR CLASS json_sorted DEFAULT FOR TYPE json USING btree AS
  OPERATOR 1 <<#, OPERATOR 3 =#, FUNCTION 1 json_order(json, json);
";

/// A stopped process behaves like a function that obeys neither a cancel nor its client's end, as some built-ins do
/// with very long arguments.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_backend_that_does_not_end_keeps_its_connection() {
    let postgres = Postgres::with_settings(&[]);
    let (database, url) = postgres.database("stubborn");
    let home = Home::new("other-users");
    let config = home.scratch.path("tudb.toml");
    let text = format!("statement_timeout_ms = 3000\n[sources.main]\nurl = \"{url}\"\nconnect_timeout_ms = 1500\n");
    std::fs::write(&config, text).unwrap();
    let mut server = home.set("TUDB_CONFIG", config.display()).serve();
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
    let slow = json!({"sql": "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"});
    let ids: Vec<u64> = (0..4).map(|_| server.send_call("run_sql", slow.clone())).collect();
    let backends = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series%' AND pid <> pg_backend_pid()";
    let began = Instant::now();
    let pids = loop {
        let pids = postgres.query(&database, backends);
        if pids.lines().count() == 4 {
            break pids;
        }
        assert!(began.elapsed() < Duration::from_secs(3), "{pids}");
    };
    let signal = |name: &str| {
        output_of(Command::new("kill").arg(name).args(pids.lines()));
    };
    signal("-STOP");
    for id in ids {
        assert_eq!(crate::support::content(&server.answer(id))["error"]["code"], "timeout");
    }
    // The limit, half a second that is promised, and half a second for a slow machine.
    let late = began.elapsed().saturating_sub(Duration::from_millis(3_000));
    assert!(late < Duration::from_millis(1_000), "answered {late:?} after the limit");
    for _ in 0..3 {
        let reply = server.call("run_sql", json!({"sql": "SELECT 1"}));
        assert_eq!(reply["error"]["code"], "busy", "{reply}");
        assert_eq!(postgres.query(&database, backends), pids, "no other statement runs");
    }
    signal("-CONT");
    // When the backends have ended, their connections are free again.
    let began = Instant::now();
    while !server.call("run_sql", json!({"sql": "SELECT 1"}))["error"].is_null() {
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    assert_eq!(postgres.query(&database, backends), "");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_message_of_any_length_takes_bounded_memory() {
    let long_error = "SELECT repeat('x', 100000000)::int".to_owned();
    let wide_numbers =
        format!("SELECT {}", (0..600).map(|_| "repeat('9', 131000)::numeric").collect::<Vec<_>>().join(","));
    let doubled = (0..7).fold("SELECT repeat('y', 100000) AS x".to_owned(), |inner, n| {
        format!("SELECT x || x AS x FROM ({inner}) AS q{n}")
    });
    let long_plan = format!("SELECT * FROM ({doubled}) q WHERE x <> random()::text");
    for postgres in servers() {
        let (database, url) = postgres.database("long");
        // Otherwise the server would also write each message into its log.
        postgres.query("postgres", &format!("ALTER DATABASE {database} SET log_min_messages = panic"));
        let (_home, mut server) = serve(&url, "");
        let calls = [("run_sql", &long_error), ("run_sql", &wide_numbers), ("explain_query", &long_plan)];
        for (tool, sql) in calls {
            let reply = server.call(tool, json!({"sql": sql}));
            assert_eq!(reply["error"]["code"], "too_long", "{tool} {}: {reply}", &sql[..40]);
            assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
        }
        let ids: Vec<u64> =
            (0..12).map(|at| calls[at % 3]).map(|(tool, sql)| server.send_call(tool, json!({"sql": sql}))).collect();
        for id in ids {
            let code = crate::support::content(&server.answer(id))["error"]["code"].clone();
            assert!(code == "too_long" || code == "busy" || code == "timeout", "{code}");
        }
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
        let peak = peak_memory_kb(&server.child);
        eprintln!("PostgreSQL {}: peak {} MB", postgres.version, peak / 1024);
        assert!(peak < MAX_MEMORY_KB, "{peak} kB");
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn names_beyond_ascii_are_quoted_where_the_server_folds_otherwise() {
    let postgres = server();
    let database = format!("latin_{}", uuid::Uuid::now_v7().simple());
    postgres.query(
        "postgres",
        &format!("CREATE DATABASE {database} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"),
    );
    postgres.script(&database, "SET client_encoding = 'UTF8'; CREATE TABLE t (\"é\" int); INSERT INTO t VALUES (7)");
    let url = format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", postgres.port);
    let (_home, mut server) = serve(&url, "");
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT \"é\", 'É' FROM t"}))["rows"], json!([[7, "É"]]));
    let reply = server.call("run_sql", json!({"sql": "SELECT É FROM t"}));
    assert_eq!(reply["error"]["code"], "statement_refused", "{reply}");
    assert!(reply["error"]["hint"].as_str().unwrap().contains("double quotes"), "{reply}");
}

/// Objects of a user who owns the database. No statement may run them.
const TRAPS: &str = "
CREATE FUNCTION trap(text) RETURNS text LANGUAGE plpgsql STABLE AS $$BEGIN RAISE LOG 'TRAP SPRUNG'; RETURN $1; END$$;
CREATE FUNCTION sprung(text) RETURNS bool LANGUAGE plpgsql STABLE AS $$BEGIN RAISE LOG 'TRAP SPRUNG'; RETURN true; END$$;
CREATE SCHEMA mal;
CREATE TYPE mal.r AS RANGE (SUBTYPE = int4);
CREATE TABLE pair (a int, b int); INSERT INTO pair VALUES (1, 2);
CREATE CAST (pair AS mal.r) WITH INOUT AS IMPLICIT;
CREATE FUNCTION zz(mal.r) RETURNS text LANGUAGE plpgsql STABLE AS $$BEGIN RAISE LOG 'TRAP SPRUNG'; RETURN 'x'; END$$;
CREATE EXTENSION citext SCHEMA mal;
CREATE FUNCTION mal.evil(text) RETURNS text LANGUAGE sql STABLE AS 'select public.trap($1)';
ALTER FUNCTION mal.evil(text) OWNER TO owner_of_traps;
ALTER EXTENSION citext ADD FUNCTION mal.evil(text);
CREATE FUNCTION okf(int) RETURNS int LANGUAGE sql STABLE AS 'select $1';
CREATE FUNCTION okf(text) RETURNS text LANGUAGE sql STABLE AS 'select public.trap($1)';
ALTER FUNCTION okf(text) OWNER TO owner_of_traps;
CREATE DOMAIN mal.d AS text CHECK (sprung(VALUE));
CREATE FUNCTION mal.ok3(int) RETURNS mal.d[] LANGUAGE sql STABLE AS 'select null::mal.d[]';
CREATE OPERATOR mal.!# (RIGHTARG = text, FUNCTION = pg_catalog.current_setting);
CREATE VIEW telling AS SELECT OPERATOR(mal.!#) 'data_directory' AS d;
CREATE TYPE mal.e AS ENUM ('a');
CREATE FUNCTION mal.to_e(text) RETURNS mal.e LANGUAGE plpgsql STABLE AS $$BEGIN RAISE LOG 'TRAP SPRUNG'; RETURN 'a'; END$$;
CREATE CAST (text AS mal.e) WITH FUNCTION mal.to_e(text) AS IMPLICIT;
CREATE DOMAIN mal.\"select\" AS text CHECK (sprung(VALUE));
CREATE VIEW \"select\" AS SELECT trap('x') AS t;
CREATE FUNCTION \"in\"(int) RETURNS int LANGUAGE sql STABLE AS 'select 1';
CREATE TABLE mal.large (a int);
COMMENT ON COLUMN mal.large.a IS 'x';
";

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn traps_of_a_user_who_owns_the_database_are_not_sprung() {
    for postgres in servers() {
        let (database, url) = postgres.database("traps");
        postgres.script_best_effort("postgres", "CREATE ROLE owner_of_traps; CREATE ROLE reader_of_traps LOGIN;");
        postgres.script(&database, SHOP);
        postgres.script(&database, TRAPS);
        postgres.script(
            &database,
            "SELECT format('COMMENT ON TABLE mal.large IS %L', repeat('x', 18000000)) \\gexec
             GRANT USAGE ON SCHEMA mal TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA public, mal TO PUBLIC;",
        );
        let url = url.replace("postgres@", "reader_of_traps@");
        // A search path that would end the transaction if it were part of a statement, and an empty one.
        for path in ["public;COMMIT;SELECT/**/pg_notify($$a$$,$$b$$);--", "\"\"", "public"] {
            let set = format!(
                "SELECT set_config('search_path', '{path}', false); ALTER DATABASE {database} SET search_path FROM CURRENT"
            );
            postgres.script(&database, &set);
            let (_home, mut server) = serve(&url, "");
            for _ in 0..2 {
                let reply = server.call("run_sql", json!({"sql": "SELECT count(*) FROM public.orders"}));
                assert_eq!(reply["rows"], json!([[3]]), "{path}: {reply}");
            }
            let reply = server.call("run_sql", json!({"sql": "SHOW transaction_read_only"}));
            assert_eq!(reply["rows"], json!([["on"]]), "{path}: {reply}");
            assert!(server.call("explain_query", json!({"sql": "SELECT 1"}))["error"].is_null(), "{path}");
        }
        let home = Home::new("other-users");
        let config = home.scratch.path("tudb.toml");
        let text = format!("[sources.main]\nurl = \"{url}\"\nallow_functions = [\"public.okf\", \"mal.ok3\"]\n");
        std::fs::write(&config, text).unwrap();
        let mut server = home.set("TUDB_CONFIG", config.display()).serve();
        let mut run = |sql: &str| server.call("run_sql", json!({"sql": sql}));
        for sql in [
            "SELECT p.zz FROM pair p",
            "SELECT mal.evil('a')",
            "SELECT okf(name) FROM customers",
            "SELECT coalesce(mal.ok3(1), '{1,2}')",
            "SELECT pg_input_is_valid('x', '/**/mal.D')",
            "SELECT * FROM telling",
            "SELECT * FROM \"select\"",
        ] {
            let reply = run(sql);
            assert!(
                matches!(reply["error"]["code"].as_str(), Some("function_refused" | "relation_refused" | "sql_error")),
                "{sql}: {reply}"
            );
        }
        for sql in [
            "SELECT count(*) FROM customers WHERE name IN ('Ann') AND id IN (1, 2)",
            "SELECT p.a, p.b FROM pair p",
            "SELECT name FROM customers WHERE name = 'Ann'",
        ] {
            let reply = run(sql);
            assert!(reply["error"].is_null(), "{sql}: {reply}");
        }
        assert!(!postgres.log().contains("TRAP SPRUNG"));
        // Neither a lock on a partitioned table nor a long comment delays a list.
        let mut holder = postgres
            .psql(&database)
            .args(["-c", "BEGIN; LOCK TABLE days IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60)"])
            .spawn()
            .unwrap();
        let locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'days'::regclass";
        while postgres.query(&database, locked) == "0" {
            std::thread::sleep(Duration::from_millis(20));
        }
        let reply = server.call("list_tables", json!({}));
        assert!(reply["tables"].as_array().is_some_and(|tables| tables.len() > 4), "{reply}");
        holder.kill().unwrap();
        holder.wait().unwrap();
        // A schema renamed to another's name is noticed, although the path's text is the same.
        postgres.script(
            &database,
            "CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE VIEW s1.v AS SELECT 1 AS n; CREATE VIEW s2.v AS SELECT length(public.trap('x')) AS n;
             GRANT USAGE ON SCHEMA s1, s2 TO PUBLIC; GRANT SELECT ON s1.v, s2.v TO PUBLIC;",
        );
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT n FROM s1.v"}))["rows"], json!([[1]]));
        postgres.script(&database, "ALTER SCHEMA s1 RENAME TO s0; ALTER SCHEMA s2 RENAME TO s1");
        std::thread::sleep(Duration::from_millis(5_500));
        let reply = server.call("run_sql", json!({"sql": "SELECT n FROM s1.v"}));
        assert_eq!(reply["error"]["code"], "function_refused", "{reply}");
    }
}

/// Code that the server runs while it plans or reads an initial value, and harmless code that replaces a built-in.
const PLANNED: &str = "
CREATE SCHEMA mal;
CREATE FUNCTION mal.trap(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RAISE LOG 'PLANNED TRAP'; RETURN 1; END$$;
CREATE DOMAIN mal.d AS int CHECK (mal.trap(VALUE) = 1);
CREATE AGGREGATE public.count(int) (SFUNC = trim_array, STYPE = mal.d[], INITCOND = '{1,2,3}', FINALFUNC = cardinality);
CREATE AGGREGATE mal.ag(int) (SFUNC = trim_array, STYPE = mal.d[], INITCOND = '{1,2,3}', FINALFUNC = cardinality);
CREATE VIEW states AS SELECT mal.ag(id) AS n FROM customers;
CREATE TABLE mal.parent (a int);
CREATE TABLE mal.child (CHECK (mal.trap(1) = 2 OR a > 0)) INHERITS (mal.parent);
CREATE VIEW checked AS SELECT a FROM mal.parent;
CREATE TABLE mal.keyed (a int) PARTITION BY RANGE ((a + mal.trap(1)));
CREATE TABLE mal.plain (a int) PARTITION BY RANGE (a);
CREATE TABLE mal.nested PARTITION OF mal.plain FOR VALUES FROM (1) TO (9) PARTITION BY RANGE ((a + mal.trap(1)));
CREATE TABLE pair (a int, b int);
CREATE TABLE other (zz int);
CREATE CAST (pair AS text) WITH INOUT AS IMPLICIT;
CREATE FUNCTION zz(text) RETURNS int LANGUAGE plpgsql STABLE AS $$BEGIN RAISE LOG 'PLANNED TRAP'; RETURN 1; END$$;
CREATE OPERATOR public.* (LEFTARG = numeric, RIGHTARG = int4, FUNCTION = round);
CREATE OPERATOR public.|| (LEFTARG = text, RIGHTARG = int4, FUNCTION = repeat);
CREATE FUNCTION public.upper(varchar) RETURNS text LANGUAGE internal IMMUTABLE STRICT AS 'lower';
";

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn nothing_that_is_planned_or_that_looks_alike_answers_for_the_built_in() {
    for postgres in servers() {
        let (database, url) = postgres.database("planned");
        postgres.script(&database, SHOP);
        // The statements of the script itself run some of the traps.
        postgres.script(&database, PLANNED);
        let sprung = postgres.log().matches("PLANNED TRAP").count();
        let (_home, mut server) = serve(&url, "");
        for (sql, rows) in [
            ("SELECT count(id) FROM customers", json!([[2]])),
            (
                "SELECT upper(email), total * 2 FROM customers c JOIN orders o ON o.id = c.id ORDER BY 1",
                json!([["ANN@EXAMPLE.ORG", "21.00"], ["BOB@EXAMPLE.ORG", "10.00"]]),
            ),
            ("SELECT name || id FROM customers ORDER BY 1", json!([["Ann1"], ["Bob2"]])),
            ("SELECT a FROM checked WHERE a > 1", json!([])),
        ] {
            let reply = server.call("run_sql", json!({"sql": sql}));
            assert_eq!(reply["rows"], rows, "{sql}: {reply}");
            assert!(server.call("explain_query", json!({"sql": sql}))["error"].is_null(), "{sql}");
        }
        for sql in [
            "SELECT mal.ag(1)",
            "SELECT * FROM states",
            "SELECT a FROM mal.keyed",
            "SELECT a FROM mal.plain WHERE a > 1",
            "SELECT a FROM mal.nested",
            "SELECT mal.d(id) FROM customers",
        ] {
            let reply = server.call("run_sql", json!({"sql": sql}));
            assert_eq!(reply["error"]["code"], "function_refused", "{sql}: {reply}");
        }
        // The function is found by no name: the schemas of users are left out, so the server sees no such column.
        let dotted = server.call("run_sql", json!({"sql": "SELECT p.zz, o.zz FROM pair p, other o"}));
        assert_eq!(dotted["error"]["code"], "sql_error", "{dotted}");
        // Dropping a column changes the meaning of a dotted name.
        postgres
            .script(&database, "CREATE TABLE late (a int, zz text); CREATE CAST (late AS text) WITH INOUT AS IMPLICIT");
        std::thread::sleep(Duration::from_millis(5_500));
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT l.zz FROM late l"}))["rows"], json!([]));
        postgres.script(&database, "ALTER TABLE late DROP COLUMN zz");
        std::thread::sleep(Duration::from_millis(5_500));
        let reply = server.call("run_sql", json!({"sql": "SELECT l.zz FROM late l"}));
        assert_eq!(reply["error"]["code"], "sql_error", "{reply}");
        assert_eq!(postgres.log().matches("PLANNED TRAP").count(), sprung);
    }
}

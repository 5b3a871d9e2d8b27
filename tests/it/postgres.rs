//! The five tools against real PostgreSQL, two major versions.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tudb::dialect::Dialect;

use crate::support::postgres::{Postgres, server, servers};
use crate::support::relay::Relay;
use crate::support::{Home, content};

fn dealership(server: &Postgres) -> (String, String) {
    let (database, url) = server.database("car_dealership");
    server.script(&database, include_str!("../nl2sql/car_dealership.pg.sql"));
    server.query(&database, "ANALYZE");
    (database, url)
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_five_tools_on_the_car_dealership() {
    for postgres in servers() {
        let (database, url) = dealership(postgres);
        let home = Home::new("dealership").set("TUDB_DATABASE_URL", url);
        let mut server = home.serve();

        let tables = server.call("list_tables", json!({}));
        assert_eq!((&tables["dialect"], &tables["total"]), (&json!("postgresql"), &json!(7)));
        assert_eq!(tables["tables"][0]["name"], "public.cars");
        assert!(tables["tables"][0]["rows"].as_i64().unwrap() > 0);
        let page = server.call("list_tables", json!({"limit": 4}));
        let rest = server.call("list_tables", json!({"cursor": page["next_cursor"]}));
        assert_eq!(rest["tables"].as_array().unwrap().len(), 3);
        let found = server.call("list_tables", json!({"search": "vin"}));
        assert_eq!(found["tables"][0]["matched"], json!(["column vin_number"]));

        let sales = server.call("describe_table", json!({"table": "sales"}));
        assert_eq!(sales["name"], "public.sales");
        assert_eq!(sales["primary_key"], json!(["id"]));
        assert_eq!(sales["foreign_keys"].as_array().unwrap().len(), 3);
        assert_eq!(sales["referenced_by"][0]["table"], "public.payments_received");
        let missing = server.call("describe_table", json!({"table": "sale"}));
        assert_eq!(missing["error"]["code"], "unknown_table");
        assert!(missing["error"]["hint"].as_str().unwrap().contains("public.sales"));

        let sql = "SELECT make, count(*) AS n FROM cars GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3";
        let reply = server.call("run_sql", json!({"sql": sql}));
        let expected = postgres.query(&database, sql);
        let rows: Vec<String> = reply["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| format!("{}|{}", row[0].as_str().unwrap(), row[1]))
            .collect();
        assert_eq!(rows.join("\n"), expected);

        let plan = server.call("explain_query", json!({"sql": "SELECT * FROM cars WHERE cost > 30000"}));
        assert!(plan["summary"][0].as_str().unwrap().starts_with("Sequential scan of public.cars"), "{plan}");
        assert!(plan["actual_rows"].is_null());
        let plan = server.call("explain_query", json!({"sql": "SELECT * FROM cars", "analyze": true}));
        assert!(plan["actual_rows"].as_f64().unwrap() > 0.0, "{plan}");

        let reply = server.call("ask_database", json!({"question": "How many cars are there per make?"}));
        assert_eq!(reply["status"], "success", "{reply}");
        let expected = postgres.query(&database, "SELECT count(DISTINCT make) FROM cars");
        assert_eq!(reply["row_count"].to_string(), expected);
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_statement_is_marked_limited_and_cancelled_on_the_server() {
    let postgres = server();
    let (database, url) = postgres.database("cancel");
    let home = Home::new("pg-cancel").set("TUDB_DATABASE_URL", url).set("TUDB_STATEMENT_TIMEOUT_MS", 20_000);
    let mut server = home.serve();
    server.call("run_sql", json!({"sql": "SELECT 1"}));
    let slow = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b";
    let running = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND state = 'active' AND query LIKE '%generate_series%'"
    );
    let wait_for = |count: &str| {
        let began = Instant::now();
        while postgres.query("postgres", &running) != count {
            assert!(began.elapsed() < Duration::from_secs(10), "waiting for {count}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let id = server.send_call("run_sql", json!({"sql": slow}));
    wait_for("1");
    let marked = postgres.query(
        "postgres",
        &format!("SELECT application_name FROM pg_stat_activity WHERE datname = '{database}' AND state = 'active' AND query LIKE '%generate_series%'"),
    );
    assert!(marked.starts_with("tudb/"), "{marked}");
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 2"}))["rows"], json!([[2]]));
    server.notify("notifications/cancelled", json!({"requestId": id}));
    // Long before the statement's own limit. The benchmark measures the exact time.
    wait_for("0");
    let settings =
        server.call("run_sql", json!({"sql": "SELECT name, setting FROM (VALUES ('x', 1)) v(name, setting)"}));
    assert_eq!(settings["row_count"], 1);

    server.send_call("run_sql", json!({"sql": slow}));
    wait_for("1");
    let stderr = std::sync::Arc::clone(&server.stderr);
    assert!(server.finish().success());
    wait_for("0");
    let records = home.records();
    let call = marked.split(' ').nth(1).unwrap();
    assert!(records.iter().any(|record| record["id"] == call), "the mark names the record");
    assert_eq!(
        records.iter().filter(|record| record["outcome"] == "cancelled").count(),
        2,
        "{records:#?} {}",
        stderr.lock().unwrap()
    );
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_timeout_ends_on_the_server_and_the_next_call_works() {
    let (_, url) = server().database("timeout");
    // The limit holds for the next call too, which a busy machine needs a second for.
    let home = Home::new("pg-timeout").set("TUDB_DATABASE_URL", url).set("TUDB_STATEMENT_TIMEOUT_MS", 3_000);
    let mut server = home.serve();
    let slow = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b";
    let reply = server.call("run_sql", json!({"sql": slow}));
    assert_eq!(reply["error"]["code"], "timeout", "{reply}");
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 2"}))["rows"], json!([[2]]));
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_changed_table_is_seen_although_its_shape_was_remembered() {
    let postgres = server();
    let (database, url) = postgres.database("shape");
    postgres.query(&database, "CREATE TABLE t AS SELECT 1 AS a, 'x'::text AS b");
    let home = Home::new("shape").set("TUDB_DATABASE_URL", url);
    let mut server = home.serve();
    let read = json!({"sql": "SELECT * FROM t"});
    assert_eq!(server.call("run_sql", read.clone())["rows"], json!([[1, "x"]]));
    postgres.query(&database, "ALTER TABLE t ALTER a TYPE text, DROP b, ADD c int DEFAULT 5");
    // Until the next check of the catalog, the old shape may still be used. A value must never have the wrong type, and
    // the new shape must appear soon.
    let began = Instant::now();
    loop {
        let reply = server.call("run_sql", read.clone());
        if reply["rows"] == json!([["1", 5]]) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{reply}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_connection_survives_what_the_server_does() {
    let postgres = server();
    let (database, url) = postgres.database("kill");
    let home = Home::new("kill").set("TUDB_DATABASE_URL", url);
    let mut server = home.serve();
    for _ in 0..3 {
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
        postgres.query(
            "postgres",
            &format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{database}'"),
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn nothing_is_written_and_nothing_outlives_a_call() {
    let postgres = server();
    let (database, url) = dealership(postgres);
    postgres.script(
        &database,
        "CREATE FUNCTION upper(int) RETURNS text LANGUAGE sql AS 'SELECT pg_read_file(''/etc/hostname'')';
         CREATE FUNCTION peek(cars) RETURNS text LANGUAGE sql AS 'SELECT pg_read_file(''/etc/hostname'')';
         CREATE FUNCTION at4(int, int) RETURNS text LANGUAGE sql AS 'SELECT pg_read_file(''/etc/hostname'')';
         CREATE OPERATOR @@@@ (leftarg = int, rightarg = int, function = at4);",
    );
    postgres.query(&database, &format!("ALTER DATABASE {database} SET standard_conforming_strings = off"));
    let home = Home::new("pg-refused").set("TUDB_DATABASE_URL", url);
    let mut server = home.serve();
    for (sql, code) in [
        ("DELETE FROM cars", "write_refused"),
        ("WITH x AS (DELETE FROM cars RETURNING *) SELECT * FROM x", "write_refused"),
        ("COMMIT; DELETE FROM cars", "multiple_statements"),
        ("SELECT * INTO copy FROM cars", "write_refused"),
        ("SELECT set_config('default_transaction_read_only', 'off', false)", "function_refused"),
        ("SELECT pg_advisory_lock(1)", "function_refused"),
        ("SELECT lo_create(1)", "function_refused"),
        ("SELECT query_to_xml('DELETE FROM cars', true, true, '')", "function_refused"),
        ("SELECT * FROM pg_authid", "relation_refused"),
        // An operator followed by a comment, a continued escape string, a dot that calls a function, a user's own
        // names.
        ("SELECT 'a' ||/*' */ pg_read_file($$/etc/hostname$$) --'", "function_refused"),
        ("SELECT E'a'\n'\\' , ' , pg_read_file($$/etc/hostname$$) --'", "function_refused"),
        ("SELECT s.pg_read_file FROM unnest(ARRAY['/etc/hostname']) s", "function_refused"),
        ("SELECT upper(5)", "function_refused"),
        ("SELECT c.peek FROM cars c", "function_refused"),
        ("SELECT 1 @@@@ 2", "function_refused"),
        ("SELECT * FROM information_schema.user_mapping_options", "relation_refused"),
        ("EXPLAIN ANALYZE SELECT 1", "statement_refused"),
        ("SET transaction_read_only = off", "statement_refused"),
    ] {
        let reply = server.call("run_sql", json!({"sql": sql}));
        assert_eq!(reply["error"]["code"], code, "{sql}: {reply}");
    }
    // With the database's own setting, this would be one string and a call. Here it is two strings.
    let reply = server.call("run_sql", json!({"sql": "SELECT '\\' , ', pg_read_file($$/etc/hostname$$) --'"}));
    assert_eq!(reply["rows"], json!([["\\", ", pg_read_file($$/etc/hostname$$) --"]]));
    assert_eq!(postgres.query(&database, "SELECT count(*) FROM cars"), "21");
    server.finish();
    let refused = home.records().iter().filter(|record| record["decision"] == "refused").count();
    assert_eq!(refused, 18);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn replies_stay_small_whatever_a_statement_says() {
    let (_, url) = server().database("small");
    let home = Home::new("small").set("TUDB_DATABASE_URL", url);
    let mut server = home.serve();
    for sql in [
        "EXPLAIN SELECT repeat('x', 3000000)",
        "SELECT (repeat('x', 3000000) || 'y')::int",
        "SELECT repeat('x', 3000000)",
        "SELECT repeat('x', 1900) FROM generate_series(1, 1000)",
    ] {
        let id = server.send_call("run_sql", json!({"sql": sql, "max_rows": 1000}));
        let answer = server.answer(id);
        let bytes = answer["result"]["content"][0]["text"].as_str().unwrap().len();
        assert!(bytes <= 40_000, "{sql}: {bytes}");
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_sample_loads_into_postgresql_and_answers_the_same() {
    for postgres in servers() {
        let (database, url) = postgres.database("shop");
        let home = Home::new("seed");
        assert_eq!(home.say(&["migrate", &url, "--yes"]).trim(), "the schema is there");
        assert_eq!(home.say(&["seed", &url, "--yes"]).trim(), "the data is loaded");
        assert_eq!(home.say(&["seed", &url, "--yes"]).trim(), "the data was there already; nothing changed");
        assert_eq!(home.say(&["migrate", &url, "--yes"]).trim(), "the schema was there already; nothing changed");
        assert_eq!(postgres.query(&database, "SELECT count(*) FROM orders"), "3001");
        let question = "Show me the top 5 products by revenue last month";
        let embedded: Value = serde_json::from_str(&home.say(&["ask", question, "--json"])).unwrap();
        let remote = Home::new("seeded").set("TUDB_DATABASE_URL", &url);
        let loaded: Value = serde_json::from_str(&remote.say(&["ask", question, "--json"])).unwrap();
        assert_eq!(loaded["status"], "success", "{loaded}");
        let names = |reply: &Value| -> Vec<Value> {
            reply["rows"].as_array().unwrap().iter().map(|row| row[0].clone()).collect()
        };
        assert_eq!(names(&embedded), names(&loaded));
        let table: Value =
            serde_json::from_str(&remote.say(&["ask", "How many orders per status?", "--json"])).unwrap();
        assert_eq!(table["row_count"], 6, "{table}");
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_select_only_role_sees_keys_and_values() {
    let postgres = server();
    let (database, url) = postgres.database("role");
    postgres.script(
        &database,
        "CREATE TYPE mood AS ENUM ('sad', 'happy');
         CREATE TABLE parent (id int PRIMARY KEY, name text NOT NULL UNIQUE);
         CREATE TABLE child (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent_id int NOT NULL REFERENCES parent,
           state text NOT NULL CHECK (state IN ('new', 'paid')), feeling mood, twice int GENERATED ALWAYS AS (2 * 3) STORED);
         COMMENT ON TABLE child IS 'what a parent has'; COMMENT ON COLUMN child.state IS 'where it stands';
         CREATE TABLE hidden (id int); CREATE VIEW seen AS SELECT id FROM child;
         CREATE TABLE parts (day date) PARTITION BY RANGE (day);
         CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
         DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN; GRANT SELECT ON parent, child, seen, parts TO reader;",
    );
    let url = url.replace("postgres@", "reader@");
    let home = Home::new("role").set("TUDB_DATABASE_URL", url);
    let mut server = home.serve();
    let tables = server.call("list_tables", json!({}));
    let names: Vec<&str> =
        tables["tables"].as_array().unwrap().iter().map(|table| table["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["public.child", "public.parent", "public.parts", "public.seen"]);
    let child = server.call("describe_table", json!({"table": "public.child"}));
    assert_eq!(child["comment"], "what a parent has");
    assert_eq!(child["foreign_keys"][0]["references"], "public.parent");
    assert_eq!(child["columns"][0]["identity"], "always");
    assert_eq!(child["columns"][2]["values"], json!(["new", "paid"]));
    assert_eq!(child["columns"][2]["comment"], "where it stands");
    assert_eq!(child["columns"][3]["values"], json!(["sad", "happy"]));
    assert_eq!(child["columns"][3]["type"], "public.mood");
    assert!(child["columns"][4]["generated"].is_string());
    assert_eq!(server.call("describe_table", json!({"table": "parent"}))["unique"], json!([["name"]]));
    assert_eq!(server.call("describe_table", json!({"table": "parent"}))["referenced_by"][0]["table"], "public.child");
    let parts = server.call("describe_table", json!({"table": "parts"}));
    assert_eq!((&parts["partition_key"], &parts["partitions"]), (&json!("RANGE (day)"), &json!(1)));
    assert!(server.call("describe_table", json!({"table": "seen"}))["definition"].as_str().unwrap().contains("SELECT"));
    assert_eq!(server.call("describe_table", json!({"table": "hidden"}))["error"]["code"], "unknown_table");
}

/// Quotes exactly the keywords that PostgreSQL's own `quote_ident` quotes.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn keywords_are_quoted_as_the_server_quotes_them() {
    let mut quoted_by_one = BTreeSet::new();
    let mut words = BTreeSet::new();
    for postgres in servers() {
        let rows = postgres.query("postgres", "SELECT word, quote_ident(word), catcode FROM pg_get_keywords()");
        for row in rows.lines() {
            let cells: Vec<&str> = row.split('|').collect();
            words.insert(cells[0].to_owned());
            if cells[1].starts_with('"') {
                quoted_by_one.insert(cells[0].to_owned());
            }
            // A word that is reserved in every version must be reserved in this one.
            if tudb::quoting::is_reserved(Dialect::Postgresql, cells[0]) {
                assert!(matches!(cells[2], "R" | "T"), "{row}");
            }
            assert_eq!(tudb::quoting::names_function_or_type(cells[0]), cells[2] == "T", "{row}");
        }
    }
    assert!(words.len() > 450);
    for word in words {
        let is_quoted = tudb::quoting::name(Dialect::Postgresql, &word) != word;
        assert_eq!(is_quoted, quoted_by_one.contains(&word), "{word}");
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_warm_statement_opens_its_transaction_with_a_short_message() {
    let postgres = server();
    let (database, url) = postgres.database("short_opening");
    postgres.query("postgres", &format!("ALTER DATABASE {database} SET log_statement = 'all'"));
    let home = Home::new("pg-short-opening").set("TUDB_DATABASE_URL", url);
    let mut server = home.serve();
    let settings = "SELECT current_setting('transaction_read_only'), current_setting('TimeZone'),
        current_setting('lock_timeout'), current_setting('search_path')";
    let first = server.call("run_sql", json!({"sql": settings}));
    assert_eq!(first["rows"][0][0], "on", "{first}");
    assert!(postgres.log().contains("SET jit=off;"), "{}", postgres.log());
    // On a slow machine more than a second may pass between two calls, and each then needs the whole message.
    let is_short =
        |line: &&str| line.contains("READ ONLY,NOT DEFERRABLE;") && line.contains("SET LOCAL search_path = ");
    let short = || postgres.log().lines().filter(is_short).map(str::to_owned).collect::<Vec<_>>();
    for _ in 0..500 {
        let again = server.call("run_sql", json!({"sql": settings}));
        assert_eq!(again["rows"], first["rows"], "{again}");
        if short().len() > 2 {
            break;
        }
    }
    let short = short();
    assert!(short.len() > 2, "{}", postgres.log());
    for line in short {
        for set in ["statement_timeout=", "application_name='tudb/"] {
            assert!(line.contains(set), "{line}");
        }
    }
}

/// A call that waits for a connection sends the rollback of the call before in the message that opens its own transaction.
/// Where the waiting call was cancelled, the transaction ends too.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_waiting_call_rolls_the_one_before_back() {
    for postgres in servers() {
        let (database, url) = postgres.database("left_open");
        postgres.query("postgres", &format!("ALTER DATABASE {database} SET log_statement = 'all'"));
        let home = Home::new("pg-left-open").set("TUDB_DATABASE_URL", url);
        let mut server = home.serve();
        let mut expected = Vec::new();
        let has_rolled_back = || postgres.log().contains("ROLLBACK;BEGIN");
        // On a slow machine the short opening message may be too old each time, and then nothing is left to a waiting call.
        for round in 0..50 {
            for number in 0..40 {
                let sql = if number % 7 == 6 { "SELECT 1/0".to_owned() } else { "SELECT 41 + 1".to_owned() };
                let id = server.send_call("run_sql", json!({"sql": sql}));
                if number % 5 == 4 {
                    server.notify("notifications/cancelled", json!({"requestId": id}));
                } else {
                    expected.push((id, number % 7 == 6));
                }
            }
            for (id, is_error) in expected.drain(..) {
                let reply = content(&server.answer(id));
                if is_error {
                    assert_eq!(reply["error"]["code"], "sql_error", "{reply}");
                } else {
                    assert_eq!(reply["rows"], json!([[42]]), "{reply}");
                }
            }
            if round > 1 && has_rolled_back() {
                break;
            }
        }
        assert!(has_rolled_back(), "{}", postgres.log());
        let open = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND application_name LIKE 'tudb%' AND xact_start IS NOT NULL"
        );
        let began = Instant::now();
        while postgres.query("postgres", &open) != "0" {
            assert!(began.elapsed() < Duration::from_secs(10), "a transaction stays open");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Calls at once get all connections of the source, although a connection takes longer to open than many calls take.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn many_calls_at_once_use_every_connection() {
    let postgres = server();
    let (database, _) = postgres.database("every_connection");
    let relay = Relay::to(postgres.port);
    let url = format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", relay.port);
    let home = Home::new("pg-every").set("TUDB_DATABASE_URL", url);
    let mut server = home.serve();
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
    relay.delay(Duration::from_secs(1));
    let count = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND query NOT LIKE '%backend_start%'
           AND application_name LIKE 'tudb%'"
    );
    let began = Instant::now();
    while postgres.query("postgres", &count) != "4" {
        assert!(began.elapsed() < Duration::from_secs(20), "{} connections", postgres.query("postgres", &count));
        let ids: Vec<_> = (0..50).map(|_| server.send_call("run_sql", json!({"sql": "SELECT 1"}))).collect();
        for id in ids {
            let reply = content(&server.answer(id));
            assert_eq!(reply["rows"], json!([[1]]), "{reply}");
        }
    }
}

/// A cancel that meets the opening message of a call, which has no text of the caller, costs the call nothing but time.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_cancel_of_the_opening_message_is_not_the_callers_error() {
    let postgres = server();
    let (database, url) = postgres.database("cancelled_opening");
    let home = Home::new("pg-cancelled-opening").set("TUDB_DATABASE_URL", url);
    let mut server = home.serve();
    server.call("run_sql", json!({"sql": "SELECT 41 + 1"}));
    let hit = "cancel of an opening message";
    let cancels = format!(
        "DO $$ DECLARE hits int; BEGIN FOR i IN 1..4000 LOOP
            SELECT count(pg_cancel_backend(pid)) INTO hits FROM pg_stat_activity
            WHERE datname = '{database}' AND state = 'active' AND query LIKE '%BEGIN ISOLATION%';
            IF hits > 0 THEN RAISE LOG '{hit}'; PERFORM pg_sleep(0.01); END IF;
            PERFORM pg_stat_clear_snapshot();
        END LOOP; END $$"
    );
    let mut canceller = postgres.psql("postgres").args(["-c", &cancels]).spawn().unwrap();
    while canceller.try_wait().unwrap().is_none() {
        let ids: Vec<u64> = (0..50).map(|_| server.send_call("run_sql", json!({"sql": "SELECT 41 + 1"}))).collect();
        for id in ids {
            let reply = content(&server.answer(id));
            // The cancel may arrive when the statement itself runs.
            assert!(reply["rows"] == json!([[42]]) || reply["error"]["code"] == "timeout", "{reply}");
        }
    }
    assert!(postgres.log().contains(hit), "no opening message was cancelled");
}

/// A limit that a vouched function set for the rest of its call does not end the next call.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_limit_of_one_call_does_not_end_the_next() {
    for postgres in servers() {
        let (database, url) = postgres.database("hasty");
        let is_new = postgres.query("postgres", "SELECT current_setting('server_version_num')::int >= 170000") == "t";
        let limit = if is_new { "'transaction_timeout', '3'" } else { "'statement_timeout', '1'" };
        let hasty = format!(
            "CREATE FUNCTION hasty() RETURNS text LANGUAGE sql STABLE AS $$ SELECT set_config({limit}, false) $$"
        );
        postgres.script(&database, &hasty);
        let home = Home::new("pg-hasty");
        let config = home.scratch.path("tudb.toml");
        std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\nallow_functions = [\"public.hasty\"]\n"))
            .unwrap();
        let mut server = home.set("TUDB_CONFIG", config.display()).serve();
        let mut hurt = 0;
        for _ in 0..40 {
            let sent: Vec<(bool, u64)> = (0..48)
                .map(|number| {
                    let is_hasty = number % 3 == 0;
                    let sql = if is_hasty { "SELECT public.hasty()" } else { "SELECT 41 + 1" };
                    (is_hasty, server.send_call("run_sql", json!({"sql": sql})))
                })
                .collect();
            for (is_hasty, id) in sent {
                let reply = content(&server.answer(id));
                if is_hasty {
                    hurt += usize::from(!reply["error"].is_null());
                } else {
                    assert_eq!(reply["rows"], json!([[42]]), "{reply}");
                }
            }
        }
        assert!(hurt < 40 * 16, "the function never ran");
    }
}

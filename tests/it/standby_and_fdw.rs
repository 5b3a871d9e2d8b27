//! Data on more than one server: a streaming standby, and foreign tables.

use serde_json::{Value, json};

use crate::support::postgres::{Postgres, server, servers};
use crate::support::{Home, Server, content};

fn serve(url: &str) -> (Home, Server) {
    let home = Home::new("spread").set("TUDB_DATABASE_URL", url);
    let server = home.serve();
    (home, server)
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn all_tools_work_on_a_standby_and_a_conflict_is_tried_again() {
    let primary = Postgres::with_settings(&[]);
    // A standby that never delays replay, so that a vacuum on the primary ends reads on it.
    let standby = primary.standby(&[("max_standby_streaming_delay", "0"), ("hot_standby_feedback", "off")]);
    primary.query("postgres", "CREATE DATABASE shop");
    primary.script("shop", include_str!("../nl2sql/car_dealership.pg.sql"));
    primary.script("shop", "CREATE TABLE busy AS SELECT i FROM generate_series(1, 100) i; VACUUM ANALYZE;");
    primary.wait_for(&standby);
    let (home, mut server) = serve(&format!("postgres://postgres@127.0.0.1:{}/shop?sslmode=disable", standby.port));
    assert_eq!(server.call("list_tables", json!({}))["total"], 8);
    assert_eq!(server.call("describe_table", json!({"table": "sales"}))["primary_key"], json!(["id"]));
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT count(*) FROM busy"}))["rows"], json!([[100]]));
    let plan = server.call("explain_query", json!({"sql": "SELECT * FROM cars", "analyze": true}));
    assert!(plan["actual_rows"].as_f64().unwrap() > 0.0, "{plan}");
    let answer = server.call("ask_database", json!({"question": "How many cars are there per make?"}));
    assert_eq!(answer["status"], "success", "{answer}");
    let said = home.say(&["doctor"]);
    assert!(said.contains("a standby"), "{said}");

    // The statement's snapshot sees the rows that are removed on the primary.
    let slow = "SELECT (SELECT count(*) FROM busy) AS n, (SELECT count(*) FROM generate_series(1, 40000000)) AS slow";
    let id = server.send_call("run_sql", json!({"sql": slow}));
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%40000000%' AND pid <> pg_backend_pid()";
    while standby.query("postgres", running) == "0" {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    primary.query("shop", "DELETE FROM busy WHERE i > 60");
    primary.query("shop", "VACUUM busy");
    let reply = content(&server.answer(id));
    assert_eq!(reply["rows"], json!([[60, 40_000_000]]), "{reply}");
    let conflicts = standby.log().lines().filter(|line| line.contains("conflict with recovery")).count();
    assert!(conflicts >= 1, "the statement met a conflict");
    let records = home.records();
    let once: Vec<&Value> = records.iter().filter(|record| record["sql"] == slow).collect();
    assert_eq!((once.len(), &once[0]["outcome"]), (1, &json!("ok")));
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn tables_of_other_servers_are_shown_as_such_and_may_be_refused() {
    for postgres in servers() {
        let (remote, _) = postgres.database("remote");
        postgres
            .script(&remote, "CREATE TABLE orders (id int, day date); INSERT INTO orders VALUES (1, '2026-01-05');");
        let (database, url) = postgres.database("spread");
        postgres.script(
            &database,
            &format!(
                "CREATE EXTENSION postgres_fdw;
                 CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw
                   OPTIONS (host '127.0.0.1', port '{}', dbname '{remote}');
                 CREATE USER MAPPING FOR postgres SERVER elsewhere OPTIONS (user 'postgres', password 'f0reign-word');
                 CREATE FOREIGN TABLE far (id int, day date) SERVER elsewhere OPTIONS (table_name 'orders');
                 CREATE TABLE orders (id int, day date) PARTITION BY RANGE (day);
                 CREATE FOREIGN TABLE orders_1 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')
                   SERVER elsewhere OPTIONS (table_name 'orders');
                 CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
                 INSERT INTO orders VALUES (2, '2026-02-05');
                 CREATE TABLE base (id int); CREATE FOREIGN TABLE heir () INHERITS (base) SERVER elsewhere OPTIONS (table_name 'orders');
                 CREATE TABLE ruled (id int); ALTER TABLE ruled ENABLE ROW LEVEL SECURITY;
                 CREATE VIEW behind AS SELECT id FROM far;
                 CREATE POLICY p ON ruled USING (EXISTS (SELECT 1 FROM behind b WHERE b.id = ruled.id));
                 CREATE TABLE later (id int) PARTITION BY LIST (id); CREATE TABLE later_1 PARTITION OF later FOR VALUES IN (1);
                 CREATE VIEW seen AS SELECT id FROM far; CREATE TABLE near AS SELECT 7 AS id;",
                postgres.port
            ),
        );
        let (home, mut server) = serve(&url);
        let tables = server.call("list_tables", json!({}));
        let foreign: Vec<(&str, &str)> = tables["tables"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|table| table["foreign"] == true)
            .map(|table| (table["name"].as_str().unwrap(), table["kind"].as_str().unwrap()))
            .collect();
        assert_eq!(
            foreign,
            [
                ("public.base", "table"),
                ("public.far", "foreign_table"),
                ("public.heir", "foreign_table"),
                ("public.orders", "partitioned_table")
            ]
        );
        let orders = server.call("describe_table", json!({"table": "orders"}));
        assert_eq!((&orders["foreign"], &orders["partitions"]), (&json!(true), &json!(2)));
        let far = server.call("describe_table", json!({"table": "far"}));
        assert_eq!((&far["foreign"], &far["kind"]), (&json!(true), &json!("foreign_table")));
        assert!(server.call("describe_table", json!({"table": "near"})).get("foreign").is_none());
        assert_eq!(
            server.call("run_sql", json!({"sql": "SELECT id FROM orders ORDER BY 1"}))["rows"],
            json!([[1], [2]])
        );
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT id FROM seen"}))["rows"], json!([[1]]));
        let doctor = home.say(&["doctor"]);
        assert!(doctor.contains("3 foreign tables") && !doctor.contains("f0reign-word"), "{doctor}");

        let home = Home::new("near");
        let config = home.scratch.path("tudb.toml");
        std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\nallow_foreign_tables = false\n")).unwrap();
        let home = home.set("TUDB_CONFIG", config.display());
        let mut server = home.serve();
        for sql in [
            "SELECT * FROM far",
            "SELECT * FROM orders",
            "SELECT * FROM orders_1",
            "SELECT * FROM base",
            "SELECT * FROM seen",
            "SELECT 1 WHERE EXISTS (SELECT FROM public.far)",
            "WITH x AS (SELECT id FROM seen) SELECT count(*) FROM x",
            "SELECT * FROM ruled",
        ] {
            for (tool, arguments) in [("run_sql", json!({"sql": sql})), ("explain_query", json!({"sql": sql}))] {
                let reply = server.call(tool, arguments);
                assert_eq!(reply["error"]["code"], "relation_refused", "{sql}: {reply}");
                assert!(reply["error"]["message"].as_str().unwrap().contains("another server"), "{reply}");
            }
        }
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT * FROM near"}))["rows"], json!([[7]]));
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT id FROM orders_2"}))["rows"], json!([[2]]));
        // The tables of a statement are checked each time, because a foreign partition may have been added.
        let later = json!({"sql": "SELECT id FROM later"});
        assert_eq!(server.call("run_sql", later.clone())["rows"], json!([]));
        postgres.query(
            &database,
            "CREATE FOREIGN TABLE later_2 PARTITION OF later FOR VALUES IN (2) SERVER elsewhere OPTIONS (table_name 'orders')",
        );
        assert_eq!(server.call("run_sql", later)["error"]["code"], "relation_refused");
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn sources_of_both_kinds_stand_side_by_side() {
    let postgres = server();
    let (_, url) = postgres.database("one");
    let (database, other) = postgres.database("two");
    postgres
        .script(&database, "CREATE TABLE secrets (id int, word text); INSERT INTO secrets VALUES (1, 'x'), (2, 'y');");
    let home = Home::new("sources");
    let file = home.scratch.path("archive.db");
    let made = std::process::Command::new("sqlite3")
        .arg(&file)
        .arg("CREATE TABLE old (a); INSERT INTO old VALUES (5);")
        .status();
    assert!(made.unwrap().success());
    let dead = crate::support::postgres::free_port();
    let config = home.scratch.path("tudb.toml");
    std::fs::write(
        &config,
        format!(
            "default_source = \"one\"\n[sources.one]\nurl = \"{url}\"\nmax_rows = 3\n\
             [sources.two]\nurl = \"{other}\"\ndeny = [\"secrets.word\"]\nstatement_timeout_ms = 300\n\
             [sources.archive]\nurl = \"sqlite://{}\"\n\
             [sources.dead]\nurl = \"postgres://postgres@127.0.0.1:{dead}/x?sslmode=disable\"\n\
             [sources.gone]\nurl = \"sqlite://{}\"\n",
            file.display(),
            home.scratch.path("gone.db").display(),
        ),
    )
    .unwrap();
    let home = home.set("TUDB_CONFIG", config.display());
    let mut server = home.serve();
    // Every tool has the argument, with the names of the sources.
    for tool in server.request("tools/list", json!({}))["tools"].as_array().unwrap() {
        let described = tool["inputSchema"]["properties"]["source"]["description"].as_str().unwrap().to_owned();
        assert!(["one", "two", "archive", "dead", "gone"].iter().all(|name| described.contains(name)), "{described}");
    }
    // A source that is down delays no other source, even with more calls than it has slots.
    let waiting: Vec<u64> =
        (0..20).map(|_| server.send_call("run_sql", json!({"sql": "SELECT 1", "source": "dead"}))).collect();
    let rows = "SELECT i FROM generate_series(1, 10) i";
    let reply = server.call("run_sql", json!({"sql": rows}));
    assert_eq!((&reply["source"], &reply["row_count"], &reply["truncated"]), (&json!("one"), &json!(3), &json!(true)));
    let reply = server.call("run_sql", json!({"sql": rows, "source": "two"}));
    assert_eq!((&reply["source"], &reply["row_count"]), (&json!("two"), &json!(10)));
    let reply = server.call("run_sql", json!({"sql": "SELECT a FROM old", "source": "archive"}));
    assert_eq!(reply["rows"], json!([[5]]));
    // Each source has its own rules and limits.
    let denied = server.call("run_sql", json!({"sql": "SELECT word FROM secrets", "source": "two"}));
    assert_eq!(denied["error"]["code"], "column_denied", "{denied}");
    let slow = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b";
    let reply = server.call("run_sql", json!({"sql": slow, "source": "two"}));
    assert_eq!(reply["error"]["code"], "timeout", "{reply}");
    let reply = server.call("list_tables", json!({"source": "nowhere"}));
    assert_eq!(reply["error"]["code"], "unknown_source");
    assert!(reply["error"]["hint"].as_str().unwrap().contains("archive"), "{reply}");
    assert_eq!(
        server.call("run_sql", json!({"sql": "SELECT 1", "source": "gone"}))["error"]["code"],
        "database_missing"
    );
    for id in waiting {
        assert_eq!(content(&server.answer(id))["error"]["code"], "unreachable");
    }
    let records = home.records();
    assert!(
        records.iter().any(|record| record["source"] == "archive") && records.iter().any(|r| r["source"] == "dead")
    );
}

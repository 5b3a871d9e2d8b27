//! `ask_database` and long reads in a database where another user makes tables, policies and functions of his own.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::postgres::{Postgres, servers};
use crate::support::{Home, Server};

/// Orders of the application, and a second user with a schema and a table of his own.
fn database(postgres: &Postgres, tag: &str, script: &str) -> (Home, Server, String) {
    let (database, url) = postgres.database("beside");
    postgres.query("postgres", &format!("DROP ROLE IF EXISTS reader_{tag}, mal_{tag}"));
    let shop = "CREATE ROLE reader_# LOGIN; CREATE ROLE mal_#; CREATE SCHEMA mal AUTHORIZATION mal_#; GRANT USAGE ON SCHEMA mal TO PUBLIC;
        CREATE SCHEMA zed AUTHORIZATION mal_#; GRANT USAGE ON SCHEMA zed TO PUBLIC;
        CREATE TABLE orders (id int PRIMARY KEY, amount int, note text, status text);
        INSERT INTO orders SELECT n, n, 'note ' || n, CASE WHEN n % 4 = 0 THEN 'open' ELSE 'state ' || n END FROM generate_series(1, 100) n;
        GRANT SELECT ON orders TO reader_#; ANALYZE; SET ROLE mal_#;";
    postgres.script(&database, &format!("{shop}{script}").replace('#', tag));
    let home = Home::new("beside");
    let config = home.scratch.path("tudb.toml");
    let url = url.replace("postgres@", &format!("reader_{tag}@"));
    std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\nstatement_timeout_ms = 700\n")).unwrap();
    let home = home.set("TUDB_CONFIG", config.display());
    let server = home.serve();
    (home, server, database)
}

/// A table with a policy is read only for a question that names it: reading it runs the code of its owner.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_question_runs_no_policy_of_a_table_that_it_does_not_name() {
    for postgres in servers() {
        let script = "CREATE FUNCTION mal.spy() RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE LOG ''HARM DONE''; RETURN true; END';
            CREATE TABLE mal.aa (name text, note text); INSERT INTO mal.aa VALUES ('x', 'y');
            ALTER TABLE mal.aa ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON mal.aa USING (mal.spy());
            GRANT SELECT ON mal.aa TO PUBLIC; GRANT EXECUTE ON FUNCTION mal.spy() TO PUBLIC;";
        let (_home, mut server, _) = database(postgres, "a", script);
        let log = postgres.log().len();
        let reply = server.call("ask_database", json!({"question": "total amount of orders with the note 'note 17'"}));
        assert_eq!(reply["rows"], json!([[17]]), "{reply}");
        assert!(!postgres.log().get(log..).unwrap_or_default().contains("HARM DONE"));
    }
}

/// A table of the same name in a schema that no statement looks into means nothing: the answer is that of `orders`.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_table_outside_of_the_path_changes_no_answer() {
    for postgres in servers() {
        let script = "CREATE TABLE zed.orders (id int, amount int, note text, status text); INSERT INTO zed.orders VALUES (1, 666, 'n', 'open');
            CREATE TABLE mal.orders (id int, amount int, note text, status text); INSERT INTO mal.orders VALUES (1, 667, 'n', 'open');
            CREATE TABLE mal.companies (id int, amount int); CREATE TABLE mal.cust (id int); CREATE TABLE mal.pop (id int);
            CREATE TABLE mal.bills (id int, amount int, status text); INSERT INTO mal.bills VALUES (1, 668, 'open'), (2, 669, 'state 7');
            GRANT SELECT ON ALL TABLES IN SCHEMA zed, mal TO PUBLIC;
            RESET ROLE; CREATE TABLE company (id int); INSERT INTO company VALUES (1); CREATE TABLE people (id int, name text);
            CREATE TABLE customers (id int, name text); INSERT INTO customers VALUES (1, 'x'), (2, 'y'); INSERT INTO people VALUES (1, 'z');
            GRANT SELECT ON company, customers, people TO reader_#;";
        let (_home, mut server, _) = database(postgres, "b", script);
        for (question, right) in [
            ("total amount of orders", "5050"),
            ("maximum amount of the orders", "100"),
            ("How many orders are there?", "100"),
            ("total amount of open orders", "1300"),
            ("How many companies are there?", "1"),
            ("How many customers are there?", "2"),
            ("how many people", "1"),
            ("how many bills", "2"),
        ] {
            let reply = server.call("ask_database", json!({"question": question}));
            assert!(reply["rows"][0][0].to_string().trim_matches('"') == right, "{question}: {reply}");
            let says = reply["assumptions"].to_string().contains("outside of the search_path: mal.bills");
            assert_eq!(says, question.contains("bills"), "{reply}");
        }
    }
}

/// A word such as "open" says a state. If no value is known that it means, it is not left out.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_state_that_is_not_known_is_not_left_out_of_the_answer() {
    for postgres in servers() {
        let (_home, mut server, database) = database(postgres, "c", "");
        postgres.query(&database, "UPDATE orders SET status = 'state'");
        for question in ["total amount of open orders", "How many orders are paid?"] {
            let reply = server.call("ask_database", json!({"question": question}));
            assert_eq!(reply["status"], "needs_sql", "{question}: {reply}");
        }
    }
}

/// Code of another user that catches the cancel and changes the name of its session is ended, and frees its connection.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_backend_that_hides_is_ended() {
    for postgres in servers() {
        let script = "CREATE FUNCTION mal.hide() RETURNS bool LANGUAGE plpgsql AS $f$ DECLARE t timestamptz := clock_timestamp(); BEGIN
                PERFORM set_config('application_name', 'psql', false);
                WHILE clock_timestamp() < t + interval '60 s' LOOP
                  BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END;
                END LOOP; RETURN true; END $f$;
            CREATE TABLE mal.slow (a int); INSERT INTO mal.slow VALUES (1);
            ALTER TABLE mal.slow ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON mal.slow USING (mal.hide());
            GRANT SELECT ON mal.slow TO PUBLIC; GRANT EXECUTE ON FUNCTION mal.hide() TO PUBLIC;";
        let (_home, mut server, _) = database(postgres, "d", script);
        for _ in 0..6 {
            let reply = server.call("run_sql", json!({"sql": "SELECT a FROM mal.slow"}));
            assert_eq!(reply["error"]["code"], "timeout", "{reply}");
        }
        let active = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader_d' AND state = 'active'";
        let end = Instant::now() + Duration::from_secs(20);
        while postgres.query("postgres", active) != "0" {
            assert!(Instant::now() < end, "{} backends are left", postgres.query("postgres", active));
            std::thread::sleep(Duration::from_millis(200));
        }
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1 AS n"}))["rows"], json!([[1]]));
    }
}

/// Messages that code of the database raises are no lines of the log.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn warnings_of_the_database_are_not_logged() {
    for postgres in servers() {
        let script = "CREATE FUNCTION mal.shout() RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''SHOUTED''; RETURN true; END';
            CREATE TABLE mal.loud (a int); INSERT INTO mal.loud VALUES (1);
            ALTER TABLE mal.loud ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON mal.loud USING (mal.shout());
            GRANT SELECT ON mal.loud TO PUBLIC; GRANT EXECUTE ON FUNCTION mal.shout() TO PUBLIC;";
        let (_home, mut server, _) = database(postgres, "e", script);
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT a FROM mal.loud"}))["rows"], json!([[1]]));
        assert!(!server.stderr.lock().unwrap().contains("SHOUTED"));
    }
}

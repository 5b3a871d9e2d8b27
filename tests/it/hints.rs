//! What an agent reads after a mistake: the spelling of this dialect, names, values, and arguments as models write them.

use serde_json::json;

use crate::postgres_readable::serve;
use crate::support::Home;
use crate::support::bedrock::{Bedrock, answers, runs};
use crate::support::postgres::servers;

/// The hints stand on the words of the servers, so both versions are asked.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_mistake_is_answered_with_what_to_write_instead() {
    for postgres in servers() {
        let (_, _home, mut server) = serve(
            postgres,
            "mistakes",
            "CREATE TYPE mood AS ENUM ('happy', 'sad');
             CREATE TABLE \"User\" (id int PRIMARY KEY, name text, feel mood, born date, score float8, n bigint);
             INSERT INTO \"User\" VALUES (1, ' Bern ', 'happy', '2026-01-05', 1.5, 9223372036854775000), (2, 'Basel', 'sad', NULL, 2, 2);
             CREATE TABLE \"cities v1.2\" (\"1_x\" int); ANALYZE;",
        );
        for (sql, code, remedy) in [
            (
                "SELECT id FROM \"User\" WHERE name = \"success\"",
                "sql_error",
                "A text stands in single quotes: 'success'",
            ),
            ("SELECT * FROM cities v1.2", "sql_error", "needs double quotes: \"cities v1.2\""),
            ("SELECT 1_x FROM \"cities v1.2\"", "syntax_error", "needs double quotes: \"1_x\""),
            ("SELECT round(score, 2) FROM \"User\"", "sql_error", "round(x::numeric, 2)"),
            ("SELECT year(born) FROM \"User\"", "sql_error", "extract(year FROM d)"),
            ("SELECT id AS total FROM \"User\" WHERE total > 5", "sql_error", "total is an alias of the select list"),
            ("SELECT name, count(*) FROM \"User\"", "sql_error", "Add \"User\".name to GROUP BY"),
            ("SELECT count(*) FROM \"User\" WHERE count(*) > 1", "sql_error", "HAVING"),
            ("SELECT 1 / (id - 1) FROM \"User\"", "sql_error", "nullif(x, 0)"),
            ("SELECT n * 10 FROM \"User\"", "sql_error", "CAST(x AS numeric)"),
            ("SELECT id FROM \"User\" WHERE feel = 'angry'", "sql_error", "The labels are 'happy', 'sad'."),
            ("SELECT sum(name) FROM \"User\"", "sql_error", "sum(CAST(x AS numeric))"),
            ("SELECT TOP 5 name FROM \"User\"", "statement_refused", "LIMIT"),
            ("SHOW TABLES", "statement_refused", "list_tables"),
            ("DESCRIBE \"User\"", "statement_refused", "describe_table"),
            ("SELECT `name` FROM \"User\"", "sql_error", "double quotes"),
        ] {
            let error = server.call("run_sql", json!({"sql": sql}))["error"].clone();
            let hint = error["hint"].as_str().unwrap_or_default();
            assert!(error["code"] == code && hint.contains(remedy), "{}: {sql}: {error}", postgres.version);
        }
        let role = server.call("run_sql", json!({"sql": "SELECT * FROM user"}));
        assert!(role["warnings"][0].as_str().unwrap().contains("the table is public.\"User\""), "{role}");
        let nothing = server.call("run_sql", json!({"sql": "SELECT id FROM \"User\" WHERE name = 'bern'"}));
        assert_eq!(
            nothing["warnings"],
            json!(["nothing matched: 'bern' is not stored; public.\"User\".name holds ' Bern '"]),
            "{nothing}"
        );
    }
}

#[test]
fn numbers_and_formats_are_taken_as_models_write_them() {
    let mut server = Home::new("lenient").serve();
    let sql = "SELECT id FROM customers ORDER BY id";
    let reply = server.call("run_sql", json!({"sql": sql, "max_rows": "5", "format": "CSV"}));
    assert_eq!(
        (&reply["row_count"], &reply["text"]),
        (&json!(5), &json!("id\r\n1\r\n2\r\n3\r\n4\r\n5\r\n")),
        "{reply}"
    );
    assert_eq!(reply["hint"], "5 of 400 rows: add a WHERE, aggregate, or pass max_rows up to 10000");
    for wrong in [json!("five"), json!(0), json!(-3), json!(2.5), json!("1e3"), json!([5])] {
        let reply = server.call("run_sql", json!({"sql": sql, "max_rows": wrong}));
        assert_eq!(reply["error"]["message"], "max_rows must be a positive whole number", "{wrong}");
    }
    let reply = server.call("run_sql", json!({"sql": sql, "max_rows": 10_001}));
    assert_eq!(reply["error"]["message"], "max_rows must be from 1 to 10000");
}

/// The labels of an enum are stored values, and a hint names them.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn labels_of_an_enum_are_not_sent_without_send_values() {
    for postgres in servers() {
        let (database, url) = postgres.database("labels");
        postgres
            .script(&database, "CREATE TYPE mood AS ENUM ('planted_label'); CREATE TABLE people (id int, feel mood);");
        for (setting, is_sent) in [("", true), ("[model]\nsend_values = false\n", false)] {
            let wrong = runs("SELECT id FROM people WHERE feel = 'angry'");
            let bedrock = Bedrock::start(vec![wrong, runs("SELECT 1 AS one"), answers("It is 1.")]);
            let home = bedrock.home(Home::new("labels"));
            let path = home.scratch.path("tudb.toml");
            std::fs::write(&path, format!("[sources.main]\nurl = \"{url}\"\n{setting}")).unwrap();
            let home = home.set("TUDB_CONFIG", path.display());
            let reply = home.serve().call("ask_database", json!({"question": "Who is angry?"}));
            assert_eq!(reply["status"], "success", "{reply}");
            let sent: Vec<String> = bedrock.requests().iter().map(|request| request.body.to_string()).collect();
            assert!(sent[1].contains("invalid input value for enum"), "{}", sent[1]);
            assert_eq!(sent.iter().any(|body| body.contains("planted_label")), is_sent, "{}", postgres.version);
        }
    }
}

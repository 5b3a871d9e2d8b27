//! The embedded sample through the five tools, with no settings at all.

use serde_json::{Value, json};

use crate::support::{Home, output_of};
use std::process::Command;

/// Rows of a statement as the sqlite3 shell prints them, tab-separated.
pub fn shell(database: &std::path::Path, sql: &str) -> Vec<Vec<String>> {
    let text = output_of(Command::new("sqlite3").args(["-readonly", "-tabs"]).arg(database).arg(sql));
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

const TOP_FIVE: &str = "SELECT p.name, round(sum(i.quantity * i.unit_price), 2) FROM order_items i
    JOIN orders o ON o.id = i.order_id JOIN products p ON p.id = i.product_id
    WHERE date(o.ordered_at) >= date('now', 'start of month', '-1 month') AND date(o.ordered_at) < date('now', 'start of month')
    GROUP BY p.id ORDER BY 2 DESC LIMIT 5";

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_headline_question_equals_a_hand_written_statement() {
    let home = Home::new("sample");
    let mut server = home.serve();
    let reply = server.call("ask_database", json!({"question": "Show me the top 5 products by revenue last month"}));
    assert_eq!(reply["status"], "success", "{reply}");
    assert_eq!(reply["receipt"]["engine"], "builtin");
    let expected = shell(&home.scratch.path(".local/share/tudb/sample.db"), TOP_FIVE);
    assert_eq!(expected.len(), 5);
    let rows = reply["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 5);
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row[0], expected[0].as_str());
        let (ours, theirs) = (row[1].as_f64().unwrap(), expected[1].parse::<f64>().unwrap());
        assert!((ours - theirs).abs() < 0.005, "{ours} {theirs}");
    }
    let table = home.say(&["ask", "Show me the top 5 products by revenue last month"]);
    for expected in &expected {
        assert!(table.contains(&expected[0]), "{table}");
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn questions_of_each_simple_kind_are_answered_and_the_rest_is_handed_back() {
    let home = Home::new("questions");
    let mut server = home.serve();
    let database = home.scratch.path(".local/share/tudb/sample.db");
    server.call("list_tables", json!({}));
    let sure = [
        ("How many customers are there?", "SELECT count(*) FROM customers"),
        ("How many customers are there in Zürich?", "SELECT count(*) FROM customers WHERE city = 'Zürich'"),
        ("What is the average price of products?", "SELECT avg(price) FROM products"),
        ("number of orders per status", "SELECT status, count(*) FROM orders GROUP BY 1 ORDER BY 1"),
    ];
    for (question, sql) in sure {
        let reply = server.call("ask_database", json!({"question": question}));
        assert_eq!(reply["status"], "success", "{question}: {reply}");
        let expected = shell(&database, sql);
        let rows = reply["rows"].as_array().unwrap();
        assert_eq!(rows.len(), expected.len(), "{question}");
        for (row, expected) in rows.iter().zip(&expected) {
            for (cell, expected) in row.as_array().unwrap().iter().zip(expected) {
                let same = match cell.as_f64() {
                    Some(number) => (number - expected.parse::<f64>().unwrap()).abs() < 1e-6,
                    None => cell == expected.as_str(),
                };
                assert!(same, "{question}: {cell} {expected}");
            }
        }
    }
    let reply = server.call("ask_database", json!({"question": "Why did revenue drop in the north?"}));
    assert_eq!(reply["status"], "needs_sql", "{reply}");
    assert!(reply["schema"].as_str().unwrap().contains("order_items("));
    assert_eq!(reply["next"], "Call run_sql with one statement.");
}

#[test]
fn an_ambiguous_question_is_asked_back_and_a_choice_answers_it() {
    let home = Home::new("ambiguous");
    let mut server = home.serve();
    let question = "Who are the best customers?";
    let reply = server.call("ask_database", json!({"question": question}));
    assert_eq!(reply["status"], "clarification_needed", "{reply}");
    let choices = reply["choices"].as_array().unwrap();
    assert!((2..=4).contains(&choices.len()));
    for choice in choices {
        let reply = server.call("ask_database", json!({"question": question, "choice": choice["reading"]}));
        assert_eq!(reply["status"], "success", "{choice}: {reply}");
    }
}

#[test]
fn the_five_tools_answer_at_once() {
    let home = Home::new("tools");
    let mut server = home.serve();
    let tables = server.call("list_tables", json!({}));
    assert_eq!(tables["total"], 8);
    assert_eq!(tables["dialect"], "sqlite");
    let page = server.call("list_tables", json!({"limit": 3}));
    assert_eq!(page["tables"].as_array().unwrap().len(), 3);
    let next = server.call("list_tables", json!({"limit": 10, "cursor": page["next_cursor"]}));
    assert_eq!(next["tables"].as_array().unwrap().len(), 5);
    let found = server.call("list_tables", json!({"search": "rating"}));
    assert_eq!(found["tables"][0]["matched"], json!(["column rating"]));

    let table = server.call("describe_table", json!({"table": "Orders"}));
    assert_eq!(table["primary_key"], json!(["id"]));
    assert_eq!(table["foreign_keys"][0]["references"], "customers");
    assert_eq!(table["referenced_by"].as_array().unwrap().len(), 2);
    let status = &table["columns"][3];
    assert_eq!(status["values"], json!(["pending", "processing", "shipped", "delivered", "cancelled", "returned"]));
    let missing = server.call("describe_table", json!({"table": "order"}));
    assert_eq!(missing["error"]["code"], "unknown_table");
    assert!(missing["error"]["hint"].as_str().unwrap().contains("orders"));

    let plan = server.call("explain_query", json!({"sql": "SELECT * FROM orders WHERE customer_id = 1"}));
    assert!(plan["summary"][0].as_str().unwrap().contains("orders_customer_id_idx"), "{plan}");
    let same = server.call("run_sql", json!({"sql": "EXPLAIN SELECT * FROM orders WHERE customer_id = 1"}));
    assert_eq!(same["summary"], plan["summary"]);
}

#[test]
fn rows_are_exact_and_limits_are_told() {
    let home = Home::new("rows").set("TUDB_MAX_CELL_BYTES", 10).set("TUDB_MAX_REPLY_BYTES", 2000);
    let mut server = home.serve();
    let reply = server.call(
        "run_sql",
        json!({"sql": "SELECT 9007199254740993 AS big, 1.0 AS real, x'00ff' AS blob, NULL AS missing, '' AS empty, 'ÄÖÜ' AS a, 'ÄÖÜ' AS a"}),
    );
    assert_eq!(reply["rows"].to_string(), r#"[["9007199254740993",1.0,"\\x00ff",null,"","ÄÖÜ","ÄÖÜ"]]"#);
    assert_eq!(reply["columns"][0], json!({"name": "big", "type": "INTEGER"}));
    let reply = server.call("run_sql", json!({"sql": "SELECT 'éééééééé' AS long, id FROM customers LIMIT 1"}));
    assert_eq!(reply["rows"][0][0], "ééééé");
    assert_eq!(reply["cut_cells"], json!([[0, 0, 16]]));

    let exact = server.call("run_sql", json!({"sql": "SELECT id FROM customers LIMIT 5", "max_rows": 5}));
    assert_eq!((&exact["row_count"], &exact["truncated"]), (&json!(5), &json!(false)));
    let cut = server.call("run_sql", json!({"sql": "SELECT id FROM customers", "max_rows": 5}));
    assert_eq!((&cut["row_count"], &cut["truncated_by"]), (&json!(5), &json!(["rows"])));
    let id = server.send_call("run_sql", json!({"sql": "SELECT * FROM customers", "max_rows": 400}));
    let answer = server.answer(id);
    assert_eq!(answer["result"]["structuredContent"]["truncated_by"], json!(["bytes", "cells"]));
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().len() <= 2000);

    let csv = server.call("run_sql", json!({"sql": "SELECT 'a,\"b\"' AS x, NULL AS y", "format": "csv"}));
    assert_eq!(csv["text"], "x,y\r\n\"a,\"\"b\"\"\",\r\n");
}

#[test]
fn a_statement_without_end_stops_at_its_limit_and_others_go_on() {
    let home = Home::new("endless").set("TUDB_STATEMENT_TIMEOUT_MS", 1500);
    let mut server = home.serve();
    server.call("run_sql", json!({"sql": "SELECT 1"}));
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let slow = server.send_call("run_sql", json!({"sql": endless}));
    let quick = server.call("run_sql", json!({"sql": "SELECT 2 AS two"}));
    assert_eq!(quick["rows"], json!([[2]]));
    let answer = server.answer(slow);
    assert_eq!(answer["result"]["structuredContent"]["error"]["code"], "timeout", "{answer}");
    // A single opcode that never calls the progress handler ends at the length limit.
    let huge = server.call("run_sql", json!({"sql": "SELECT length(zeroblob(100000000))"}));
    assert_eq!(huge["error"]["code"], "sql_error", "{huge}");
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 3"}))["rows"], json!([[3]]));
}

#[test]
fn writes_and_unknown_functions_are_refused_and_the_file_stays_as_it_was() {
    let home = Home::new("refused");
    let mut server = home.serve();
    server.call("run_sql", json!({"sql": "SELECT 1"}));
    let path = home.scratch.path(".local/share/tudb/sample.db");
    let before = std::fs::read(&path).unwrap();
    for (sql, code) in [
        ("DELETE FROM customers", "write_refused"),
        ("SELECT 1; DELETE FROM customers", "multiple_statements"),
        ("PRAGMA writable_schema = on", "statement_refused"),
        ("ATTACH 'x.db' AS x", "statement_refused"),
        ("VACUUM INTO 'copy.db'", "write_refused"),
        ("SELECT load_extension('x')", "function_refused"),
        ("SELECT * FROM pragma_database_list", "relation_refused"),
        ("SELECT ?", "statement_refused"),
    ] {
        let reply = server.call("run_sql", json!({"sql": sql}));
        assert_eq!(reply["error"]["code"], code, "{sql}: {reply}");
        assert!(reply["error"]["hint"].is_string());
    }
    assert_eq!(before, std::fs::read(&path).unwrap());
    server.finish();
    let records = home.records();
    assert_eq!(records.iter().filter(|record| record["decision"] == "refused").count(), 8);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_sample_is_rebuilt_when_its_day_is_over_and_kept_otherwise() {
    let home = Home::new("day");
    home.say(&["sql", "SELECT 1"]);
    let path = home.scratch.path(".local/share/tudb/sample.db");
    let made = std::fs::metadata(&path).unwrap().modified().unwrap();
    home.say(&["sql", "SELECT 1"]);
    assert_eq!(made, std::fs::metadata(&path).unwrap().modified().unwrap());
    output_of(Command::new("sqlite3").arg(&path).arg("PRAGMA user_version = 20200101"));
    home.say(&["sql", "SELECT 1"]);
    let stamp = &shell(&path, "PRAGMA user_version")[0][0];
    assert_ne!(stamp, "20200101");
}

/// Names that the snapshot does not know are looked up: whole ones, and the only one that begins with the words.
#[test]
fn names_of_rows_are_looked_up() {
    let home = Home::new("stored-values");
    let mut server = home.serve();
    for (question, sql) in [
        ("What is the price of the Burr Grinder?", "SELECT price FROM products WHERE name = 'Burr Grinder No. 3'"),
        ("email of Anke Böhm", "SELECT email FROM customers WHERE name = 'Anke Böhm'"),
    ] {
        let reply = server.call("ask_database", json!({"question": question}));
        assert_eq!(reply["sql"], sql, "{question}: {reply}");
        assert_eq!(reply["row_count"], 1, "{question}: {reply}");
    }
    // Several customers are called so. No answer is better than the wrong one.
    let several = server.call("ask_database", json!({"question": "email of Anke"}));
    assert_eq!(several["status"], "needs_sql", "{several}");
    drop(server);
    // A look-up is a statement of the question, with a record of its own.
    let trail = home.say(&["audit", "show", "--last", "40", "--json"]);
    assert!(trail.contains("lower(name) IN") && trail.contains("burr grinder"), "{trail}");
}

/// A masked or denied column is searched for nothing.
#[test]
fn the_look_up_of_names_obeys_the_rules() {
    let home = Home::new("stored-rules");
    let path = home.scratch.path("tudb.toml");
    std::fs::write(&path, "[sources.main]\nmask = [\"customers.name\"]\ndeny = [\"customers.email\", \"reviews\"]\n")
        .unwrap();
    let home = home.set("TUDB_CONFIG", path.display());
    let mut server = home.serve();
    let reply = server.call("ask_database", json!({"question": "orders of Anke Böhm"}));
    assert_ne!(reply["status"], "success", "{reply}");
    drop(server);
    let trail = home.say(&["audit", "show", "--last", "40", "--json"]);
    let looked: Vec<&str> = trail.lines().filter(|line| line.contains("lower(")).collect();
    assert!(!looked.is_empty(), "{trail}");
    for line in looked {
        assert!(
            !line.contains("email") && !line.contains("FROM reviews") && !line.contains("lower(name) IN")
                || line.contains("FROM products"),
            "{line}"
        );
    }
}

/// A chart is an image beside the answer, and the answer says what it shows or why there is none.
#[test]
fn an_answer_has_a_chart_where_one_can_be_drawn() {
    let home = Home::new("sample-chart");
    let mut server = home.serve();
    let mut ask = |question: &str, more: &str| {
        let arguments: Value = serde_json::from_str(&format!("{{\"question\": {question:?}{more}}}")).unwrap();
        let result = server.request("tools/call", json!({"name": "ask_database", "arguments": arguments}));
        let kinds: Vec<String> = result["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| block["type"].as_str().unwrap().to_owned())
            .collect();
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, result["structuredContent"], "{result}");
        (kinds, text["chart"].clone(), result["content"][1]["data"].as_str().unwrap_or_default().to_owned())
    };
    let (kinds, chart, image) = ask("number of orders per status", ", \"chart\": true");
    assert_eq!(
        (kinds, chart),
        (vec!["text".to_owned(), "image".to_owned()], json!("bars of number_of_orders by status"))
    );
    // The first bytes of a PNG file in base64.
    assert!(image.starts_with("iVBORw0KGgo") && image.len() < 40_000, "{}", image.len());
    let (kinds, chart, _) = ask("monthly revenue trend for 2025", ", \"chart\": true");
    assert_eq!((kinds.len(), chart), (2, json!("line of revenue by month")));
    let (kinds, chart, _) = ask("How many customers are there?", ", \"chart\": true");
    assert_eq!((kinds.len(), chart), (1, json!("none: a chart needs at least two rows")));
    let (kinds, chart, _) = ask("number of orders per status", "");
    assert_eq!((kinds.len(), chart), (1, Value::Null));
    let small = Home::new("sample-chart").set("TUDB_MAX_REPLY_BYTES", "16000");
    let reply = small.serve().call("ask_database", json!({"question": "number of orders per status", "chart": true}));
    assert_eq!(reply["chart"], "none: the image is longer than TUDB_MAX_REPLY_BYTES", "{reply}");
}

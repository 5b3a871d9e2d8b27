//! The commands of the terminal.

use serde_json::{Value, json};

use crate::support::Home;

#[test]
fn ask_prints_answer_table_sql_and_receipt() {
    let home = Home::new("cli-ask");
    let text = home.say(&["ask", "How many customers are there in Zürich?"]);
    for part in ["number_of_customers", "SQL: SELECT", "[builtin,", "record "] {
        assert!(text.contains(part), "{text}");
    }
    let json: Value = serde_json::from_str(&home.say(&["ask", "How many customers are there?", "--json"])).unwrap();
    assert_eq!(json["status"], "success");
    let text = home.say(&["ask", "Who are the best customers?"]);
    let choice = text.split("--choice \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let text = home.say(&["ask", "Who are the best customers?", "--choice", &choice]);
    assert!(text.contains("SQL: SELECT"), "{text}");
    let text = home.say(&["ask", "Why is the sky blue?"]);
    assert!(text.contains("tudb sql") && !text.contains("order_items("), "{text}");
    assert!(home.say(&["ask", "Why is the sky blue?", "--verbose"]).contains("order_items("));
    let text = home.say(&["ask", "How many grumpy customers are there?"]);
    assert!(
        text.contains("Not understood: the word \"grumpy\"") && text.contains("Nearest statement: SELECT"),
        "{text}"
    );
    let text = home.say(&["ask", "Which grumpy customers bought a zeppelin?"]);
    assert!(!text.contains("Nearest statement"), "{text}");
}

#[test]
fn sql_prints_every_format_and_its_exit_code_tells() {
    let home = Home::new("cli-sql");
    assert!(home.say(&["sql", "SELECT 1 AS one"]).contains("one"));
    assert_eq!(home.say(&["sql", "SELECT 1 AS one", "--format", "csv"]), "one\r\n1\n");
    assert_eq!(home.say(&["sql", "SELECT 1 AS one", "--format", "markdown"]), "| one |\n| --- |\n| 1 |\n");
    let json: Value = serde_json::from_str(&home.say(&["sql", "SELECT 1 AS one", "--format", "json"])).unwrap();
    assert_eq!(json["row_count"], 1);
    let refused = home.run(&["sql", "DELETE FROM customers"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).starts_with("write_refused: "));
    assert!(refused.stdout.is_empty());
    assert_eq!(home.run(&["nonsense"]).status.code(), Some(2));
}

#[test]
fn version_and_doctor_say_what_is_there() {
    let home = Home::new("cli-doctor");
    let version = home.say(&["--version"]);
    assert!(version.starts_with(concat!("tudb ", env!("CARGO_PKG_VERSION"))) && version.contains("2026-07-28"));
    let text = home.say(&["doctor"]);
    assert!(text.contains("embedded sample at") && text.contains("built-in answerer"), "{text}");
    let broken = Home::new("cli-doctor").set("TUDB_DATABASE_URL", "sqlite:///nowhere/at/all.db");
    let output = broken.run(&["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["ok"], false);
    let source = json["findings"].as_array().unwrap().iter().find(|found| found["what"] == "source main").unwrap();
    assert_eq!((&source["level"], &source["code"]), (&json!("fail"), &json!("database_missing")));
    // The finding has the same text as a tool's error.
    let error = broken.serve().call("list_tables", json!({}))["error"].clone();
    for part in ["code", "message", "hint"] {
        assert!(source["text"].as_str().unwrap().contains(error[part].as_str().unwrap()), "{source} {error}");
    }
    // Missing credentials are a warning with `auto`, and a failure if Bedrock is set by name.
    let bedrock = |choice: &str| {
        let home = Home::new("cli-doctor").set("AWS_REGION", "eu-west-1").set("TUDB_BEDROCK_MODEL", "some.model");
        let output = home.set("TUDB_MODEL", choice).run(&["doctor", "--json"]);
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let model = json["findings"].as_array().unwrap().iter().find(|found| found["what"] == "model").unwrap();
        (output.status.code(), model["level"].clone(), model["code"].clone())
    };
    assert_eq!(bedrock("auto"), (Some(0), json!("warn"), json!("model_credentials")));
    assert_eq!(bedrock("bedrock"), (Some(1), json!("fail"), json!("model_credentials")));
    let keyed = Home::new("cli-doctor").set("AWS_REGION", "eu-west-1").set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    let text = keyed.set("AWS_SECRET_ACCESS_KEY", "pl4nted-key").say(&["doctor"]);
    assert!(
        text.contains("in eu-west-1, with credentials") && !text.contains("pl4nted") && !text.contains("AKID"),
        "{text}"
    );
    // A store that cannot be written.
    let home = Home::new("cli-doctor").set("TUDB_AUDIT_DB", "/proc/no/such/place.db");
    let output = home.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("FAIL audit store: audit_unavailable"));
}

#[test]
fn a_file_of_ones_own_is_read_and_never_made() {
    let home = Home::new("cli-file");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nl2sql/concert_singer.sqlite");
    let home = home.set("TUDB_DATABASE_URL", format!("sqlite://{file}"));
    assert_eq!(home.say(&["sql", "SELECT count(*) FROM singer", "--format", "csv"]).lines().nth(1), Some("6"));
    let json: Value = serde_json::from_str(&home.say(&["ask", "How many singers do we have?", "--json"])).unwrap();
    assert_eq!(json["rows"], serde_json::json!([[6]]), "{json}");
    let missing = Home::new("cli-missing").set("TUDB_DATABASE_URL", "sqlite://missing.db");
    let output = missing.run(&["sql", "SELECT 1"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("database_missing: "), "{output:?}");
    assert!(!missing.scratch.path("missing.db").exists());
}

#[test]
fn migrate_and_seed_ask_first() {
    let home = Home::new("cli-migrate");
    let url = format!("sqlite://{}", home.scratch.path("shop.db").display());
    let output = home.run(&["migrate", &url]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--yes"));
    assert!(!home.scratch.path("shop.db").exists());
    home.say(&["migrate", &url, "--yes"]);
    home.say(&["seed", &url, "--yes"]);
    let home = home.set("TUDB_DATABASE_URL", &url);
    assert_eq!(home.say(&["sql", "SELECT count(*) FROM products", "--format", "csv"]).lines().nth(1), Some("80"));
}

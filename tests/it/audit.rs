//! The audit trail through the binary.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::bedrock::{Bedrock, answers, runs};
use crate::support::postgres::server;
use crate::support::{Home, everything_under, output_of};

#[test]
fn every_call_of_the_five_tools_has_one_record_without_values() {
    let home = Home::new("five");
    let mut server = home.serve();
    server.call("list_tables", json!({}));
    server.call("describe_table", json!({"table": "orders"}));
    server.call("run_sql", json!({"sql": "SELECT name FROM customers WHERE id = 1", "user_id": "u1"}));
    server.call("explain_query", json!({"sql": "SELECT 1"}));
    server.call("ask_database", json!({"question": "How many customers are there?", "session_id": "s1"}));
    server.call("run_sql", json!({"sql": "DROP TABLE customers"}));
    server.call("run_sql", json!({"sql": 1}));
    server.call("describe_table", json!({"table": "nothing"}));
    let name = server.call("run_sql", json!({"sql": "SELECT name FROM customers WHERE id = 1"}))["rows"][0][0].clone();
    server.finish();
    let records = home.records();
    let seen: Vec<(&str, &str)> =
        records.iter().map(|record| (record["tool"].as_str().unwrap(), record["outcome"].as_str().unwrap())).collect();
    assert_eq!(
        seen,
        [
            ("list_tables", "ok"),
            ("describe_table", "ok"),
            ("run_sql", "ok"),
            ("explain_query", "ok"),
            ("ask_database", "ok"),
            ("ask_database", "ok"),
            ("run_sql", "rejected"),
            ("run_sql", "rejected"),
            ("describe_table", "failed"),
            ("run_sql", "ok"),
        ]
    );
    assert_eq!((&records[2]["client"], &records[2]["user_id"]), (&json!("harness/1"), &json!("u1")));
    assert_eq!((&records[2]["row_count"], &records[2]["decision"]), (&json!(1), &json!("allowed")));
    assert_eq!((&records[4]["session_id"], &records[5]["question_id"]), (&json!("s1"), &records[4]["id"]));
    assert_eq!((&records[6]["decision"], &records[6]["code"]), (&json!("refused"), &json!("write_refused")));
    let name = name.as_str().unwrap();
    assert!(!records.iter().any(|record| record.to_string().contains(name)), "a result value was recorded");

    let verdict: Value = serde_json::from_str(&home.say(&["audit", "verify", "--json"])).unwrap();
    assert_eq!((&verdict["faults"], &verdict["unfinished"]), (&json!([]), &json!([])));
    assert_eq!(verdict["events"], 20);
    let refused = home.say(&["audit", "show", "--decision", "refused", "--json"]);
    assert_eq!(refused.lines().count(), 2);
    let page = home.say(&["audit", "report", "--since", "1h"]);
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"), "{page}");
    assert!(page.contains("<dt>calls</dt><dd>10</dd>") && page.contains("<dt>refused</dt><dd>2</dd>"), "{page}");
    assert!(page.contains("<tr><td>write_refused<td>1</tr>") && page.contains("SELECT name FROM customers"), "{page}");
    let page = home.say(&["audit", "report", "--tool", "explain_query"]);
    assert!(page.contains("<dt>calls</dt><dd>1</dd>") && !page.contains("write_refused"), "{page}");
}

#[test]
fn a_question_has_its_cost_and_statements_are_kept_as_the_settings_say() {
    let bedrock = Bedrock::start_with(|_, body| match body["messages"].as_array().unwrap().len() {
        1 => runs("SELECT count(*) AS n FROM customers WHERE city = 'planted-literal'"),
        _ => answers("None."),
    });
    for (setting, kept) in [
        ("fingerprint", "SELECT count(*) AS n FROM customers WHERE city = ?"),
        ("hash", "sha256:"),
        ("full", "SELECT count(*) AS n FROM customers WHERE city = 'planted-literal'"),
    ] {
        let home = bedrock.home(Home::new("kept"));
        let config = home.scratch.path("tudb.toml");
        let prices = "[prices.\"global.anthropic.claude-sonnet-4-6\"]\ninput = 3\noutput = 15\n";
        std::fs::write(&config, format!("[audit]\nsql = \"{setting}\"\n{prices}")).unwrap();
        let home = home.set("TUDB_CONFIG", config.display()).set("TUDB_AUDIT_JSONL", "copy.jsonl");
        home.say(&["ask", "How many customers are there?"]);
        let records = home.records();
        let cost = records[0]["cost"].as_f64().unwrap();
        assert!((cost - (200.0 * 3.0 + 40.0 * 15.0) / 1e6).abs() < 1e-12, "{cost}");
        assert_eq!((records.len(), &records[1]["question_id"]), (2, &records[0]["id"]));
        assert!(records[1]["sql"].as_str().unwrap().starts_with(kept), "{}", records[1]);
        let everything = everything_under(&home.scratch.path(".local"));
        let mirror = std::fs::read(home.scratch.path("copy.jsonl")).unwrap();
        let seen = String::from_utf8_lossy(&[everything, mirror].concat()).into_owned();
        assert_eq!(seen.contains("planted-literal"), setting == "full", "{setting}");
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn tampering_is_found_and_a_killed_call_is_listed() {
    let home = Home::new("tamper");
    let mut server = home.serve();
    server.call("run_sql", json!({"sql": "SELECT 1"}));
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    server.send_call("run_sql", json!({"sql": endless}));
    std::thread::sleep(std::time::Duration::from_millis(500));
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let output = home.say(&["audit", "verify"]);
    assert!(output.contains("unfinished"), "{output}");
    let change = "UPDATE event SET body = replace(body, 'SELECT 1', 'SELECT 2') WHERE seq = 1";
    output_of(Command::new("sqlite3").arg(home.audit_path()).arg(change));
    let output = home.run(&["audit", "verify"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("event 1 (intent of record"));
}

#[test]
fn without_a_store_nothing_runs() {
    let home = Home::new("nostore").set("TUDB_AUDIT_DB", "/proc/nowhere/audit.db");
    let mut server = home.serve();
    let reply = server.call("run_sql", json!({"sql": "SELECT 1"}));
    assert_eq!(reply["error"]["code"], "audit_unavailable", "{reply}");
    assert!(reply["error"]["hint"].as_str().unwrap().contains("TUDB_AUDIT_DB"));
    let relaxed = Home::new("relaxed").set("TUDB_AUDIT_DB", "/proc/nowhere/audit.db").set("TUDB_CONFIG", "c.toml");
    std::fs::write(relaxed.scratch.path("c.toml"), "[audit]\nrequired = false\n").unwrap();
    let reply = relaxed.serve().call("run_sql", json!({"sql": "SELECT 1"}));
    assert_eq!(reply["warnings"], json!(["this call is not in the audit trail"]), "{reply}");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_store_belongs_to_its_owner_and_holds_no_password() {
    use std::os::unix::fs::PermissionsExt;
    let url = format!("postgres://postgres:planted-pa55@127.0.0.1:{}/postgres?sslmode=disable", server().port);
    let home = Home::new("password").set("TUDB_DATABASE_URL", url).set("TUDB_LOG", "trace");
    let mut server = home.serve();
    server.call("run_sql", json!({"sql": "SELECT 1"}));
    server.call("run_sql", json!({"sql": "SELECT nothing"}));
    let stderr = std::sync::Arc::clone(&server.stderr);
    server.finish();
    let mode = std::fs::metadata(home.audit_path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let everything = everything_under(&home.scratch.path(""));
    assert!(!String::from_utf8_lossy(&everything).contains("planted-pa55"));
    assert!(!stderr.lock().unwrap().contains("planted-pa55"));
    assert!(!home.say(&["doctor"]).contains("planted-pa55"));
}

/// What a call about the schema asked for, and a name that no tool has.
#[test]
fn the_trail_says_what_was_asked_for() {
    let home = Home::new("targets");
    let mut server = home.serve();
    server.call("describe_table", json!({"table": "customers"}));
    server.call("list_tables", json!({"search": "ord"}));
    server.call("list_tables", json!({}));
    let id = server.send_call(&format!("drop\u{7}{}", "x".repeat(80)), json!({}));
    let _ = server.answer(id);
    assert!(server.finish().success());
    let records = home.records();
    let targets: Vec<_> =
        records.iter().map(|record| (record["tool"].as_str().unwrap_or_default(), record["target"].as_str())).collect();
    assert!(targets.contains(&("describe_table", Some("customers"))), "{targets:?}");
    assert!(targets.contains(&("list_tables", Some("search ord"))), "{targets:?}");
    assert!(targets.contains(&("list_tables", None)), "{targets:?}");
    let unknown = format!("drop\u{fffd}{}", "x".repeat(59));
    assert!(targets.contains(&(unknown.as_str(), None)), "{targets:?}");
}

#[test]
fn records_are_found_by_time_user_tool_text_and_page() {
    let home = Home::new("filters");
    let mut server = home.serve();
    for number in 0..12 {
        let user = if number % 2 == 0 { "ann" } else { "bob" };
        server.call("run_sql", json!({"sql": format!("SELECT {number}, '100%_sure'"), "user_id": user}));
    }
    server.call("run_sql", json!({"sql": "DROP TABLE customers"}));
    server.call("ask_database", json!({"question": "How many customers, please?"}));
    server.finish();
    let shown = |arguments: &[&str]| -> Vec<Value> {
        let text = home.say(&[&["audit", "show", "--json"], arguments].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = shown(&[]);
    for (arguments, count) in [
        (&["--user", "ann"][..], 6),
        (&["--tool", "ask_database"], all.len() - 13),
        (&["--decision", "refused"], 1),
        (&["--outcome", "ok", "--tool", "run_sql"], 12),
        (&["--outcome", "unfinished"], 0),
        (&["--source", "main"], all.len()),
        (&["--source", "other"], 0),
        (&["--text", "100%_SURE"], 12),
        (&["--text", "100__sure"], 0),
        (&["--text", "CUSTOMERS, PLEASE"], 1),
        (&["--since", "1h"], all.len()),
        (&["--until", "1h"], 0),
        (&["--since", "2020-01-01", "--until", "2020-02-01T00:00:00Z"], 0),
        (&["--last", "3"], 3),
    ] {
        assert_eq!(shown(arguments).len(), count, "{arguments:?}");
    }
    let question = all.iter().find(|record| record.get("question").is_some()).unwrap()["id"].as_str().unwrap();
    assert_eq!(shown(&["--id", question]).len(), all.len() - 13, "a question with its statements");
    // Paging returns every record once.
    let (mut pages, mut before) = (Vec::new(), None::<String>);
    loop {
        let mut arguments = vec!["--last", "4"];
        if let Some(before) = &before {
            arguments.extend(["--before", before]);
        }
        let page = shown(&arguments);
        let Some(first) = page.first() else { break };
        before = Some(first["id"].as_str().unwrap().to_owned());
        pages.splice(0..0, page);
    }
    assert_eq!(pages, all);
    let next = home.run(&["audit", "show", "--last", "4"]);
    assert!(String::from_utf8_lossy(&next.stderr).contains("older records: --before 0"));
    assert_eq!(home.say(&["audit", "export", "--json"]).lines().count(), all.len());
    let csv = home.say(&["audit", "export", "--format", "csv", "--user", "bob"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines.len() == 7 && lines[0].starts_with("id,started_at,process,seq,client,tool"), "{csv}");
    assert!(lines[1].contains("\"SELECT 1, '100%_sure'\""), "{}", lines[1]);
    for wrong in [["--decision", "maybe"], ["--outcome", "weird"]] {
        let output = home.run(&[&["audit", "show"][..], &wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
    for wrong in ["yesterday", "2026-13-01", "5y", ""] {
        let output = home.run(&["audit", "show", "--since", wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--since must be"));
    }
}

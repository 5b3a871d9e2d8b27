//! The protocol's face: handshakes, the tools as clients see them, faults on the pipe, the end of the process.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Home, Server, content};

#[test]
fn the_tools_stay_as_clients_know_them() {
    let home = Home::new("contract");
    let mut server = home.serve();
    let tools = server.request("tools/list", json!({}));
    let text = tools["tools"].to_string();
    assert!(text.len() < 6_000, "{} bytes", text.len());
    for banned in ["$ref", "$defs", "anyOf", "oneOf", "\"type\":["] {
        assert!(!text.contains(banned), "{banned}");
    }
    for tool in tools["tools"].as_array().unwrap() {
        assert!(tool["description"].as_str().unwrap().len() < 900);
        assert_eq!(tool["annotations"]["readOnlyHint"], true);
        assert_eq!(tool["annotations"]["openWorldHint"], tool["name"] == "ask_database");
    }
    assert!(server.greeting["instructions"].as_str().unwrap().len() < 1_900);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/contract.json");
    let seen = format!("{:#}\n", json!({"tools": tools["tools"], "instructions": server.greeting["instructions"]}));
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    if kept != seen {
        let found = std::env::temp_dir().join("tudb-contract.json");
        std::fs::write(&found, seen).unwrap();
        panic!("the tools changed: compare {} with tests/contract.json", found.display());
    }
}

#[test]
fn every_known_handshake_works() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let home = Home::new("handshake");
        let mut server = Server::start_silent(home.command());
        let hello =
            json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "h", "version": "1"}});
        assert_eq!(server.request("initialize", hello)["protocolVersion"], version);
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
    }
}

#[test]
fn a_session_without_handshake_works() {
    let home = Home::new("modern");
    let mut server = Server::start_silent(home.command());
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}, "io.modelcontextprotocol/clientInfo": {"name": "h", "version": "1"}});
    let found = server.request("server/discover", json!({"_meta": meta}));
    assert!(found.to_string().contains("2026-07-28"), "{found}");
    let tools = server.request("tools/list", json!({"_meta": meta}));
    assert_eq!(tools["resultType"], "complete");
    assert_eq!(tools["tools"].as_array().unwrap().len(), 5);
    let id = server.send("tools/call", json!({"_meta": meta, "name": "run_sql", "arguments": {"sql": "SELECT 1"}}));
    let answer = server.answer(id);
    assert_eq!(answer["result"]["resultType"], "complete");
    assert_eq!(content(&answer)["rows"], json!([[1]]));
}

#[test]
fn faults_on_the_pipe_are_answered_and_survived() {
    let home = Home::new("faults");
    let mut server = Server::start_silent(home.command());
    server.send_line("this is not JSON");
    server.send_line(r#"{"jsonrpc":"2.0","method":"notifications/whatever"}"#);
    server.send_line("");
    let error = server.receive(Duration::from_secs(10)).unwrap();
    assert_eq!(error["error"]["code"], -32700);
    let hello =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "h", "version": "1"}});
    server.request("initialize", hello);
    server.send_line("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]");
    let error = server.receive(Duration::from_secs(10)).unwrap();
    assert_eq!(error["error"]["code"], -32600, "{error}");
    server.send_line(&format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\",\"params\":{{\"x\":\"{}\"}}}}",
        "y".repeat(5 << 20)
    ));
    let error = server.receive(Duration::from_secs(10)).unwrap();
    assert_eq!(error["error"]["code"], -32600, "{error}");
    let id = server.send("tools/call", json!({"name": "drop_everything", "arguments": {}}));
    assert_eq!(server.answer(id)["error"]["code"], -32602);
    let bad = server.call("run_sql", json!({"sql": 7}));
    assert_eq!(bad["error"]["code"], "invalid_argument");
    let bad = server.call("run_sql", json!({"sql": "SELECT 1", "maxrows": 7}));
    assert!(bad["error"]["message"].as_str().unwrap().contains("maxrows"), "{bad}");
    let bad = server.call("run_sql", json!({"sql": "SELECT 1", "source": "other"}));
    assert_eq!(bad["error"]["code"], "unknown_source");
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
}

#[test]
fn pipelined_calls_are_all_answered_once() {
    let home = Home::new("pipelined");
    let mut server = home.serve();
    let ids: Vec<u64> =
        (0..2_000).map(|number| server.send_call("run_sql", json!({"sql": format!("SELECT {number}")}))).collect();
    for (number, id) in ids.into_iter().enumerate() {
        assert_eq!(content(&server.answer(id))["rows"], json!([[number]]));
    }
    assert!(server.receive(Duration::from_millis(200)).is_none());
}

#[test]
fn the_end_of_input_ends_the_process() {
    let home = Home::new("eof");
    let mut server = home.serve();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    server.send_call("run_sql", json!({"sql": endless}));
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    let status = server.finish();
    assert!(status.success());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let outcomes: Vec<Value> = home.records().iter().map(|record| record["outcome"].clone()).collect();
    assert_eq!(outcomes, ["cancelled"]);
}

#[test]
fn a_cancelled_call_has_no_answer_and_a_record() {
    let home = Home::new("cancel");
    let mut server = home.serve();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let id = server.send_call("run_sql", json!({"sql": endless}));
    std::thread::sleep(Duration::from_millis(300));
    server.notify("notifications/cancelled", json!({"requestId": id}));
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
    assert!(server.receive(Duration::from_millis(300)).is_none());
    server.finish();
    let outcomes: Vec<Value> = home.records().iter().map(|record| record["outcome"].clone()).collect();
    assert!(outcomes.contains(&json!("cancelled")), "{outcomes:?}");
}

#[test]
fn progress_comes_only_when_asked_for() {
    let home = Home::new("progress");
    let mut server = home.serve();
    let id = server.send(
        "tools/call",
        json!({"name": "run_sql", "arguments": {"sql": "SELECT 1"}, "_meta": {"progressToken": "p"}}),
    );
    let mut seen = Vec::new();
    loop {
        let message = server.receive(Duration::from_secs(10)).unwrap();
        if message["id"] == id {
            break;
        }
        assert_eq!(message["params"]["progressToken"], "p");
        seen.push(message["params"]["message"].as_str().unwrap().to_owned());
    }
    server.call("run_sql", json!({"sql": "SELECT 1"}));
    assert!(server.receive(Duration::from_millis(100)).is_none());
}

#[test]
fn a_broken_configuration_still_serves_and_says_what_is_wrong() {
    let home = Home::new("broken").set("TUDB_MAX_ROWZ", 1);
    let mut server = home.serve();
    let reply = server.call("run_sql", json!({"sql": "SELECT 1"}));
    assert_eq!(reply["error"]["code"], "config_error");
    assert!(reply["error"]["message"].as_str().unwrap().contains("TUDB_MAX_ROWS?"), "{reply}");
    let output = home.run(&["sql", "SELECT 1"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn stdout_is_clean_at_trace_level_with_a_failing_database() {
    let home = Home::new("trace")
        .set("TUDB_LOG", "trace")
        .set("TUDB_DATABASE_URL", "postgres://someone:s3cr3t-word@127.0.0.1:1/none");
    let mut server = home.serve();
    let reply = server.call("run_sql", json!({"sql": "SELECT 1"}));
    assert_eq!(reply["error"]["code"], "unreachable", "{reply}");
    let stderr = server.stderr.lock().unwrap().clone();
    assert!(!stderr.contains("s3cr3t-word") && !reply.to_string().contains("s3cr3t-word"));
    assert!(!stderr.is_empty());
}

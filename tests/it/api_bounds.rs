//! What one key may take of the HTTP server, and how a refused request ends.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::api::{keyed, with_file};
use crate::support::Home;
use crate::support::web::{Response, Web};

/// A statement that runs until it is cancelled.
const SLOW: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) SELECT count(*) FROM n";

#[test]
fn a_request_that_is_refused_before_its_body_ends_the_connection() {
    let home = Home::new("early");
    let keys = keyed(&home, "", &["all = { KEY }", "slow = { KEY, requests_per_minute = 1 }"]);
    let web = with_file(&home);
    let one = json!({"sql": "SELECT 1"});
    let slow = ("X-API-Key", keys[1].as_str());
    assert_eq!(web.post("/api/sql", &[slow], &one).status, 200);
    let good = ("X-API-Key", keys[0].as_str());
    // The client asks to keep the connection.
    let stays = |headers: &[(&str, &str)], sql: &str| {
        let body = json!({"sql": sql}).to_string();
        let mut stream = web.connect();
        let head = web.posting("/api/sql", headers, &body);
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
        let answered = Response::read(stream).unwrap();
        (answered.status, answered.header("connection").as_deref() != Some("close"))
    };
    assert_eq!(stays(&[("X-API-Key", "tudb_wrong")], "SELECT 1"), (401, false));
    assert_eq!(stays(&[slow], "SELECT 1"), (429, false));
    assert_eq!(stays(&[good], &"x".repeat(300_000)), (413, false));
    assert_eq!(stays(&[good, ("Sec-Fetch-Site", "cross-site")], "SELECT 1"), (403, false));
    assert_eq!(stays(&[good, ("Origin", "http://elsewhere.test")], "SELECT 1"), (403, false));
    assert_eq!(stays(&[good], "SELECT 1"), (200, true));
    assert_eq!(stays(&[good], "DELETE FROM orders"), (422, true));
}

#[test]
fn one_key_leaves_half_of_the_calls_and_bodies_to_others() {
    let home = Home::new("share");
    let keys = keyed(&home, "", &["greedy = { KEY }", "other = { KEY }"]);
    let file = home.scratch.path("tudb.toml");
    let sources = format!("{}\n[sources.one]\n[sources.two]\n", std::fs::read_to_string(&file).unwrap());
    std::fs::write(&file, sources).unwrap();
    let web = with_file(&home);
    let (greedy, other) = (("X-API-Key", keys[0].as_str()), ("X-API-Key", keys[1].as_str()));
    let quick = json!({"sql": "SELECT 1", "source": "two"});
    let body = json!({"sql": SLOW, "source": "one"}).to_string();
    let head = web.posting("/api/sql", &[greedy], &body);
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = web.connect();
            stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(1_500));
    let refused = web.post("/api/sql", &[greedy], &quick);
    assert_eq!((refused.status, refused.code().as_str()), (503, "busy"), "{refused:?}");
    assert_eq!(web.post("/api/sql", &[other], &quick).status, 200);
    drop(calls);
    // Bodies that do not end: 8 of the 16 MB are the most of one key.
    let head = web.head("POST", "/api/sql", &[greedy, ("Content-Length", "262000")]);
    let bodies: Vec<_> = (0..60)
        .map(|_| {
            let mut stream = web.connect();
            stream.write_all(format!("{head}\r\n\r\n{}", " ".repeat(261_000)).as_bytes()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(web.post("/api/sql", &[other], &quick).status, 200);
    drop(bodies);
}

#[test]
fn a_refused_read_of_a_resource_is_recorded() {
    let home = Home::new("refused");
    let keys = keyed(&home, "", &["few = { KEY, tools = [\"run_sql\"] }"]);
    let web = with_file(&home);
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "harness", "version": "1"}});
    let headers = [
        ("X-API-Key", keys[0].as_str()),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "resources/read"),
        ("Mcp-Name", "tudb://schema/orders"),
    ];
    let params = json!({"uri": "tudb://schema/orders", "_meta": meta});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": params});
    let told = web.post("/mcp", &headers, &message).body;
    assert!(told.contains("may not call describe_table"), "{told}");
    let records = home.records();
    let record = records.iter().find(|record| record["tool"] == "describe_table").expect("a record");
    assert_eq!(record["code"], "forbidden", "{record}");
}

/// A session keeps the message that opens it, so that message has a limit of its own.
#[test]
fn a_session_is_opened_by_a_short_message_only() {
    let home = Home::new("hello");
    let web = Web::start(&home, &[]);
    let hello = |bytes: usize, values: usize| {
        let info = json!({"name": "x".repeat(bytes), "version": "1"});
        let capabilities = json!({"experimental": {"x": {"values": vec![0; values]}}});
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": capabilities, "clientInfo": info});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        web.post("/mcp", &[("Accept", "application/json, text/event-stream")], &message)
    };
    assert_eq!(hello(16_000, 1).status, 200);
    assert_eq!(hello(10, 180).status, 200);
    for (bytes, values, says) in [(16_400, 1, "bytes; the limit is 16384"), (10, 200, "commas; the limit is 200")] {
        let refused = hello(bytes, values);
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (413, &json!("too_long")), "{refused:?}");
        assert!(refused.body.contains(says), "{refused:?}");
    }
}

/// A key of one source does not learn from the templates that there are others.
#[test]
fn the_templates_name_a_source_only_for_keys_that_may_choose_one() {
    let home = Home::new("templates");
    let keys = keyed(&home, "", &["one = { KEY, sources = [\"one\"] }", "all = { KEY }"]);
    let file = home.scratch.path("tudb.toml");
    let sources = format!("{}\n[sources.one]\n[sources.two]\n", std::fs::read_to_string(&file).unwrap());
    std::fs::write(&file, sources).unwrap();
    let web = with_file(&home);
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "harness", "version": "1"}});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/templates/list", "params": {"_meta": meta}});
    for (key, says) in keys.iter().zip([false, true]) {
        let headers = [
            ("X-API-Key", key.as_str()),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "resources/templates/list"),
        ];
        let told = web.post("/mcp", &headers, &message).body;
        assert!(told.contains("tudb://schema/{table}"), "{told}");
        assert_eq!(told.contains("{?source}"), says, "{told}");
    }
}

/// The statement of a client that leaves, or that ends its session, is cancelled at once. Without this, the SDK waits two
/// and five seconds first.
#[test]
fn a_client_of_mcp_that_leaves_or_ends_its_session_cancels_its_statement() {
    let home = Home::new("left");
    let web = Web::start(&home, &[]);
    let accept = ("Accept", "application/json, text/event-stream");
    let hello =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "harness", "version": "1"}});
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello});
    let session = web.post("/mcp", &[accept], &hello).header("mcp-session-id").expect("a session").to_owned();
    let in_session = [accept, ("Mcp-Session-Id", session.as_str()), ("MCP-Protocol-Version", "2025-06-18")];
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(web.post("/mcp", &in_session, &initialized).status, 202);
    let alone = [accept, ("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "run_sql")];
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "harness", "version": "1"}});
    let with_progress = {
        let mut meta = meta.clone();
        meta["progressToken"] = json!(1);
        meta
    };
    let ends =
        [("session", &in_session[..], json!({})), ("alone", &alone[..], meta), ("progress", &alone[..], with_progress)];
    for (at, (name, headers, meta)) in ends.into_iter().enumerate() {
        let params = json!({"name": "run_sql", "arguments": {"sql": SLOW}, "_meta": meta});
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).to_string();
        let mut stream = web.connect();
        let head = web.posting("/mcp", headers, &body);
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        if name == "session" {
            assert_eq!(web.raw(&web.head("DELETE", "/mcp", headers), "").status, 204);
        } else {
            drop(stream);
        }
        let left = Instant::now();
        let ended = || {
            let records = home.records();
            let calls: Vec<_> = records.into_iter().filter(|record| record["tool"] == "run_sql").collect();
            calls.get(at).map(|record| (record["outcome"].clone(), record["elapsed_ms"].clone()))
        };
        let (outcome, took) = loop {
            if let Some((outcome, took)) = ended().filter(|(outcome, _)| *outcome == json!("cancelled")) {
                break (outcome, took);
            }
            assert!(left.elapsed() < Duration::from_secs(10), "{name}: {:?}", ended());
            std::thread::sleep(Duration::from_millis(50));
        };
        assert!(took.as_f64().unwrap() < 2_400.0, "{name}: {outcome} after {took} ms");
    }
}

//! Traces and metrics of a binary built with the feature `otel`, sent to a collector on loopback.

use std::time::Duration;

use serde_json::json;

use crate::support::bedrock::{Bedrock, answers, runs};
use crate::support::http::{Endpoint, Reply};
use crate::support::{Home, Server};

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn each_record_is_a_span_without_values() {
    let collector = Endpoint::start(|_, _| Reply::Whole(200, String::new(), String::new()));
    let bedrock = Bedrock::start(vec![
        runs("SELECT count(*) AS n FROM customers WHERE city = 'planted-value'"),
        answers("None."),
    ]);
    let home = bedrock.home(Home::new("otel")).set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    let home = home.set("OTEL_EXPORTER_OTLP_HEADERS", "x-token=planted-token").set("TUDB_LOG", "trace");
    let home = home.set("OTEL_BSP_SCHEDULE_DELAY", 200).set("OTEL_METRIC_EXPORT_INTERVAL", 500);
    let mut server = Server::start(home.command());
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = "b7ad6b7169203331";
    let mut call = |tool: &str, arguments| {
        let params =
            json!({"name": tool, "arguments": arguments, "_meta": {"traceparent": format!("00-{trace}-{parent}-01")}});
        server.request("tools/call", params)
    };
    call("run_sql", json!({"sql": "SELECT name FROM customers WHERE name = 'planted-value' OR id = 1"}));
    call("run_sql", json!({"sql": "DELETE FROM customers WHERE name = 'planted-value'"}));
    call("ask_database", json!({"question": "How many customers of planted-value?"}));
    let stderr = std::sync::Arc::clone(&server.stderr);
    // At the end of the process there is little time to send, so the spans must arrive while the server runs.
    for _ in 0..600 {
        let seen = collector.requests();
        if ["/v1/traces", "/v1/metrics"].iter().all(|path| seen.iter().any(|request| request.path == *path))
            && seen.iter().any(|request| holds(&request.bytes, b"tools/call ask_database"))
        {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(server.finish().success());
    let requests = collector.requests();
    let of = |path: &str| -> Vec<u8> {
        requests.iter().filter(|request| request.path == path).flat_map(|request| request.bytes.clone()).collect()
    };
    let (traces, metrics) = (of("/v1/traces"), of("/v1/metrics"));
    for part in [
        "tools/call run_sql",
        "tools/call ask_database",
        "db.system.name",
        "sqlite",
        "db.namespace",
        "main",
        "error.type",
        "write_refused",
        "db.response.returned_rows",
        "gen_ai.usage.input_tokens",
        "global.anthropic.claude-sonnet-4-6",
        "service.name",
        "tudb",
        "mcp.method.name",
    ] {
        assert!(holds(&traces, part.as_bytes()), "{part}");
    }
    assert!(holds(&metrics, b"mcp.server.operation.duration"));
    // Every record is a span of the caller's trace, with an id of its own. A statement's span belongs to its question.
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    assert!(holds(&traces, &bytes(trace)) && holds(&traces, &bytes(parent)));
    let records = home.records();
    assert_eq!(records.len(), 4);
    let counted = |part: &[u8]| traces.windows(part.len()).filter(|window| *window == part).count();
    for record in &records {
        let id = record["id"].as_str().unwrap();
        assert!(holds(&traces, id.as_bytes()), "{record}");
        let span = bytes(&id.replace('-', "")[16..]);
        let children = records.iter().filter(|other| other["question_id"] == record["id"]).count();
        assert_eq!(counted(&span), 1 + children, "{record}");
    }
    for secret in ["planted-value", "planted-token", "planted-aws-secret"] {
        assert!(!holds(&traces, secret.as_bytes()) && !holds(&metrics, secret.as_bytes()), "{secret}");
    }
    assert!(!stderr.lock().unwrap().contains("planted-token"));
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn without_a_collector_nothing_is_sent_and_a_dead_one_holds_nothing_up() {
    for endpoint in [None, Some("http://127.0.0.1:1")] {
        let mut home = Home::new("otel-none");
        if let Some(endpoint) = endpoint {
            home = home.set("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        }
        let mut server = Server::start(home.command());
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
        assert!(server.finish().success());
    }
    let silent = Endpoint::start(|_, _| Reply::Silence(Duration::from_secs(20)));
    let home = Home::new("otel-silent").set("OTEL_EXPORTER_OTLP_ENDPOINT", &silent.url);
    let mut server = Server::start(home.command());
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
    assert!(server.finish().success());
}

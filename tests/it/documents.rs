//! README and the example configuration agree with the program.

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
        // The values are examples. The program has to know the names.
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
fn the_pages_name_every_setting_tool_and_command() {
    let settings = read("docs/settings.md");
    let config = read("src/config/file.rs");
    let known = config.split('"').filter(|word| word.starts_with("TUDB_")).chain(["TUDB_MODEL", "TUDB_CONFIG"]);
    for name in known {
        assert!(settings.contains(name) || name == "TUDB_DEFAULT_SOURCE", "docs/settings.md lacks {name}");
    }
    let tools = read("docs/tools.md");
    for tool in tudb::tools::ToolName::ALL.map(tudb::tools::ToolName::as_str) {
        assert!(tools.lines().any(|line| line == format!("## {tool}")), "docs/tools.md lacks {tool}");
    }
    let commands = read("docs/commands.md");
    for command in [
        "tudb key",
        "tudb ask",
        "tudb sql",
        "tudb context",
        "tudb eval",
        "tudb doctor",
        "tudb audit",
        "tudb migrate",
        "tudb seed",
    ] {
        assert!(commands.contains(command), "docs/commands.md lacks {command}");
    }
}

#[test]
fn the_readme_is_short_and_opens_with_the_two_commands() {
    let readme = read("README.md");
    assert!(readme.split_whitespace().count() <= 900);
    assert!(readme.lines().all(|line| line.chars().count() <= 160));
    let first = readme.find("cargo run --release -- ask").unwrap();
    let second = readme.find("tests/run").unwrap();
    assert!(first < second && second < 1_500, "README opens with the two commands");
}

/// Each relative link of a page points to an existing file, and to an existing heading if it names one.
#[test]
fn links_lead_somewhere() {
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let of_docs = std::fs::read_dir(top.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let of_top = std::fs::read_dir(top).unwrap().map(|entry| entry.unwrap().path());
    let pages: Vec<_> = of_docs.chain(of_top).filter(|path| path.extension().is_some_and(|ext| ext == "md")).collect();
    assert!(pages.len() > 12, "{pages:?}");
    let slug = |heading: &str| -> String {
        let kept = heading.trim().to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    };
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", page.display());
            if !anchor.is_empty() {
                let target = std::fs::read_to_string(&target).unwrap();
                let mut headings = target.lines().filter(|line| line.starts_with('#'));
                let found = headings.any(|line| slug(line.trim_start_matches('#')) == anchor);
                assert!(found, "{}: {link}", page.display());
            }
        }
    }
}

/// The defaults in `docs/settings.md` equal those of the program.
#[test]
fn the_defaults_of_the_settings_are_those_of_the_program() {
    // `Limits { max_rows: 200, .. }`: the name and the number of each field.
    let limits = format!("{:?}", tudb::limits::Limits::default());
    let (_, fields) = limits.split_once('{').unwrap();
    let of_program: std::collections::HashMap<&str, &str> =
        fields.trim_end_matches('}').split(", ").filter_map(|field| field.trim().split_once(": ")).collect();
    assert!(of_program.len() > 20, "{limits}");
    let mut compared = 0;
    for row in read("docs/settings.md").lines().filter(|line| line.starts_with("| `")) {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let (names, default) = (cells.next().unwrap(), cells.next().unwrap().replace(',', ""));
        let known = names.split('`').filter_map(|name| of_program.get(name.trim())).next();
        if let Some(known) = known.filter(|_| default.chars().all(|character| character.is_ascii_digit())) {
            assert_eq!(default, **known, "{row}");
            compared += 1;
        }
    }
    assert!(compared >= 10, "{compared}");
}

/// Runs the commands of a page in order, and looks for each line of the output that the page shows.
#[test]
fn the_tour_runs_as_it_is_written() {
    let home = Home::new("tour");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_tudb")).parent().unwrap().display().to_string();
    let (mut printed, mut commands, mut lines) = (String::new(), 0, 0);
    for block in read("docs/tour.md").split("\n```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').unwrap();
        match kind {
            "sh" => {
                let mut shell = Command::new("sh");
                shell.args(["-euc", &format!("exec 2>&1\n{text}")]).env_clear().current_dir(home.scratch.path(""));
                shell
                    .env("PATH", format!("{program}:{}", std::env::var("PATH").unwrap()))
                    .env("HOME", home.scratch.path(""));
                let output = shell.output().unwrap();
                printed = String::from_utf8(output.stdout).unwrap();
                assert!(output.status.success(), "{text}\n{printed}");
                commands += text.lines().filter(|line| line.contains("tudb ")).count();
            }
            "text" => {
                for line in text.lines() {
                    assert!(printed.contains(line), "{line:?} is not in\n{printed}");
                    lines += 1;
                }
            }
            other => panic!("a block of kind {other:?}"),
        }
    }
    assert!(commands >= 18 && lines >= 18, "{commands} {lines}");
}

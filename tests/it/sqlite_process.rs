//! The processes that read SQLite files: statements that SQLite itself never ends, and statements that need much
//! memory.
//!
//! No operation that keeps SQLite busy forever is written down here. A stopped process behaves like one: it obeys no
//! deadline and no cancellation.

#![cfg(target_os = "linux")]

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Home, Server, output_of};

/// A statement that is slow and that SQLite can end.
const SLOW: &str = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT max(i) FROM c";

fn sqlite(path: &Path, script: &str) {
    output_of(Command::new("sqlite3").arg(path).arg(script));
}

fn serve(name: &str, script: &str, timeout_ms: u64) -> (Home, Server) {
    let home = Home::new(name);
    let path = home.scratch.path("main.db");
    sqlite(&path, script);
    let home = home
        .set("TUDB_DATABASE_URL", format!("sqlite://{}", path.display()))
        .set("TUDB_STATEMENT_TIMEOUT_MS", timeout_ms);
    let server = home.serve();
    (home, server)
}

/// The running children of a process, without zombies.
fn children(of: u32) -> Vec<u32> {
    let list = Command::new("ps").args(["-o", "pid=,stat=", "--ppid", &of.to_string()]).output().unwrap();
    let text = String::from_utf8(list.stdout).unwrap();
    let alive = text.lines().filter(|line| !line.contains('Z'));
    alive.map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).is_some_and(|state| state != 'Z')
}

fn signal(pid: u32, name: &str) {
    output_of(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]));
}

fn peak_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).map_or(0, |kb| kb.parse().unwrap())
}

fn code(reply: &Value) -> &str {
    reply["error"]["code"].as_str().unwrap_or("ok")
}

fn gone(pid: u32) {
    let began = Instant::now();
    while is_running(pid) {
        assert!(began.elapsed() < Duration::from_secs(5), "process {pid} goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_statement_that_heeds_nothing_is_ended_and_never_makes_the_source_busy() {
    let (_home, mut server) = serve("unheeding", "CREATE TABLE t (a); INSERT INTO t VALUES (1)", 1_000);
    // More calls than the source has connections.
    for _ in 0..6 {
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT a FROM t"}))["rows"], json!([[1]]));
        let worker = *children(server.child.id()).first().expect("a process reads the file");
        signal(worker, "STOP");
        let began = Instant::now();
        let reply = server.call("run_sql", json!({"sql": "SELECT a FROM t"}));
        assert_eq!(code(&reply), "timeout", "{reply}");
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        gone(worker);
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_slow_statement_ends_inside_its_process_which_is_used_again() {
    let (_home, mut server) = serve("slow", "CREATE TABLE t (a); INSERT INTO t VALUES (1)", 700);
    server.call("run_sql", json!({"sql": "SELECT 1"}));
    let before = children(server.child.id());
    assert_eq!(code(&server.call("run_sql", json!({"sql": SLOW}))), "timeout");
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT a FROM t"}))["rows"], json!([[1]]));
    assert_eq!(children(server.child.id()), before);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_process_that_died_between_calls_is_replaced_without_a_word() {
    let (_home, mut server) = serve("died", "CREATE TABLE t (a); INSERT INTO t VALUES (1)", 5_000);
    server.call("run_sql", json!({"sql": "SELECT 1"}));
    for pid in children(server.child.id()) {
        signal(pid, "KILL");
        gone(pid);
    }
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT a FROM t"}))["rows"], json!([[1]]));
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn no_process_outlives_a_server_that_was_killed() {
    let (_home, mut server) = serve("orphans", "CREATE TABLE t (a)", 60_000);
    server.call("run_sql", json!({"sql": "SELECT 1"}));
    for _ in 0..3 {
        server.send_call("run_sql", json!({"sql": SLOW}));
    }
    let began = Instant::now();
    while children(server.child.id()).len() < 3 && began.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let workers = children(server.child.id());
    assert!(workers.len() >= 3, "{workers:?}");
    signal(server.child.id(), "KILL");
    for pid in workers {
        gone(pid);
    }
}

/// Waiting for a writer's lock behaves like an operation that obeys no deadline.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_process_that_nobody_kills_ends_by_itself_when_its_statement_is_overdue() {
    let home = Home::new("overdue");
    let path = home.scratch.path("main.db");
    sqlite(&path, "CREATE TABLE t (a)");
    let mut process = Command::new(env!("CARGO_BIN_EXE_tudb"))
        .arg("sqlite-worker")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
    let mut send = |message: Value| {
        let text = message.to_string();
        input.write_all(&u32::try_from(text.len()).unwrap().to_le_bytes()).unwrap();
        input.write_all(text.as_bytes()).unwrap();
    };
    let bounds = json!({"max_sql_bytes": 32_768, "sampled_values": 50, "max_snapshot_bytes": 1_000_000,
        "sqlite_heap_bytes": 16 << 20, "sqlite_large_heap_bytes": 80 << 20, "sqlite_value_bytes": 40 << 20,
        "sqlite_overrun_ms": 1_000, "count_timeout_ms": 50});
    send(json!({"place": {"File": {"path": path, "is_immutable": false}}, "rules": [], "bounds": bounds}));
    let mut ready = [0; 4];
    output.read_exact(&mut ready).unwrap();
    let mut writer = Command::new("sqlite3").arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writer.stdin.as_mut().unwrap().write_all(b"BEGIN EXCLUSIVE;\n.print locked\n").unwrap();
    let mut locked = [0; 7];
    writer.stdout.as_mut().unwrap().read_exact(&mut locked).unwrap();
    let began = Instant::now();
    send(json!({"work": {"Describe": "t"}, "timeout_ms": 300, "is_large": false, "tells_rows": false}));
    assert!(process.wait().unwrap().success());
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1_200) && took < Duration::from_secs(4), "{took:?}");
    writer.kill().unwrap();
    writer.wait().unwrap();
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_large_cell_is_cut_and_a_statement_that_takes_more_is_refused() {
    let script = "CREATE TABLE t (id, a); INSERT INTO t VALUES (1, CAST(zeroblob(34000000) AS TEXT));
         INSERT INTO t VALUES (2, zeroblob(34000000))";
    let (_home, mut server) = serve("memory", script, 20_000);
    let reply = server.call("run_sql", json!({"sql": "SELECT id, a FROM t"}));
    assert_eq!(reply["cut_cells"], json!([[0, 1, 34_000_000], [1, 1, 68_000_002]]), "{reply}");
    let columns = |bytes: u64| {
        let one = |at: u64| format!("hex(zeroblob({bytes})) AS c{at}");
        format!("SELECT {}", (0..60).map(one).collect::<Vec<_>>().join(", "))
    };
    // First above the memory of most statements and within the larger memory that one statement at a time may use, then
    // above both.
    let reply = server.call("run_sql", json!({"sql": columns(150_000)}));
    assert_eq!(code(&reply), "ok", "{reply}");
    let reply = server.call("run_sql", json!({"sql": columns(1_000_000)}));
    assert_eq!(code(&reply), "sql_error", "{reply}");
    assert!(reply["error"]["message"].as_str().unwrap().contains("more than 80 MB"), "{reply}");
    let reply = server.call("run_sql", json!({"sql": "SELECT length(zeroblob(42000000) || 'x')"}));
    assert!(reply["error"]["message"].as_str().unwrap().contains("40 MB"), "{reply}");
    // Many at once: each process stays small, and so does the server.
    let calls: Vec<u64> = (0..20).map(|_| server.send_call("run_sql", json!({"sql": columns(1_000_000)}))).collect();
    let mut peak = 0;
    for call in calls {
        let answer = server.answer(call);
        peak = children(server.child.id()).into_iter().map(peak_kb).max().unwrap_or(0).max(peak);
        assert_eq!(answer["result"]["isError"], true, "{answer}");
    }
    assert!(peak < 130_000, "{peak} kB in a process that reads");
    assert!(peak_kb(server.child.id()) < 120_000, "{} kB in the server", peak_kb(server.child.id()));
}

#[test]
fn the_sample_is_read_where_nothing_can_be_written() {
    let home = Home::new("no-data").set("XDG_DATA_HOME", "/dev/null/none");
    let mut server = home.serve();
    let reply = server.call("run_sql", json!({"sql": "SELECT count(*) > 50 FROM orders"}));
    assert_eq!(reply["rows"], json!([[1]]), "{reply}");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_table_of_the_wrappers_old_name_can_be_read() {
    let (_home, mut server) = serve(
        "names",
        "CREATE TABLE tudb_result (c1); INSERT INTO tudb_result VALUES (7);
               CREATE VIEW v AS SELECT c1 FROM tudb_result",
        5_000,
    );
    for sql in
        ["SELECT * FROM tudb_result", "SELECT c1 FROM v", "WITH tudb_result AS (SELECT 7) SELECT * FROM tudb_result"]
    {
        assert_eq!(server.call("run_sql", json!({"sql": sql}))["rows"], json!([[7]]), "{sql}");
    }
}

/// A sort beyond the bound on temporary files says so, and is not tried again.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_sort_that_needs_too_much_space_says_so() {
    let (_home, mut server) = serve("full", "CREATE TABLE t (a);", 60_000);
    let sql = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 700000)
        SELECT n FROM c ORDER BY printf('%0500d', n * 7919 % 1000003) LIMIT 1 OFFSET 699000";
    let reply = server.call("run_sql", json!({"sql": sql}));
    let message = reply["error"]["message"].as_str().unwrap_or_default();
    assert!(code(&reply) == "sql_error" && message.contains("256 MB of temporary files"), "{reply}");
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1 AS n"}))["rows"], json!([[1]]));
}

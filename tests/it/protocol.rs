//! The protocol: handshakes, the tools as clients see them, faults on the pipe, the end of the process.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Home, Server, content, output_of};

#[test]
fn the_tools_stay_as_clients_know_them() {
    let home = Home::new("contract");
    let mut server = home.serve();
    let tools = server.request("tools/list", json!({}));
    let text = tools["tools"].to_string();
    assert!(text.len() < 6_000, "{} bytes", text.len());
    for banned in ["$ref", "$defs", "anyOf", "oneOf", "\"type\":["] {
        assert!(!text.contains(banned), "{banned}");
    }
    for tool in tools["tools"].as_array().unwrap() {
        assert!(tool["description"].as_str().unwrap().len() < 900);
        assert_eq!(tool["annotations"]["readOnlyHint"], true);
        assert_eq!(tool["annotations"]["openWorldHint"], tool["name"] == "ask_database");
    }
    assert!(server.greeting["instructions"].as_str().unwrap().len() < 1_900);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/contract.json");
    let seen = format!("{:#}\n", json!({"tools": tools["tools"], "instructions": server.greeting["instructions"]}));
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    if kept != seen {
        let found = std::env::temp_dir().join("tudb-contract.json");
        std::fs::write(&found, seen).unwrap();
        panic!("the tools changed: compare {} with tests/contract.json", found.display());
    }
}

/// `_meta` of the era without a handshake.
fn meta() -> Value {
    json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}, "io.modelcontextprotocol/clientInfo": {"name": "h", "version": "1"}})
}

fn hello(version: &str) -> Value {
    json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "h", "version": "1"}})
}

/// Checks that a call works in the era with a handshake.
fn legacy_call_works(server: &mut Server) {
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
}

/// Checks that a call with its own `_meta` works.
fn modern_call_works(server: &mut Server) {
    let id = server.send("tools/call", json!({"_meta": meta(), "name": "run_sql", "arguments": {"sql": "SELECT 1"}}));
    let answer = server.answer(id);
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    assert_eq!(content(&answer)["rows"], json!([[1]]));
}

/// Checks that a request is refused with a protocol error of this code.
fn refused(server: &mut Server, method: &str, params: Value, code: i64) -> Value {
    let id = server.send(method, params);
    let answer = server.answer(id);
    assert_eq!(answer["error"]["code"], code, "{answer}");
    answer["error"].clone()
}

#[test]
fn every_known_handshake_works() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let home = Home::new("handshake");
        let mut server = Server::start_silent(home.command());
        let greeting = server.request("initialize", hello(version));
        assert_eq!(greeting["protocolVersion"], version);
        // Calls right after the answer need no initialized notification.
        legacy_call_works(&mut server);
        assert!(server.request("tools/list", json!({})).get("resultType").is_none());
    }
}

#[test]
fn a_session_without_handshake_works() {
    let home = Home::new("modern");
    let mut server = Server::start_silent(home.command());
    let found = server.request("server/discover", json!({"_meta": meta()}));
    assert!(found["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")), "{found}");
    for method in ["tools/list", "resources/list", "resources/templates/list", "prompts/list"] {
        let list = server.request(method, json!({"_meta": meta()}));
        assert_eq!((&list["resultType"], &list["cacheScope"]), (&json!("complete"), &json!("private")), "{list}");
        assert!(list["ttlMs"].as_u64().unwrap() > 0, "{list}");
    }
    modern_call_works(&mut server);
}

#[test]
fn both_eras_share_the_pipe_in_any_order() {
    let home = Home::new("eras");
    // Two real clients do this: discover, then the handshake, then calls without `_meta`.
    let mut server = Server::start_silent(home.command());
    server.request("server/discover", json!({"_meta": meta()}));
    server.request("initialize", hello("2025-11-25"));
    server.notify("notifications/initialized", json!({}));
    legacy_call_works(&mut server);
    modern_call_works(&mut server);
    // First calls with `_meta`, then the handshake.
    let mut server = Server::start_silent(home.command());
    modern_call_works(&mut server);
    server.request("initialize", hello("2025-06-18"));
    legacy_call_works(&mut server);
    modern_call_works(&mut server);
    // A handshake, and a second one.
    let mut server = Server::start_silent(home.command());
    server.request("initialize", hello("2024-11-05"));
    modern_call_works(&mut server);
    server.request("initialize", hello("2025-11-25"));
    legacy_call_works(&mut server);
}

#[test]
fn wrong_openings_are_answered_and_the_session_still_opens() {
    let home = Home::new("openings");
    let mut server = Server::start_silent(home.command());
    server.notify("notifications/initialized", json!({}));
    server.request("ping", json!({}));
    let error = refused(&mut server, "tools/list", json!({}), -32602);
    assert!(error["message"].as_str().unwrap().contains("send initialize first"), "{error}");
    refused(&mut server, "initialize", json!({"protocolVersion": 5}), -32602);
    refused(&mut server, "server/discover", json!({}), -32602);
    let mut other = meta();
    other["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    refused(&mut server, "tools/list", json!({"_meta": other}), -32022);
    let incomplete = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    refused(&mut server, "tools/list", json!({"_meta": incomplete}), -32602);
    // An unknown version in the handshake is answered with a known one.
    let greeting = server.request("initialize", hello("2099-01-01"));
    assert_eq!(greeting["protocolVersion"], "2025-11-25");
    legacy_call_works(&mut server);
    modern_call_works(&mut server);
}

#[test]
fn faults_on_the_pipe_are_answered_and_survived() {
    let home = Home::new("faults");
    let mut server = Server::start_silent(home.command());
    let fault = |server: &mut Server, line: &str, id: Value, code: i64| {
        server.send_line(line);
        let error = server.receive(Duration::from_secs(20)).unwrap();
        assert_eq!((&error["id"], &error["error"]["code"]), (&id, &json!(code)), "{error}");
    };
    let all = |server: &mut Server| {
        fault(server, "this is not JSON", Value::Null, -32700);
        server.send_line(r#"{"jsonrpc":"2.0","method":"notifications/whatever"}"#);
        server.send_line("");
        fault(server, "null", Value::Null, -32600);
        fault(server, r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, Value::Null, -32600);
        fault(server, "{}", Value::Null, -32600);
        fault(server, r#"{"jsonrpc":"2.0","id":7}"#, json!(7), -32600);
        fault(server, r#"{"id":"a","method":"ping"}"#, json!("a"), -32600);
        fault(server, r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, Value::Null, -32600);
        // 20 MB, with the id before and after the long text.
        let long = "y".repeat(20 << 20);
        fault(
            server,
            &format!(r#"{{"jsonrpc":"2.0","id":9,"method":"ping","params":{{"x":"{long}"}}}}"#),
            json!(9),
            -32600,
        );
        let line = format!(r#"{{"method":"ping","params":{{"id":1,"x":"{long}"}},"jsonrpc":"2.0","id":"b"}}"#);
        fault(server, &line, json!("b"), -32600);
        fault(server, &long, Value::Null, -32600);
    };
    all(&mut server);
    server.send_line(&format!(
        "\u{feff}{}",
        json!({"jsonrpc": "2.0", "id": "first", "method": "initialize", "params": hello("2025-06-18")})
    ));
    assert_eq!(server.receive(Duration::from_secs(10)).unwrap()["id"], "first");
    all(&mut server);
    refused(&mut server, "no/such/method", json!({}), -32601);
    refused(&mut server, "tools/call", json!({"name": 5}), -32602);
    refused(&mut server, "tools/call", json!({"name": "drop_everything", "arguments": {}}), -32602);
    server.notify("notifications/cancelled", json!({"requestId": 4711}));
    let bad = server.call("run_sql", json!({"sql": 7}));
    assert_eq!(bad["error"]["code"], "invalid_argument");
    let bad = server.call("run_sql", json!({}));
    assert_eq!(bad["error"]["code"], "invalid_argument");
    let bad = server.call("run_sql", json!({"sql": "SELECT 1", "maxrows": 7}));
    assert!(bad["error"]["message"].as_str().unwrap().contains("maxrows"), "{bad}");
    let bad = server.call("run_sql", json!({"sql": "SELECT 1", "source": "other"}));
    assert_eq!(bad["error"]["code"], "unknown_source");
    legacy_call_works(&mut server);
    modern_call_works(&mut server);
}

#[test]
fn pipelined_calls_are_all_answered_once() {
    let home = Home::new("pipelined");
    let mut server = home.serve();
    let ids: Vec<u64> =
        (0..2_000).map(|number| server.send_call("run_sql", json!({"sql": format!("SELECT {number}")}))).collect();
    for (number, id) in ids.into_iter().enumerate() {
        assert_eq!(content(&server.answer(id))["rows"], json!([[number]]));
    }
    assert!(server.receive(Duration::from_millis(200)).is_none());
}

const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

/// The outcomes in the records of a home, oldest first.
fn outcomes(home: &Home) -> Vec<Value> {
    home.records().iter().map(|record| record["outcome"].clone()).collect()
}

#[test]
fn the_end_of_input_ends_the_process() {
    let home = Home::new("eof");
    let mut server = home.serve();
    server.send_call("run_sql", json!({"sql": ENDLESS}));
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    let status = server.finish();
    println!("end of input to exit, SQLite busy: {:?}", began.elapsed());
    assert!(status.success());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(outcomes(&home), ["cancelled"]);
}

/// Messages from a pipe are answered although the input has already ended.
#[test]
fn what_was_asked_before_the_end_of_input_is_answered() {
    let home = Home::new("piped");
    let mut lines = String::new();
    let mut line = |message: Value| lines.push_str(&format!("{message}\n"));
    let opening =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "sh", "version": "1"}});
    line(json!({"jsonrpc": "2.0", "id": "open", "method": "initialize", "params": opening}));
    line(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    for number in 0..200 {
        let call = json!({"name": "run_sql", "arguments": {"sql": format!("SELECT {number}")}});
        line(json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call}));
    }
    let file = home.scratch.path("messages");
    // The last line break may be missing.
    std::fs::write(&file, lines.trim_end()).unwrap();
    let began = Instant::now();
    let output = home.command().arg("serve").stdin(std::fs::File::open(&file).unwrap()).output().unwrap();
    assert!(output.status.success() && began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let mut answers: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    answers.retain(|answer| answer["id"] != "open");
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!(answers.len(), 200);
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(content(answer)["rows"], json!([[number]]));
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_signal_ends_the_process_like_the_end_of_input() {
    let home = Home::new("sigterm");
    let mut server = home.serve();
    server.send_call("run_sql", json!({"sql": ENDLESS}));
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    output_of(Command::new("kill").args(["-TERM", &server.child.id().to_string()]));
    assert!(server.child.wait().unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(outcomes(&home), ["cancelled"]);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_killed_parent_leaves_no_orphan() {
    let home = Home::new("orphan");
    let program = "import subprocess, sys, time; child = subprocess.Popen(sys.argv[1], stdin=subprocess.PIPE); \
                   child.stdin.write(sys.argv[2].encode()); child.stdin.flush(); print(child.pid, flush=True); time.sleep(600)";
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"_meta": meta(), "name": "run_sql", "arguments": {"sql": ENDLESS}}});
    let mut parent = Command::new("python3")
        .args(["-c", program, env!("CARGO_BIN_EXE_tudb"), &format!("{call}\n")])
        .env("HOME", home.scratch.path(""))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pid = String::new();
    BufReader::new(parent.stdout.as_mut().unwrap()).read_line(&mut pid).unwrap();
    let pid = pid.trim().to_owned();
    std::thread::sleep(Duration::from_millis(500));
    // With SIGKILL the parent cannot end its child itself.
    parent.kill().unwrap();
    parent.wait().unwrap();
    let began = Instant::now();
    // A dead orphan is a zombie until init collects it.
    let lives = || {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    };
    while lives() {
        assert!(began.elapsed() < Duration::from_secs(10), "the server outlives its parent");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(outcomes(&home), ["cancelled"]);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn what_a_dependency_prints_never_reaches_stdout() {
    let home = Home::new("stray");
    let source = home.scratch.path("stray.c");
    std::fs::write(
        &source,
        "#include <pthread.h>\n#include <unistd.h>\n
         static void *babble(void *x) {
             sleep(2); /* what comes before the program's first line cannot be helped */
             for (;;) { (void)!write(1, \"stray words\\n\", 12); usleep(20000); }
             return x;
         }
         __attribute__((constructor)) static void begin(void) { pthread_t t; pthread_create(&t, 0, babble, 0); }",
    )
    .unwrap();
    let library = home.scratch.path("stray.so");
    output_of(Command::new("cc").args(["-shared", "-fPIC", "-pthread", "-o"]).arg(&library).arg(&source));
    let home = home.set("LD_PRELOAD", library.display());
    // The harness fails on a line that is not JSON-RPC.
    let mut server = home.serve();
    let began = Instant::now();
    while server.stderr.lock().unwrap().matches("stray words").count() < 10 {
        assert!(began.elapsed() < Duration::from_secs(30), "nothing was printed");
        legacy_call_works(&mut server);
        std::thread::sleep(Duration::from_millis(30));
    }
}

#[test]
fn a_fast_call_is_not_stuck_behind_slow_ones() {
    let home = Home::new("fast").set("TUDB_STATEMENT_TIMEOUT_MS", 20_000);
    let mut server = home.serve();
    for _ in 0..3 {
        server.send_call("run_sql", json!({"sql": ENDLESS}));
    }
    let began = Instant::now();
    legacy_call_works(&mut server);
    server.call("list_tables", json!({}));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_client_that_does_not_read_is_waited_for() {
    let home = Home::new("deaf");
    let mut server = Server::start_unread(home.command());
    server.send_line(
        &json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello("2025-11-25")}).to_string(),
    );
    // 40 MB of replies that nobody reads. They are kept in memory, and all arrive when the client reads again.
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) SELECT i, printf('%.30c', 'x') FROM n";
    let call = json!({"name": "run_sql", "arguments": {"sql": sql, "max_rows": 1_000}});
    for id in 1..=500 {
        server.send_line(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": call}).to_string());
    }
    std::thread::sleep(Duration::from_secs(1));
    server.read_now();
    for id in 1..=500 {
        assert!(server.answer(id)["result"]["content"][0]["text"].as_str().unwrap().len() > 10_000);
    }
}

#[test]
fn a_client_that_never_reads_and_goes_leaves_no_process() {
    let home = Home::new("gone").set("TUDB_MAX_REPLY_BYTES", 20_000_000).set("TUDB_MAX_CELL_BYTES", 10_000_000);
    let mut server = Server::start_unread(home.command());
    let open = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello("2025-11-25")});
    server.send_line(&open.to_string());
    let call = json!({"name": "run_sql", "arguments": {"sql": "SELECT hex(zeroblob(2500000)) AS a"}});
    for id in 1..=12 {
        server.send_line(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": call}).to_string());
    }
    std::thread::sleep(Duration::from_secs(2));
    server.send_line(&json!({"jsonrpc": "2.0", "id": 99, "method": "ping"}).to_string());
    std::thread::sleep(Duration::from_millis(200));
    server.close_stdin();
    let began = Instant::now();
    while server.child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(10), "the process does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_cancelled_call_has_no_answer_and_a_record() {
    let home = Home::new("cancel");
    let mut server = home.serve();
    let id = server.send_call("run_sql", json!({"sql": ENDLESS}));
    std::thread::sleep(Duration::from_millis(300));
    server.notify("notifications/cancelled", json!({"requestId": id}));
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
    assert!(server.receive(Duration::from_millis(300)).is_none());
    server.finish();
    let outcomes: Vec<Value> = home.records().iter().map(|record| record["outcome"].clone()).collect();
    assert!(outcomes.contains(&json!("cancelled")), "{outcomes:?}");
}

#[test]
fn progress_comes_only_when_asked_for() {
    let home = Home::new("progress");
    let mut server = home.serve();
    let id = server.send(
        "tools/call",
        json!({"name": "run_sql", "arguments": {"sql": "SELECT 1"}, "_meta": {"progressToken": "p"}}),
    );
    let mut seen = Vec::new();
    loop {
        let message = server.receive(Duration::from_secs(10)).unwrap();
        if message["id"] == id {
            break;
        }
        assert_eq!(message["params"]["progressToken"], "p");
        seen.push(message["params"]["message"].as_str().unwrap().to_owned());
    }
    server.call("run_sql", json!({"sql": "SELECT 1"}));
    assert!(server.receive(Duration::from_millis(100)).is_none());
}

#[test]
fn a_long_call_is_heard_of_again_and_again() {
    let home = Home::new("long").set("TUDB_STATEMENT_TIMEOUT_MS", 9_000).set("TUDB_MAX_REPLY_BYTES", 10_000_000);
    let mut server = home.serve();
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000) SELECT i FROM n";
    // Three thousand rows, then none until the time limit.
    let sql = format!("SELECT * FROM ({rows}) UNION ALL SELECT * FROM ({ENDLESS})");
    let arguments = json!({"sql": sql, "max_rows": 10_000});
    let call = json!({"name": "run_sql", "arguments": arguments, "_meta": {"progressToken": 7}});
    let id = server.send("tools/call", call);
    let (mut messages, mut last, mut longest, mut heard) = (Vec::new(), 0.0, Duration::ZERO, Instant::now());
    loop {
        let message = server.receive(Duration::from_secs(30)).unwrap();
        longest = longest.max(heard.elapsed());
        heard = Instant::now();
        if message["id"] == id {
            assert_eq!(content(&message)["error"]["code"], "timeout");
            break;
        }
        assert_eq!(message["params"]["progressToken"], 7);
        let progress = message["params"]["progress"].as_f64().unwrap();
        assert!(progress > last);
        last = progress;
        messages.push(message["params"]["message"].as_str().unwrap().to_owned());
    }
    // Without progress messages, the silence would last the nine seconds of the limit.
    assert!(longest < Duration::from_secs(8), "{longest:?} of silence: {messages:?}");
    assert!(messages.iter().any(|message| message.ends_with("4 s")), "{messages:?}");
    assert!(messages.iter().any(|message| message.contains("000 rows")), "{messages:?}");
}

#[test]
fn a_full_queue_is_said_at_once() {
    let home = Home::new("busy");
    let path = home.scratch.path("tudb.toml");
    std::fs::write(&path, "statement_timeout_ms = 2000\n[limits]\nmax_calls = 1\nmax_queued_calls = 2\n").unwrap();
    let home = home.set("TUDB_CONFIG", path.display());
    let mut server = home.serve();
    let ids: Vec<u64> = (0..6).map(|_| server.send_call("run_sql", json!({"sql": ENDLESS}))).collect();
    let answers: Vec<Value> = ids.into_iter().map(|id| content(&server.answer(id))["error"].clone()).collect();
    let of = |code: &str| answers.iter().filter(|error| error["code"] == code).count();
    assert_eq!((of("timeout"), of("busy")), (3, 3), "{answers:?}");
    assert!(answers.iter().any(|error| error["hint"].as_str().unwrap().contains("Wait for answers")), "{answers:?}");
    legacy_call_works(&mut server);
}

#[test]
fn a_broken_configuration_still_serves_and_says_what_is_wrong() {
    let home = Home::new("broken").set("TUDB_MAX_ROWZ", 1);
    let mut server = home.serve();
    let reply = server.call("run_sql", json!({"sql": "SELECT 1"}));
    assert_eq!(reply["error"]["code"], "config_error");
    assert!(reply["error"]["message"].as_str().unwrap().contains("TUDB_MAX_ROWS?"), "{reply}");
    let output = home.run(&["sql", "SELECT 1"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn stdout_is_clean_at_trace_level_with_a_failing_database() {
    let home = Home::new("trace")
        .set("TUDB_LOG", "trace")
        .set("TUDB_DATABASE_URL", "postgres://someone:s3cr3t-word@127.0.0.1:1/none");
    let mut server = home.serve();
    let reply = server.call("run_sql", json!({"sql": "SELECT 1"}));
    assert_eq!(reply["error"]["code"], "unreachable", "{reply}");
    let stderr = server.stderr.lock().unwrap().clone();
    assert!(!stderr.contains("s3cr3t-word") && !reply.to_string().contains("s3cr3t-word"));
    assert!(!stderr.is_empty());
}

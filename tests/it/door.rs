//! Limits on requests: the length of a line, its values, its id, and the sum of all waiting requests.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Home, Server, content, peak_memory_kb};

/// A statement that obeys every limit and runs until it is cancelled.
const SLOW: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) SELECT count(*) FROM n";

/// Calls that run at once; the others wait.
const RUNNING: usize = 8;

/// Maximum memory of the process, whatever its callers send.
const PEAK_KB: u64 = 120_000;

/// `_meta` of the era without a handshake, with one more entry.
fn meta(client: &str, version: &str, key: &str, value: Value) -> Value {
    json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": client, "version": version}, key: value})
}

/// Requests that each contain this text in another place.
fn carriers(text: &str) -> Vec<Value> {
    let call = |arguments: Value, meta: Value| json!({"name": "run_sql", "arguments": arguments, "_meta": meta});
    let plain = || meta("h", "1", "x", json!(0));
    vec![
        call(json!({"sql": "SELECT 1", "user_id": text}), plain()),
        call(json!({"sql": "SELECT 1"}), meta("h", "1", "traceparent", json!(text))),
        call(json!({"sql": "SELECT 1"}), meta("h", "1", "com.example/other", json!({"deep": [text]}))),
        call(json!({"sql": "SELECT 1"}), meta(text, "1", "x", json!(0))),
        call(json!({"sql": "SELECT 1"}), meta("h", text, "x", json!(0))),
        call(json!({"sql": "SELECT 1"}), meta("h", "1", "progressToken", json!(text))),
        call(json!({"sql": "SELECT 1", "unknown": text}), plain()),
        json!({"name": text, "arguments": {"sql": "SELECT 1"}, "_meta": plain()}),
        json!({"name": "run_sql", "arguments": {"sql": "SELECT 1"}, "inputResponses": {"x": {"action": "accept", "content": {"y": text}}},
            "_meta": plain()}),
        json!({"name": "ask_database", "arguments": {"question": "orders", "session_id": text}, "_meta": plain()}),
    ]
}

/// Sends 150 calls with such a text while others run. Each call is answered, the process stays small, and the next call
/// works. Returns the number of admitted calls and the peak memory.
fn flood(text: &str) -> (usize, u64) {
    let home = Home::new("flood").set("TUDB_MODEL", "builtin");
    let mut server = home.serve();
    let slow: Vec<u64> = (0..RUNNING).map(|_| server.send_call("run_sql", json!({"sql": SLOW}))).collect();
    std::thread::sleep(Duration::from_millis(300));
    let carriers = carriers(text);
    let ids: Vec<u64> = (0..150).map(|at| server.send("tools/call", carriers[at % carriers.len()].clone())).collect();
    std::thread::sleep(Duration::from_millis(500));
    for id in slow {
        let reason = text.get(..250_000).unwrap_or(text);
        server.notify("notifications/cancelled", json!({"requestId": id, "reason": reason}));
    }
    let refused = ids.iter().filter(|id| is_refused_at_the_door(&server.answer(**id))).count();
    let peak = peak_memory_kb(&server.child);
    let next = server.call("run_sql", json!({"sql": "SELECT 1"}));
    assert_eq!(next["rows"], json!([[1]]), "{next}");
    assert!(peak < PEAK_KB, "{peak} kB with texts of {} bytes", text.len());
    (ids.len() - refused, peak)
}

fn is_refused_at_the_door(answer: &Value) -> bool {
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    let known = ["the limit is", "the progressToken is longer than", "busy: "];
    let is_refused = known.iter().any(|words| message.contains(words));
    // The only other protocol error here is that of an unknown tool.
    assert!(is_refused || answer.get("error").is_none() || message.contains("unknown tool"), "{answer}");
    is_refused
}

#[test]
fn many_calls_with_long_fields_take_little_memory() {
    for bytes in [5_000_000, 3_900_000, 250_000, 100_000, 8_000] {
        let (taken, peak) = flood(&"y".repeat(bytes));
        println!("fields of {bytes} bytes: {taken} of 150 calls taken in, peak {peak} kB");
        match bytes {
            5_000_000 => assert_eq!(taken, 0),
            // All calls except those whose progress token is too long.
            8_000 => assert_eq!(taken, 135),
            _ => assert!((1..=135).contains(&taken), "{taken}"),
        }
    }
}

#[test]
fn many_values_and_long_ids_are_refused_by_name() {
    let home = Home::new("values");
    let mut server = home.serve();
    let call = json!({"sql": "SELECT 1"});
    let many = json!({"name": "run_sql", "arguments": call, "_meta": {"x": vec![0; 2_000]}});
    let id = server.send("tools/call", many);
    let answer = server.answer(id);
    assert_eq!(answer["error"]["code"], -32600, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("the limit is 2000"), "{answer}");
    let some = json!({"name": "run_sql", "arguments": call, "_meta": {"x": vec![0; 1_900]}});
    let id = server.send("tools/call", some);
    assert_eq!(content(&server.answer(id))["rows"], json!([[1]]));
    let ping = |id: &str| json!({"jsonrpc": "2.0", "id": id, "method": "ping"}).to_string();
    server.send_line(&ping(&"i".repeat(999)));
    let error = server.receive(Duration::from_secs(20)).unwrap();
    assert_eq!((&error["id"], &error["error"]["code"]), (&Value::Null, &json!(-32600)), "{error}");
    server.send_line(&ping(&"i".repeat(998)));
    assert_eq!(server.receive(Duration::from_secs(20)).unwrap()["id"], "i".repeat(998));
}

#[test]
fn a_line_that_never_ends_takes_no_memory() {
    let home = Home::new("endless_line");
    let mut server = home.serve();
    // A key, an id and a text, each far longer than a line may be.
    let long = "y".repeat(100 << 20);
    for line in [format!(r#"{{"{long}":1}}"#), format!(r#"{{"id":"{long}"}}"#), long] {
        server.send_line(&line);
        let error = server.receive(Duration::from_secs(30)).unwrap();
        assert_eq!((&error["id"], &error["error"]["code"]), (&Value::Null, &json!(-32600)), "{error}");
    }
    let peak = peak_memory_kb(&server.child);
    assert!(peak < PEAK_KB, "{peak} kB");
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
}

#[test]
fn the_longest_statement_passes_however_it_is_escaped() {
    let home = Home::new("escaped");
    let mut server = home.serve();
    let text = format!("SELECT length('{}') AS n", "é".repeat(16_000));
    let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    server.send_line(&format!(
        r#"{{"jsonrpc":"2.0","id":"e","method":"tools/call","params":{{"name":"run_sql","arguments":{{"sql":"{escaped}"}}}}}}"#
    ));
    let answer = server.receive(Duration::from_secs(20)).unwrap();
    assert_eq!(content(&answer)["rows"], json!([[16_000]]));
    let ascii = format!("SELECT 1{}", " ".repeat(32_768 - 8)).bytes().fold(String::new(), |mut text, byte| {
        text.push_str(&format!("\\u{byte:04x}"));
        text
    });
    server.send_line(&format!(
        r#"{{"jsonrpc":"2.0","id":"f","method":"tools/call","params":{{"name":"run_sql","arguments":{{"sql":"{ascii}"}}}}}}"#
    ));
    assert_eq!(content(&server.receive(Duration::from_secs(20)).unwrap())["rows"], json!([[1]]));
}

#[test]
fn the_client_s_words_are_cut_in_the_record() {
    let home = Home::new("client_words");
    let mut server: Server = home.serve();
    let long = "n".repeat(5_000);
    let meta = meta(&long, &long, "traceparent", json!(long));
    let id = server.send("tools/call", json!({"name": "run_sql", "arguments": {"sql": "SELECT 1"}, "_meta": meta}));
    assert_eq!(content(&server.answer(id))["rows"], json!([[1]]));
    let refused = server.call("run_sql", json!({"sql": "SELECT 1", "user_id": "u".repeat(8_001)}));
    assert_eq!(refused["error"]["code"], "invalid_argument", "{refused}");
    server.finish();
    let records = home.records();
    assert_eq!(records[0]["client"], format!("{0}/{0}", "n".repeat(200)));
    assert!(records[0].get("traceparent").is_none());
}

/// Statements of many names, whose parts take many times the memory of their text.
#[test]
fn many_statements_of_many_names_take_little_memory() {
    let names = |count: usize, name: &dyn Fn(usize) -> String| (0..count).map(name).collect::<Vec<_>>().join(",");
    let letters =
        |n: usize| -> String { [n / 676, n / 26 % 26, n % 26].map(|at| char::from(b'a' + at as u8)).iter().collect() };
    for text in [
        format!("SELECT 1 FROM {}", names(4_900, &|n| format!("x{}", letters(n)))),
        format!("SELECT {}", names(4_900, &|n| format!("x{}", letters(n)))),
        format!("SELECT {}", names(2_400, &|n| format!("x{0}.y{0}", letters(n)))),
        format!("SELECT {} FROM {}", vec!["*"; 4_000].join(","), names(200, &|n| format!("x{}", letters(n)))),
    ] {
        let home = Home::new("names").set("TUDB_MODEL", "builtin");
        let mut server = home.serve();
        let slow: Vec<u64> = (0..RUNNING).map(|_| server.send_call("run_sql", json!({"sql": SLOW}))).collect();
        std::thread::sleep(Duration::from_millis(300));
        let ids: Vec<u64> = (0..150).map(|_| server.send_call("run_sql", json!({"sql": text}))).collect();
        std::thread::sleep(Duration::from_millis(1_500));
        for id in slow {
            server.notify("notifications/cancelled", json!({"requestId": id}));
        }
        for id in ids {
            assert!(!server.answer(id).is_null());
        }
        let peak = peak_memory_kb(&server.child);
        println!("{} …: peak {peak} kB", text.get(..30).unwrap());
        assert!(peak < PEAK_KB, "{peak} kB: {}", text.get(..60).unwrap());
    }
}

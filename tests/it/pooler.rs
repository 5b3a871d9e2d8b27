//! Behind a real PgBouncer in transaction mode with its stock settings, which hands three backends around.

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
        PgBouncer { child: command.spawn().unwrap(), port, directory }
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
        // Once the string says that there is a pooler, and once it is for the program to see.
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
        // Nothing stays on the pooler's backends: no read-only default, no limit, no named statement; these but while all
        // eight start at once and one has not seen the pooler yet.
        let left = "SELECT current_setting('statement_timeout'), current_setting('default_transaction_read_only'),
            (SELECT count(*) FROM pg_prepared_statements), pg_sleep(0.2)";
        std::thread::scope(|scope| {
            // Side by side, so that each meets a backend of its own.
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

/// One process: calls side by side, each with an answer of its own, and the transaction's settings in it.
fn work(home: &Home, index: usize) {
    let mut server = home.serve();
    let mut sent = Vec::new();
    for number in 0..CALLS {
        // A new text each time, and types that the driver does not know.
        let sql = format!("SELECT {number} AS n, {index} AS worker, feels, state() FROM people WHERE id = {number}");
        sent.push((number, server.send_call("run_sql", json!({"sql": sql}))));
    }
    for (number, id) in sent {
        let reply = content(&server.answer(id));
        let feels = if number % 2 == 0 { "sad" } else { "happy" };
        assert_eq!(reply["rows"], json!([[number, index, feels, "on 12345ms"]]), "{reply}");
    }
}

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
        Self::of(postgres, database, "postgres", 3)
    }

    /// A pooler that logs in as `user` and has so many backends.
    fn of(postgres: &Postgres, database: &str, user: &str, backends: u32) -> Self {
        let directory = unprivileged_directory("pgbouncer");
        let port = free_port();
        let settings = format!(
            "[databases]\n{database} = host=127.0.0.1 port={} user={user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nauth_type = any\npool_mode = transaction\ndefault_pool_size = {backends}\nunix_socket_dir =\n",
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
const CALLS: usize = 100;

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
        // The pooler's backends keep no read-only default, no limit and no named statement, also none of a process that
        // had not noticed the pooler yet.
        let left = "SELECT current_setting('statement_timeout'), current_setting('default_transaction_read_only'),
            (SELECT count(*) FROM pg_prepared_statements), pg_sleep(0.2)";
        std::thread::scope(|scope| {
            // At the same time, so that each session gets another backend.
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut psql = postgres.psql(&database);
                    let text = output_of(psql.args(["-p", &bouncer.port.to_string(), "-c", left]));
                    assert_eq!(text.trim(), "0|off|0|");
                });
            }
        });
        let doctor = home.say(&["doctor"]);
        assert!(doctor.contains("transaction pooler"), "{doctor}");
    }
}

/// A temporary table, a role and settings that another client left in a session of the pooler change no reply.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn what_another_client_left_in_the_session_changes_nothing() {
    for postgres in servers() {
        let (database, _) = postgres.database("leftovers");
        postgres.script(
            &database,
            "CREATE ROLE user_of_pool; CREATE ROLE other_of_pool; CREATE TABLE notes (owner text, n int);
             INSERT INTO notes VALUES ('ann', 1), ('bob', 2); ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own ON notes USING (owner = coalesce(nullif(current_setting('app.owner', true), ''), 'ann'));
             CREATE SCHEMA evil; CREATE TABLE evil.notes AS SELECT 'evil' AS owner, 9 AS n; GRANT USAGE ON SCHEMA evil TO public;
             GRANT SELECT ON evil.notes TO public; GRANT SELECT ON notes TO user_of_pool;",
        );
        let bouncer = PgBouncer::before(postgres, &database);
        let url = format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable&pgbouncer=true", bouncer.port);
        let leave = |statement: &str| {
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        let mut psql = postgres.psql(&database);
                        let text = format!("{statement}; SELECT pg_sleep(0.3)");
                        output_of(psql.args(["-p", &bouncer.port.to_string(), "-c", &text]));
                    });
                }
            });
        };
        let serve = |user: &str| {
            let home = Home::new("leftovers");
            let config = home.scratch.path("tudb.toml");
            std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\n{user}")).unwrap();
            home.set("TUDB_CONFIG", config.display()).serve()
        };
        let mut users = serve("[sources.main.user]\nrole = \"user_of_pool\"\n");
        let mut plain = serve("");
        for left in [
            "SELECT 1",
            "CREATE TEMP TABLE notes (owner text, n int); INSERT INTO notes VALUES ('forged', 3); GRANT ALL ON notes TO public",
            "SET row_security = off",
            "SET search_path = evil, public",
            "SET transform_null_equals = on",
            "SET client_encoding = LATIN1",
            "SET app.owner = 'bob'",
            "DO $$BEGIN IF current_setting('transaction_timeout', true) IS NOT NULL THEN
               PERFORM set_config('transaction_timeout', '400', false); END IF; END$$",
            "SET ROLE other_of_pool",
            "SET SESSION AUTHORIZATION other_of_pool",
            "SET default_transaction_isolation = serializable; SET default_transaction_deferrable = on",
        ] {
            leave(left);
            for _ in 0..2 {
                let sql = "SELECT owner, n FROM notes";
                let reply = users.call("run_sql", json!({"sql": sql, "user_id": "ann"}));
                assert_eq!(reply["rows"], json!([["ann", 1]]), "{left}: {reply}");
                let reply = plain.call(
                    "run_sql",
                    json!({"sql": "SELECT count(*), current_user, session_user, 'é', count(*) FILTER (WHERE n = NULL),
                        current_setting('transaction_isolation') FROM notes"}),
                );
                let expected = json!([[2, "postgres", "postgres", "é", 0, "read committed"]]);
                assert_eq!(reply["rows"], expected, "{left}: {reply}");
            }
        }
        let slow = plain.call("run_sql", json!({"sql": "SELECT count(*) FROM generate_series(1, 8000000)"}));
        assert_eq!(slow["rows"], json!([[8_000_000]]), "{slow}");
        drop((users, plain, bouncer));
        postgres.query(&database, "DROP OWNED BY user_of_pool, other_of_pool; DROP ROLE user_of_pool, other_of_pool");
    }
}

/// A pooler that is hard to notice gets no named statement, and statements are cancelled through it.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_pooler_that_hides_gets_no_named_statement() {
    const RUNNING: &str = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%2000000000%' AND state = 'active'
        AND pid <> pg_backend_pid()";
    for postgres in servers() {
        let (database, _) = postgres.database("hidden");
        postgres.script(
            &database,
            "CREATE ROLE login_of_pool LOGIN; CREATE ROLE shown_of_pool; GRANT shown_of_pool TO login_of_pool;
             CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE notes (n int, feels mood, secret text);
             INSERT INTO notes VALUES (1, 'sad', 'x'); GRANT SELECT ON notes TO login_of_pool, shown_of_pool;",
        );
        let bouncer = PgBouncer::of(postgres, &database, "login_of_pool", 2);
        let psql = |text: &str| {
            let mut psql = postgres.psql(&database);
            psql.args(["-U", "login_of_pool", "-p", &bouncer.port.to_string(), "-c", text]);
            psql
        };
        // At the same time, so that each session gets another backend.
        let at_each_backend = |text: &str| -> [String; 2] {
            let one = || output_of(&mut psql(&format!("SELECT {text}, pg_sleep(0.3)")));
            std::thread::scope(|scope| [scope.spawn(one), scope.spawn(one)].map(|thread| thread.join().unwrap()))
        };
        let url = format!("postgres://login_of_pool@127.0.0.1:{}/{database}?sslmode=disable", bouncer.port);
        let serve = |rules: &str| {
            let home = Home::new("hidden");
            let config = home.scratch.path("tudb.toml");
            std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\n{rules}")).unwrap();
            home.set("TUDB_CONFIG", config.display()).serve()
        };
        for hides in ["by the role of another client", "by a default role", "by being busy"] {
            let default = if hides == "by a default role" { "SET role = 'shown_of_pool'" } else { "RESET role" };
            postgres.query(&database, &format!("ALTER ROLE login_of_pool {default}"));
            // New backends of the pooler have the defaults of the login.
            let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'login_of_pool'";
            postgres.query(&database, end);
            if hides == "by the role of another client" {
                at_each_backend("set_config('role', 'shown_of_pool', false)");
            }
            let mut busy: Vec<Child> = Vec::new();
            if hides == "by being busy" {
                busy.extend((0..2).map(|_| psql("SELECT pg_sleep(2.5)").stdout(Stdio::null()).spawn().unwrap()));
            }
            let (mut plain, mut ruled) = (serve(""), serve("deny = [\"notes.secret\"]\n"));
            for server in [&mut plain, &mut ruled] {
                for sql in ["SELECT n, feels FROM notes", "SELECT count(*) FROM notes", "SELECT n, feels FROM notes"] {
                    let reply = server.call("run_sql", json!({"sql": sql}));
                    assert_eq!(reply["row_count"], 1, "{hides}: {reply}");
                }
                for (tool, arguments) in [
                    ("explain_query", json!({"sql": "SELECT n FROM notes"})),
                    ("list_tables", json!({})),
                    ("describe_table", json!({"table": "notes"})),
                ] {
                    let reply = server.call(tool, arguments);
                    assert!(reply["error"].is_null(), "{hides}: {reply}");
                }
            }
            let refused = ruled.call("run_sql", json!({"sql": "SELECT secret FROM notes"}));
            assert_eq!(refused["error"]["code"], "column_denied", "{hides}: {refused}");
            for backend in at_each_backend("(SELECT count(*) FROM pg_prepared_statements)") {
                assert_eq!(backend.trim(), "0|", "{hides}");
            }
            let until = |running: &str| {
                let since = std::time::Instant::now();
                while postgres.query(&database, RUNNING) != running {
                    assert!(since.elapsed().as_secs() < 20, "{hides}: still not {running} running");
                    std::thread::sleep(std::time::Duration::from_millis(50));
                }
            };
            let long = "SELECT count(*) FROM generate_series(1, 2000000000) a";
            let id = plain.send_call("run_sql", json!({"sql": long}));
            until("1");
            plain.notify("notifications/cancelled", json!({"requestId": id}));
            until("0");
            for mut child in busy {
                child.wait().unwrap();
            }
        }
        drop(bouncer);
        postgres.query(&database, "DROP OWNED BY login_of_pool, shown_of_pool");
        postgres.query(&database, "DROP ROLE login_of_pool, shown_of_pool");
    }
}

/// The statements of the audit trail have no names: those of another process, or of another client, do not answer for them.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_audit_store_behind_a_pooler_keeps_every_record() {
    for postgres in servers() {
        let (database, _) = postgres.database("pooled_store");
        let home = Home::new("pooled-store");
        postgres.script(&database, &home.say(&["audit", "schema"]));
        let bouncer = PgBouncer::before(postgres, &database);
        let url = format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", bouncer.port);
        let home = home.set("TUDB_AUDIT_DB", &url);
        let mut servers = [home.serve(), home.serve()];
        for round in 0..3 {
            for server in &mut servers {
                let reply = server.call("run_sql", json!({"sql": format!("SELECT {round}")}));
                assert_eq!(reply["rows"], json!([[round]]), "{reply}");
            }
            // Statements of these names that write nothing, in each session of the pooler.
            let text = (1..=3).map(|n| format!("PREPARE sqlx_s_{n}(text, text) AS SELECT 1 WHERE $1 = $2; "));
            let text = format!("DEALLOCATE ALL; {} SELECT pg_sleep(0.3)", text.collect::<String>());
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        let mut psql = postgres.psql(&database);
                        output_of(psql.args(["-p", &bouncer.port.to_string(), "-c", &text]));
                    });
                }
            });
        }
        drop(servers);
        let records = postgres.query(&database, "SELECT count(*) FROM tudb_audit.event");
        assert_eq!(records, "12", "an intent and an outcome for each of six calls");
        let verified = home.say(&["audit", "verify"]);
        assert!(verified.contains("ok"), "{verified}");
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
    assert!(reply["error"]["hint"].as_str().unwrap().contains("backends of its pooler may be in use"), "{reply}");
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

/// A running pgpool-II before a primary and a standby that gets every balanced statement.
struct Pgpool {
    child: Child,
    port: u16,
    directory: PathBuf,
}

impl Pgpool {
    fn before(primary: &Postgres, standby: &Postgres) -> Self {
        let directory = unprivileged_directory("pgpool");
        let (port, control) = (free_port(), free_port());
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\npcp_listen_addresses = '127.0.0.1'\npcp_port = {control}\nsocket_dir = '{at}'\nunix_socket_directories = '{at}'\npcp_socket_dir = '{at}'\n\
             pid_file_name = '{at}/pid'\nlogdir = '{at}'\nbackend_clustering_mode = 'streaming_replication'\n\
             backend_hostname0 = '127.0.0.1'\nbackend_port0 = {primary}\nbackend_weight0 = 0\n\
             backend_hostname1 = '127.0.0.1'\nbackend_port1 = {standby}\nbackend_weight1 = 1\n\
             load_balance_mode = on\nsr_check_user = 'postgres'\nsr_check_period = 1\nnum_init_children = 8\nenable_pool_hba = off\n",
            at = directory.display(),
            primary = primary.port,
            standby = standby.port,
        );
        let file = directory.join("pgpool.conf");
        std::fs::write(&file, settings).unwrap();
        let program = ["/usr/sbin/pgpool", "/usr/bin/pgpool"].iter().map(Path::new).find(|path| path.exists());
        let mut command: Command = unprivileged(program.expect("pgpool2 is installed by tests/run"));
        // A group of its own, which ends as a whole.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.arg("-n").arg("-f").arg(&file).current_dir("/").stdin(Stdio::null());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "pgpool ended");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Pgpool { child, port, directory }
    }
}

impl Drop for Pgpool {
    fn drop(&mut self) {
        // The first gives its shared memory back. Children that outlive it go on running without end.
        let own = self.child.id().to_string();
        let _ = output_of(Command::new("kill").args(["-s", "INT", &own]));
        let _ = self.child.wait();
        let _ = Command::new("kill").args(["-s", "KILL", "--", &format!("-{own}")]).stderr(Stdio::null()).status();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// pgpool-II sends statements of a transaction that it does not see to a standby. Whatever it does, a statement runs inside
/// of TUDB's read-only transaction, with its zone, its path and its limits.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn behind_pgpool_every_statement_runs_in_its_own_transaction() {
    let primary = Postgres::with_settings(&[]);
    let standby = primary.standby(&[]);
    primary.query("postgres", "CREATE DATABASE shop");
    primary.script(
        "shop",
        "CREATE SCHEMA s1; CREATE TABLE public.cfg AS SELECT 'public' AS x; CREATE TABLE s1.cfg AS SELECT 's1' AS x;
         CREATE FUNCTION s1.state() RETURNS text STABLE LANGUAGE sql AS $$ SELECT current_setting('transaction_read_only')
           || ' ' || current_setting('TimeZone') || ' ' || current_setting('statement_timeout') $$;
         CREATE TABLE moments AS SELECT '2026-01-31 12:00+00'::timestamptz AS at;",
    );
    primary.wait_for(&standby);
    let pool = Pgpool::before(&primary, &standby);
    let home = Home::new("pgpool").set("TUDB_STATEMENT_TIMEOUT_MS", 2_000);
    let config = home.scratch.path("tudb.toml");
    let url = format!("postgres://postgres@127.0.0.1:{}/shop?sslmode=disable", pool.port);
    std::fs::write(
        &config,
        format!("[sources.main]\nurl = \"{url}\"\ntime_zone = \"Europe/Zurich\"\nschemas = [\"s1\", \"public\"]\nallow_functions = [\"s1.state\"]\n"),
    )
    .unwrap();
    let home = home.set("TUDB_CONFIG", config.display());
    let mut server = home.serve();
    for _ in 0..6 {
        for (sql, expected) in [
            ("SELECT s1.state()", json!([["on Europe/Zurich 2s"]])),
            ("SELECT x FROM cfg", json!([["s1"]])),
            ("SELECT at FROM moments", json!([["2026-01-31 13:00:00+01"]])),
        ] {
            let reply = server.call("run_sql", json!({"sql": sql}));
            assert_eq!(reply["rows"], expected, "{sql}: {reply}");
        }
    }
    for tool in ["list_tables", "describe_table", "explain_query", "ask_database"] {
        let arguments = json!({"table": "cfg", "sql": "SELECT x FROM cfg", "question": "How many moments are there?"});
        let own = match tool {
            "list_tables" => json!({}),
            "describe_table" => json!({"table": "s1.cfg"}),
            "explain_query" => json!({"sql": arguments["sql"]}),
            _ => json!({"question": arguments["question"]}),
        };
        let reply = server.call(tool, own);
        assert!(reply["error"].is_null(), "{tool}: {reply}");
    }
    let slow = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b";
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%100000%' AND pid <> pg_backend_pid()";
    for _ in 0..2 {
        let reply = server.call("run_sql", json!({"sql": slow}));
        assert_eq!(reply["error"]["code"], "timeout", "{reply}");
        let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while primary.query("postgres", running) != "0" || standby.query("postgres", running) != "0" {
            assert!(std::time::Instant::now() < end, "the statement runs on");
        }
    }
    assert!(home.say(&["doctor"]).contains("behind pgpool-II"));
}

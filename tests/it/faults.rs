//! Faults between the program and a database: the error and its time, and that the next call works without help.
//! `--nocapture` shows how long each took.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::postgres::{Postgres, free_port, is_root, server, unprivileged_directory};
use crate::support::relay::Relay;
use crate::support::{Home, Server, output_of};

const PASSWORD: &str = "pl4nted-word";

/// Maximum time of a fault. Its real time is printed. Generous, because machines are slow.
const LIMIT: Duration = Duration::from_secs(30);

const SLOW: &str = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b";

fn timed(server: &mut Server, sql: &str) -> (Value, u128) {
    let began = Instant::now();
    let reply = server.call("run_sql", json!({"sql": sql}));
    assert!(began.elapsed() < LIMIT, "{:?}: {reply}", began.elapsed());
    (reply, began.elapsed().as_millis())
}

/// Makes a call that fails with this code and names one cause and one remedy. Then ends the fault, and makes a call
/// that works.
fn fails_then_works(name: &str, server: &mut Server, sql: &str, code: &str, mend: impl FnOnce()) {
    let (reply, failed_ms) = timed(server, sql);
    let error = &reply["error"];
    assert_eq!(error["code"], code, "{name}: {reply}");
    assert!(
        !error["message"].as_str().unwrap().is_empty() && error["hint"].as_str().unwrap().ends_with('.'),
        "{reply}"
    );
    mend();
    let (reply, recovered_ms) = timed(server, "SELECT 1");
    assert_eq!(reply["rows"], json!([[1]]), "{name}: {reply}");
    let stderr = server.stderr.lock().unwrap();
    assert!(!stderr.contains(PASSWORD) && !error.to_string().contains(PASSWORD), "{name}: {stderr}");
    eprintln!("{name:<52} {code:<20} after {failed_ms:>5} ms; then an answer after {recovered_ms:>4} ms");
}

fn works(name: &str, server: &mut Server) {
    let (reply, ms) = timed(server, "SELECT 1");
    assert_eq!(reply["rows"], json!([[1]]), "{name}: {reply}");
    eprintln!("{name:<52} {:<20} after {ms:>5} ms", "answer");
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn serve(url: &str) -> (Home, Server) {
    let home = Home::new("faults").set("TUDB_DATABASE_URL", url).set("TUDB_LOG", "trace");
    let server = home.serve();
    (home, server)
}

/// A server whose `pg_hba.conf` has one line for each fault.
fn doorkeeper(directory: &Path) -> (Postgres, std::path::PathBuf) {
    let hba = directory.join("hba.conf");
    std::fs::write(
        &hba,
        "host all tokened 127.0.0.1/32 pam\nhost all nobody_here 127.0.0.1/32 reject\n\
         host all secretive 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n",
    )
    .unwrap();
    let owner = if is_root() { " && chown nobody:nogroup hba.conf" } else { "" };
    output_of(Command::new("sh").args(["-c", &format!("chmod 644 hba.conf{owner}")]).current_dir(directory));
    let server = Postgres::with_settings(&[("hba_file", &hba.display().to_string())]);
    server.script(
        "postgres",
        "CREATE ROLE tokened LOGIN; CREATE ROLE nobody_here LOGIN; CREATE ROLE crowd LOGIN CONNECTION LIMIT 0;
         CREATE ROLE secretive LOGIN PASSWORD 'another-word';",
    );
    (server, hba)
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn each_fault_has_its_code_and_is_over_once_it_is_mended() {
    let directory = unprivileged_directory("faults");
    let (postgres, hba) = doorkeeper(&directory);
    let url = |user: &str, port: u16, database: &str| {
        format!("postgres://{user}:{PASSWORD}@127.0.0.1:{port}/{database}?sslmode=disable")
    };
    let allow = || {
        std::fs::write(&hba, "host all all 127.0.0.1/32 trust\n").unwrap();
        postgres.query("postgres", "SELECT pg_reload_conf()");
        std::thread::sleep(Duration::from_millis(300));
    };
    let case = |name: &str, url: String, code: &str, mend: &dyn Fn()| {
        let (_home, mut server) = serve(&url);
        fails_then_works(name, &mut server, "SELECT 1", code, mend);
    };
    let port = free_port();
    case("nothing listens", url("postgres", port, "postgres"), "unreachable", &|| {
        std::mem::forget(Relay::at(port, postgres.port));
    });
    let sql = |text: &'static str| move |postgres: &Postgres| drop(postgres.query("postgres", text));
    let renamed = sql("ALTER ROLE secretive PASSWORD 'pl4nted-word'");
    case("wrong password", url("secretive", postgres.port, "postgres"), "auth_failed", &|| renamed(&postgres));
    let made = sql("CREATE DATABASE missing");
    case("no such database", url("postgres", postgres.port, "missing"), "database_missing", &|| made(&postgres));
    let widened = sql("ALTER ROLE crowd CONNECTION LIMIT -1");
    case("no connection slot left", url("crowd", postgres.port, "postgres"), "too_many_connections", &|| {
        widened(&postgres);
    });
    case("an expired token (PAM)", url("tokened", postgres.port, "postgres"), "auth_failed", &allow);
    std::fs::write(&hba, "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 reject\n").unwrap();
    postgres.query("postgres", "SELECT pg_reload_conf()");
    std::thread::sleep(Duration::from_millis(300));
    // The server's error is the same for a missing line and for a line that requires encryption. The remedy names both.
    case("no line in pg_hba.conf", url("nobody_here", postgres.port, "postgres"), "tls_failed", &allow);

    let (_home, mut server) =
        serve(&url("postgres", postgres.port, "postgres").replace("127.0.0.1", "nowhere.invalid"));
    let (reply, ms) = timed(&mut server, "SELECT 1");
    assert_eq!(reply["error"]["code"], "unreachable");
    assert!(reply["error"]["hint"].as_str().unwrap().contains("name is not known"), "{reply}");
    eprintln!("{:<52} {:<20} after {ms:>5} ms", "unknown host", "unreachable");

    let home = Home::new("faults");
    let file = home.scratch.path("later.db");
    let home = home.set("TUDB_DATABASE_URL", format!("sqlite://{}", file.display()));
    let mut server = home.serve();
    fails_then_works("missing SQLite file", &mut server, "SELECT 1", "database_missing", || {
        output_of(Command::new("sqlite3").arg(&file).arg("CREATE TABLE t (a)"));
    });
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn whatever_happens_to_the_server_the_next_call_works() {
    let postgres = Postgres::with_settings(&[("log_statement", "all")]);
    let relay = Relay::to(postgres.port);
    let url = |port: u16| format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/postgres?sslmode=disable");
    let (_home, mut server) = serve(&url(postgres.port));
    works("first call", &mut server);
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'tudb%'";
    postgres.query("postgres", kill);
    works("backends killed between two calls", &mut server);

    let slow = "generate_series(1, 100000) a";
    let executions = || {
        let log = postgres.log();
        log.lines().filter(|line| line.contains("execute") && line.contains(slow)).count()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The backend is active from Parse on. Only its log line, written when Execute begins, shows that the
            // statement runs. The statement takes far longer than this test, so the kill comes while it runs.
            wait_until("the statement is executed", || executions() > 0);
            let active = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'tudb%' AND state = 'active' AND query LIKE '%{slow}%'"
            );
            assert_eq!(postgres.query("postgres", &active), "1", "it still runs");
            postgres.query("postgres", kill);
        });
        fails_then_works("a backend killed in the middle of a statement", &mut server, SLOW, "unreachable", || {});
    });
    assert_eq!(executions(), 1, "a statement that was cut off is not run again: {}", postgres.log());

    postgres.stop();
    fails_then_works("stopped; started again before the next call", &mut server, "SELECT 1", "unreachable", || {
        postgres.start_again();
    });
    postgres.stop();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(2));
            postgres.begin();
        });
        works("restarting, 2 s down", &mut server);
    });

    let (_home, mut server) = serve(&url(relay.port));
    relay.delay(Duration::from_secs(5));
    works("waking up, connections take 5 s", &mut server);
    relay.delay(Duration::ZERO);
    relay.cut();
    works("connections cut between two calls", &mut server);
    relay.close_new(true);
    relay.cut();
    fails_then_works("connections closed as they are made", &mut server, "SELECT 1", "unreachable", || {
        relay.close_new(false);
    });
    relay.silence(true);
    fails_then_works("silent between two calls (half-open)", &mut server, "SELECT 1", "unreachable", || {
        relay.silence(false);
    });
    drop(server);
    let home = Home::new("faults").set("TUDB_DATABASE_URL", url(relay.port)).set("TUDB_STATEMENT_TIMEOUT_MS", 2_000);
    let mut server = home.serve();
    works("first call, statements of 2 s at most", &mut server);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(1));
            relay.silence(true);
        });
        fails_then_works("silent in the middle of a statement", &mut server, SLOW, "timeout", || relay.silence(false));
    });
    works("and quiet again", &mut server);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_network_that_goes_silent_while_a_role_is_taken_is_noticed() {
    let postgres = server();
    postgres.script_best_effort("postgres", "CREATE ROLE tudb_taken NOLOGIN");
    let relay = Relay::to(postgres.port);
    let home = Home::new("faults");
    let config = home.scratch.path("tudb.toml");
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", relay.port);
    std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\n[sources.main.user]\nrole = \"tudb_taken\"\n"))
        .unwrap();
    let mut server = home.set("TUDB_CONFIG", config.display()).serve();
    let ask = json!({"sql": "SELECT 1", "user_id": "ann"});
    assert_eq!(server.call("run_sql", ask.clone())["rows"], json!([[1]]));
    relay.silent_at("set_config('role'");
    let began = Instant::now();
    let reply = server.call("run_sql", ask.clone());
    assert_eq!(reply["error"]["code"], "unreachable", "{reply}");
    assert!(began.elapsed() < LIMIT);
    relay.silence(false);
    assert_eq!(server.call("run_sql", ask)["rows"], json!([[1]]));
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_network_that_goes_silent_after_a_reply_is_not_called_busy() {
    let relay = Relay::to(server().port);
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", relay.port);
    let (_home, mut server) = serve(&url);
    works("first call", &mut server);
    // The rollback of the first call ends in this time.
    std::thread::sleep(Duration::from_millis(500));
    // No rollback gets an answer, so each call's permit stays taken. There are four.
    relay.silence_each_at("ROLLBACK");
    (0..4).for_each(|_| works("a call whose rollback gets no answer", &mut server));
    fails_then_works("no connection can be rolled back", &mut server, "SELECT 1", "unreachable", || {
        relay.silence(false);
    });
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_new_primary_is_found() {
    let primary = Postgres::with_settings(&[]);
    let standby = primary.standby(&[]);
    let url = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?sslmode=disable&target_session_attrs=read-write",
        primary.port, standby.port
    );
    let (_home, mut server) = serve(&url);
    works("two hosts, the first is primary", &mut server);
    primary.stop();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(1));
            standby.query("postgres", "SELECT pg_promote()");
        });
        works("failover, promoted after 1 s", &mut server);
    });
    let here = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'tudb%'";
    assert_eq!(standby.query("postgres", here), "t");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn calls_beside_a_server_that_is_down_are_told_so() {
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", free_port());
    let (_home, mut down) = serve(&url);
    let began = Instant::now();
    let ids: Vec<u64> = (0..8).map(|_| down.send_call("run_sql", json!({"sql": "SELECT 1"}))).collect();
    for id in ids {
        let reply = crate::support::content(&down.answer(id));
        assert_eq!(reply["error"]["code"], "unreachable", "{reply}");
    }
    assert!(began.elapsed() < LIMIT);
    let port = server().port;
    let (_home, mut busy) = serve(&format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable"));
    works("first call", &mut busy);
    let slow: Vec<u64> = (0..4).map(|_| busy.send_call("run_sql", json!({"sql": SLOW}))).collect();
    std::thread::sleep(Duration::from_millis(500));
    let (reply, ms) = timed(&mut busy, "SELECT 1");
    assert_eq!(reply["error"]["code"], "busy", "{reply}");
    eprintln!("{:<52} {:<20} after {ms:>5} ms", "all connections hold slow statements", "busy");
    for id in slow {
        busy.notify("notifications/cancelled", json!({"requestId": id}));
    }
    works("and cancelled", &mut busy);
}

/// After a cut result its rows are counted. Comparing long arrays heeds no cancel, and must not cost the rows.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_count_that_does_not_end_costs_no_rows() {
    let (database, url) = server().database("counted");
    server().script(&database, "CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 103)");
    let home = Home::new("counted").set("TUDB_DATABASE_URL", &url).set("TUDB_STATEMENT_TIMEOUT_MS", "4000");
    let mut server = home.serve();
    let slow = "(SELECT array_agg(x + id * 0) FROM generate_series(1, 60000) x) <@ \
                (SELECT array_agg(60000 - y + id * 0) FROM generate_series(0, 59999) y)";
    let sql = format!("SELECT id FROM t WHERE CASE WHEN id <= 101 THEN true ELSE {slow} END");
    let (reply, ms) = timed(&mut server, &sql);
    assert_eq!((&reply["row_count"], &reply["truncated_by"]), (&json!(100), &json!(["rows"])), "{reply}");
    assert!(ms < 3_000, "{ms} ms");
    works("after a count that did not end", &mut server);
}

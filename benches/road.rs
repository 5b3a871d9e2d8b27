//! The road of a statement beside the bare driver (psycopg, autocommit, one connection), interleaved in rounds: prints
//! ratios, never times alone. Start it with `tests/run --bench road`, which installs both.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;
use support::Home;
use support::postgres::server;

/// Times statements in psycopg: a line `COUNT SQL` in, a line of nanoseconds out.
const DRIVER: &str = "
import sys, time, psycopg
connection = psycopg.connect(sys.argv[1], autocommit=True)
cursor = connection.cursor()
for line in sys.stdin:
    count, sql = line.rstrip('\\n').split(' ', 1)
    times = []
    for _ in range(int(count)):
        began = time.perf_counter_ns()
        cursor.execute(sql)
        cursor.fetchall()
        times.append(time.perf_counter_ns() - began)
    print(*times, flush=True)
";

const ROUNDS: usize = 7;

fn main() {
    // `cargo test --benches` asks for a list.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let postgres = server();
    let (database, url) = postgres.database("bench");
    postgres.query(
        &database,
        "CREATE TABLE rows10k AS SELECT i AS id, 'name ' || i AS name, i * 1.5 AS price, now() AS made, i % 7 = 0 AS flag
         FROM generate_series(1, 10000) i",
    );
    postgres.query(&database, "ANALYZE");
    let home = Home::new("bench")
        .set("TUDB_DATABASE_URL", &url)
        .set("TUDB_MAX_ROWS", 10_000)
        .set("TUDB_MAX_REPLY_BYTES", 100_000_000);
    let mut tudb = home.serve();
    let dsn = url.replace("?sslmode=disable", "");
    let mut driver = Command::new(support::tool_path("TEST_CLIENTS").join("python-mcp/bin/python"))
        .args(["-c", DRIVER, &dsn])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to_driver = driver.stdin.take().unwrap();
    let mut from_driver = BufReader::new(driver.stdout.take().unwrap());
    for (name, sql, count) in [("SELECT 1", "SELECT 1", 300), ("10,000 rows of 5 columns", "SELECT * FROM rows10k", 8)]
    {
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            writeln!(to_driver, "{count} {sql}").unwrap();
            let mut line = String::new();
            from_driver.read_line(&mut line).unwrap();
            bare.extend(line.split_whitespace().map(|time| time.parse::<u64>().unwrap()));
            for _ in 0..count {
                let began = Instant::now();
                tudb.send_call("run_sql", json!({"sql": sql}));
                tudb.receive_line().unwrap();
                ours.push(u64::try_from(began.elapsed().as_nanos()).unwrap());
            }
        }
        ours.sort_unstable();
        bare.sort_unstable();
        let ratio = |part: f64| {
            let at = |times: &[u64]| times[((times.len() - 1) as f64 * part) as usize] as f64;
            at(&ours) / at(&bare)
        };
        println!(
            "{name}: {:.2}x the bare driver at the median, {:.2}x at best ({} calls each)",
            ratio(0.5),
            ratio(0.0),
            ours.len()
        );
    }
    drop(to_driver);
    driver.wait().unwrap();
    many_rows(&database, &url);
    ends(&database, &url);
}

/// A SELECT of 3,000,000 rows under the usual limits beside psql's `LIMIT 101` of the same table.
fn many_rows(database: &str, url: &str) {
    let postgres = server();
    postgres.query(
        database,
        "CREATE UNLOGGED TABLE many AS SELECT i AS id, md5(i::text) AS word FROM generate_series(1, 3000000) i",
    );
    let home = Home::new("many").set("TUDB_DATABASE_URL", url);
    let mut tudb = home.serve();
    let (mut ours, mut psql) = (Vec::new(), Vec::new());
    for _ in 0..30 {
        let began = Instant::now();
        postgres.query(database, "SELECT * FROM many LIMIT 101");
        psql.push(began.elapsed());
        let began = Instant::now();
        tudb.call("run_sql", json!({"sql": "SELECT * FROM many"}));
        ours.push(began.elapsed());
    }
    ours.sort_unstable();
    psql.sort_unstable();
    println!(
        "3,000,000 rows selected: {:.2}x psql's process with LIMIT 101 at the median; peak memory {} MB",
        ours[15].as_secs_f64() / psql[15].as_secs_f64(),
        support::peak_memory_kb(&tudb.child) / 1_024
    );
}

/// How long a statement lives on after a cancel, a deadline and the end of input.
fn ends(database: &str, url: &str) {
    let postgres = server();
    let slow = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b";
    let active = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND state = 'active' AND query LIKE '%generate_series%'"
    );
    let until = |count: &str| {
        let began = Instant::now();
        while postgres.query("postgres", &active) != count {
            assert!(began.elapsed().as_secs() < 20);
        }
        began.elapsed()
    };
    let home = Home::new("ends").set("TUDB_DATABASE_URL", url);
    let mut worst = [std::time::Duration::ZERO; 4];
    for _ in 0..10 {
        let mut tudb = home.serve();
        let id = tudb.send_call("run_sql", json!({"sql": slow}));
        until("1");
        tudb.notify("notifications/cancelled", json!({"requestId": id}));
        worst[0] = worst[0].max(until("0"));
        tudb.send_call("run_sql", json!({"sql": slow}));
        until("1");
        tudb.close_stdin();
        worst[1] = worst[1].max(until("0"));
        let began = Instant::now();
        tudb.finish();
        worst[2] = worst[2].max(began.elapsed());
        let limited = Home::new("limited").set("TUDB_DATABASE_URL", url).set("TUDB_STATEMENT_TIMEOUT_MS", 300);
        let mut tudb = limited.serve();
        let began = Instant::now();
        tudb.call("run_sql", json!({"sql": slow}));
        until("0");
        worst[3] = worst[3].max(began.elapsed().saturating_sub(std::time::Duration::from_millis(300)));
    }
    println!(
        "a statement on PostgreSQL is gone at the latest {:?} after a cancel, {:?} after the end of input (the process {:?} \
         later), {:?} after its deadline (10 times each, seen through psql)",
        worst[0], worst[1], worst[2], worst[3]
    );
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let cpu = |child: &std::process::Child| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        stat.rsplit(") ").next().unwrap().split(' ').nth(11).unwrap().parse().unwrap()
    };
    let (mut burnt, mut gone) = (0, std::time::Duration::ZERO);
    for _ in 0..10 {
        let mut tudb = Home::new("lite").serve();
        let id = tudb.send_call("run_sql", json!({"sql": endless}));
        std::thread::sleep(std::time::Duration::from_millis(200));
        tudb.notify("notifications/cancelled", json!({"requestId": id}));
        std::thread::sleep(std::time::Duration::from_millis(100));
        let before = cpu(&tudb.child);
        std::thread::sleep(std::time::Duration::from_millis(300));
        burnt = burnt.max(cpu(&tudb.child) - before);
        tudb.send_call("run_sql", json!({"sql": endless}));
        std::thread::sleep(std::time::Duration::from_millis(200));
        let began = Instant::now();
        tudb.finish();
        gone = gone.max(began.elapsed());
    }
    println!(
        "on SQLite: {burnt} clock ticks of CPU in the 300 ms that begin 100 ms after a cancel; the process is gone at the \
         latest {gone:?} after the end of input (10 times each)"
    );
}

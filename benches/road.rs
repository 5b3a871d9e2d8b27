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
}

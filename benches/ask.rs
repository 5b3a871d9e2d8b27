//! What TUDB itself costs a question: asked through the binary with a model that answers at once, over the embedded
//! sample and over fifty tables of PostgreSQL, beside `SELECT 1` by `run_sql`. Prints the share of the prompt that a
//! cache can hold, too. Start it with `tests/run --bench ask`.

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

use std::time::Instant;

use serde_json::{Value, json};
use support::Home;
use support::bedrock::{Bedrock, answers, runs};
use support::postgres::server;

const QUESTIONS: usize = 300;

fn model(sql: &'static str) -> Bedrock {
    Bedrock::start_with(move |_, body| match body["messages"].as_array().unwrap().len() {
        1 => runs(sql),
        _ => answers("Done."),
    })
}

fn at(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * share) as usize]
}

/// Bytes before the cache point, which are the same for each question, and all bytes.
fn cacheable(body: &Value) -> (usize, usize) {
    let system = body["system"].as_array().unwrap();
    let point = system.iter().position(|block| block.get("cachePoint").is_some()).unwrap();
    let before = system[..point].iter().map(|block| block.to_string().len()).sum::<usize>();
    (before + body["toolConfig"].to_string().len(), body.to_string().len())
}

fn measure(name: &str, home: &Home, bedrock: &Bedrock) {
    let mut server = home.serve();
    let mut timed = |tool: &str, arguments: Value| {
        let began = Instant::now();
        let reply = server.call(tool, arguments);
        assert!(reply.get("error").is_none(), "{reply}");
        began.elapsed().as_secs_f64() * 1e3
    };
    let first = timed("ask_database", json!({"question": "How many are there at first?"}));
    let (mut asked, mut plain) = (Vec::new(), Vec::new());
    for number in 0..QUESTIONS {
        plain.push(timed("run_sql", json!({"sql": "SELECT 1"})));
        asked.push(timed("ask_database", json!({"question": format!("How many of number {number} are there?")})));
    }
    let requests = bedrock.requests();
    let prefix = |body: &Value| (body["toolConfig"].clone(), body["system"].clone());
    assert!(requests.iter().all(|request| prefix(&request.body) == prefix(&requests[0].body)));
    let (held, all) =
        requests[2..].iter().map(|request| cacheable(&request.body)).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    let (median, p95) = (at(&mut asked, 0.5), at(&mut asked, 0.95));
    println!(
        "{name}: a question {median:.1} ms median, {p95:.1} ms p95 (first {first:.0} ms), {:.1} times SELECT 1; \
         {:.0} % of the prompt's bytes stand before the cache point from the second question on",
        median / at(&mut plain, 0.5),
        100.0 * held as f64 / all as f64
    );
}

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let bedrock = model("SELECT count(*) AS n FROM customers");
    measure("sample", &bedrock.home(Home::new("ask-bench")).set("TUDB_CONFIG", quiet()), &bedrock);
    let (database, url) = server().database("asked");
    let columns = (0..12).map(|n| format!("field_{n} text")).collect::<Vec<_>>().join(", ");
    for table in 0..50 {
        server().script(&database, &format!("CREATE TABLE table_{table} (id int PRIMARY KEY, {columns})"));
    }
    let bedrock = model("SELECT count(*) AS n FROM table_7");
    let home = bedrock.home(Home::new("ask-bench")).set("TUDB_DATABASE_URL", url).set("TUDB_CONFIG", quiet());
    measure("fifty tables of PostgreSQL", &home, &bedrock);
}

/// Settings without the bound on questions a minute.
fn quiet() -> String {
    let path = std::env::temp_dir().join(format!("tudb-ask-bench-{}.toml", std::process::id()));
    std::fs::write(&path, "[limits]\nmax_asks_per_minute = 100000\n").unwrap();
    path.display().to_string()
}

//! What the audit trail costs `run_sql "SELECT 1"`: the store on disk with both durabilities beside a store in memory
//! (/dev/shm), interleaved in rounds. Prints ratios. Start it with `tests/run --bench audit`.

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

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use support::postgres::server;
use support::{Home, Server};

const ROUNDS: usize = 40;
const CALLS: usize = 50;

/// A server whose store lies in a directory of its own.
fn serve(name: &str, directory: &Path, settings: &str) -> (Home, Server, PathBuf) {
    let store = directory.join(format!("tudb-audit-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir_all(&store).unwrap();
    let home = Home::new(name);
    let config = home.scratch.path("tudb.toml");
    std::fs::write(&config, settings).unwrap();
    let (_, url) = server().database("audited");
    let home = home.set("TUDB_DATABASE_URL", url).set("TUDB_CONFIG", config.display());
    let home = home.set("TUDB_AUDIT_DB", store.join("audit.db").display());
    let running = home.serve();
    (home, running, store)
}

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let disk = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let kinds = [
        ("in memory", Path::new("/dev/shm"), ""),
        ("on disk, process", disk.as_path(), ""),
        ("on disk, power", disk.as_path(), "[audit]\ndurability = \"power\"\n"),
        ("on disk, process, with a key", disk.as_path(), "[audit]\nkey_file = \"key\"\n"),
    ];
    let mut servers: Vec<_> = kinds.map(|(name, place, settings)| serve(name, place, settings)).into();
    for (home, ..) in &servers {
        std::fs::write(home.scratch.path("key"), "a key of the benchmark").unwrap();
    }
    let mut times = vec![Vec::new(); servers.len()];
    for round in 0..=ROUNDS {
        for ((_, server, _), times) in servers.iter_mut().zip(&mut times) {
            for _ in 0..CALLS {
                let began = Instant::now();
                let reply = server.call("run_sql", json!({"sql": "SELECT 1"}));
                let took = began.elapsed().as_secs_f64() * 1e6;
                assert_eq!(reply["row_count"], 1, "{reply}");
                if round > 0 {
                    times.push(took);
                }
            }
        }
    }
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    let at = |times: &[f64], share: f64| times[((times.len() - 1) as f64 * share) as usize];
    for ((name, ..), own) in kinds.iter().zip(&times) {
        println!(
            "store {name}: median {:.2} times, p99 {:.2} times the store in memory",
            at(own, 0.5) / at(&times[0], 0.5),
            at(own, 0.99) / at(&times[0], 0.99)
        );
    }
    for (_, server, store) in servers {
        server.finish();
        std::fs::remove_dir_all(store).unwrap();
    }
}

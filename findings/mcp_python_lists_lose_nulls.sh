#!/usr/bin/env bash
# Expected: an MCP tool of the Python SDK that returns a list, such as rows [[1, None], [2, 3]], sends it as JSON in its text content.
# Actual: the text content has one item for each value, however deep, and none for None: 1, 2, 3, so a row with a NULL looks shorter.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'mcp==2.3.0'
cat > "$folder/server.py" <<'PYTHON'
from mcp.server.mcpserver import MCPServer

server = MCPServer("finding")

@server.tool()
def rows() -> list[list[int | None]]:
    return [[1, None], [2, 3]]

@server.tool()
def one() -> list[int | None]:
    return [None]

@server.tool()
def empty() -> list[int | None]:
    return []

server.run()
PYTHON
"$folder/venv/bin/python" - "$folder/server.py" <<'PYTHON'
import importlib.metadata, json, subprocess, sys

process = subprocess.Popen([sys.executable, sys.argv[1]], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

def send(message):
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    process.stdin.flush()

def request(number, method, parameters):
    send({"id": number, "method": method, "params": parameters})
    return json.loads(process.stdout.readline())["result"]

client = {"name": "finding", "version": "1"}
request(0, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
send({"method": "notifications/initialized"})
print("mcp", importlib.metadata.version("mcp"))
seen = {}
for number, name in enumerate(("rows", "one", "empty"), 1):
    reply = request(number, "tools/call", {"name": name, "arguments": {}})
    seen[name] = [item["text"] for item in reply["content"]]
    print(f"{name}: content {seen[name]}, structuredContent {json.dumps(reply['structuredContent'])}")
process.kill()
sys.exit(seen != {"rows": ["1", "2", "3"], "one": [], "empty": []})
PYTHON

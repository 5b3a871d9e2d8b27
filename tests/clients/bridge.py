"""A loopback HTTP front for a stdio server, for the conformance suite. It adds no semantics of the protocol.

One server process for each `initialize`, known by the Mcp-Session-Id it is given; one shared process for requests
without that header. Each POSTed message goes in as one line; its answer comes back as JSON, or as an event stream when
notifications precede it. Arguments: the binary. Prints its port, serves until its input ends.
"""

import json
import queue
import subprocess
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """One process of the server, and whoever waits for an answer of it."""

    def __init__(self, binary: str) -> None:
        self.child = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.writing = threading.Lock()
        self.waiting: dict[str, queue.Queue] = {}
        self.tokens: dict[str, str] = {}
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        for line in self.child.stdout:
            message = json.loads(line)
            key = json.dumps(message.get("id"))
            if "method" in message:
                key = self.tokens.get(json.dumps(message.get("params", {}).get("progressToken")), key)
            if key in self.waiting:
                self.waiting[key].put(message)

    def send(self, message: dict) -> queue.Queue | None:
        answers = None
        if "method" in message and "id" in message:
            key = json.dumps(message["id"])
            answers = self.waiting[key] = queue.Queue()
            token = (message.get("params") or {}).get("_meta", {}).get("progressToken")
            self.tokens[json.dumps(token)] = key
        with self.writing:
            self.child.stdin.write(json.dumps(message).encode() + b"\n")
            self.child.stdin.flush()
        return answers


binary = sys.argv[1]
shared = Server(binary)
sessions: dict[str, Server] = {}


def status_of(request: dict, answer: dict) -> int:
    """What the stateless era's text on HTTP asks of a front for a refused request."""
    code = answer.get("error", {}).get("code")
    meta = (request.get("params") or {}).get("_meta", {})
    required = ("io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities")
    if code == -32601:
        return 404
    if code == -32022 or (code == -32602 and not all(key in meta for key in required)):
        return 400
    return 200


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def reply(self, status: int, body: bytes = b"", headers: dict | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.reply(405)

    def do_DELETE(self) -> None:
        server = sessions.pop(self.headers.get("Mcp-Session-Id"), None)
        if server:
            server.child.stdin.close()
        self.reply(200 if server else 404)

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = self.headers.get("Mcp-Session-Id")
        headers = {}
        if message.get("method") == "initialize":
            name = str(uuid.uuid4())
            sessions[name] = Server(binary)
            headers["Mcp-Session-Id"] = name
        if name and name not in sessions:
            return self.reply(404)
        answers = (sessions[name] if name else shared).send(message)
        if answers is None:
            return self.reply(202)
        seen = [answers.get(timeout=60)]
        while "method" in seen[-1]:
            seen.append(answers.get(timeout=60))
        if len(seen) == 1:
            headers["Content-Type"] = "application/json"
            status = 200 if name else status_of(message, seen[0])
            return self.reply(status, json.dumps(seen[0]).encode(), headers)
        headers["Content-Type"] = "text/event-stream"
        body = "".join(f"event: message\ndata: {json.dumps(message)}\n\n" for message in seen)
        return self.reply(200, body.encode(), headers)


front = ThreadingHTTPServer(("127.0.0.1", 0), Front)
print(front.server_address[1], flush=True)
threading.Thread(target=front.serve_forever, daemon=True).start()
sys.stdin.read()
for server in [shared, *sessions.values()]:
    server.child.stdin.close()
    server.child.wait()

"""Drives TUDB and MCP Toolbox over HTTP with wrk. Called by benches/peers/http."""

import argparse
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import tempfile
import time

META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"}}
MODERN = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "run_sql"}


def call(name, **more):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                       "params": {"name": name, "arguments": {"sql": "SELECT 1 AS one"}, **more}})


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Face:
    """A way to call SELECT 1 over HTTP."""

    def __init__(self, name, port, process, path, headers, body):
        self.name, self.port, self.process, self.path, self.body = name, port, process, path, body
        self.headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **headers}

    def once(self, connection):
        connection.request("POST", self.path, self.body, self.headers)
        reply = connection.getresponse()
        text = reply.read()
        assert reply.status == 200 and b"one" in text, (self.name, reply.status, text[:300])

    def ready(self):
        for _ in range(200):
            try:
                self.once(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20))
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{self.name} does not answer")

    def wrk(self, clients, seconds):
        script = tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False)
        with script:
            script.write(f'wrk.method = "POST"\nwrk.body = [==[{self.body}]==]\n')
            script.writelines(f'wrk.headers["{name}"] = "{value}"\n' for name, value in self.headers.items())
            # An answer without the row is lost, whatever its status is.
            script.write('bad = 0\nfunction response(status, headers, body) if status ~= 200 or not body:find("one") then bad = bad + 1 '
                         'end end\nlocal threads = {}\nfunction setup(thread) table.insert(threads, thread) end\n'
                         'function done(summary, latency, requests) local all = 0 for _, thread in ipairs(threads) do all = all + '
                         'thread:get("bad") end io.write(string.format("BAD %d P50 %.3f P99 %.3f\\n", all, latency:percentile(50) / 1000, '
                         'latency:percentile(99) / 1000)) end\n')
        said = subprocess.run(["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "20s", "-s", script.name,
                               f"http://127.0.0.1:{self.port}{self.path}"], capture_output=True, text=True, check=True).stdout
        os.unlink(script.name)
        bad, half, most = re.search(r"BAD (\d+) P50 ([\d.]+) P99 ([\d.]+)", said).groups()
        errors = re.search(r"Socket errors: (.*)", said)
        return float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]), float(half), float(most), int(bad), errors and errors[1]

    def memory(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) / 1024


def over_stdio(command, environment, calls):
    """Median milliseconds of one client over standard input and output."""
    child = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    line = call("run_sql", _meta=META).encode() + b"\n"
    times = []
    for number in range(calls):
        began = time.perf_counter()
        child.stdin.write(line)
        child.stdin.flush()
        assert b"one" in child.stdout.readline()
        times.append((time.perf_counter() - began) * 1000)
    child.stdin.close()
    child.wait()
    return statistics.median(times[calls // 10:])


def main():
    parser = argparse.ArgumentParser()
    for name in ("--port", "--seconds", "--tudb", "--toolbox"):
        parser.add_argument(name, required=True)
    arguments = parser.parse_args()
    home = tempfile.mkdtemp()
    base = {"PATH": os.environ["PATH"], "HOME": home}
    of_tudb = {**base, "TUDB_DATABASE_URL": f"postgres://postgres@127.0.0.1:{arguments.port}/postgres?sslmode=disable"}
    of_toolbox = {**base, "POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": arguments.port, "POSTGRES_DATABASE": "postgres",
                  "POSTGRES_USER": "postgres", "POSTGRES_PASSWORD": "unused", "PGSSLMODE": "disable"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    ports = free_port(), free_port()
    tudb = subprocess.Popen([arguments.tudb, "serve", "--http", f"127.0.0.1:{ports[0]}"], env=of_tudb, **quiet)
    toolbox = subprocess.Popen([arguments.toolbox, "--prebuilt", "postgres", "--port", str(ports[1])], env=of_toolbox, **quiet)
    faces = [
        Face("TUDB /api/sql", ports[0], tudb, "/api/sql", {}, json.dumps({"sql": "SELECT 1 AS one"})),
        Face("TUDB /mcp", ports[0], tudb, "/mcp", MODERN, call("run_sql", _meta=META)),
        Face("Toolbox /mcp", ports[1], toolbox, "/mcp", {}, call("execute_sql")),
    ]
    try:
        for face in faces:
            face.ready()
        print("| one client, 1,500 calls, median | ms |\n|---|---|")
        print(f"| TUDB, standard input and output | {over_stdio([arguments.tudb, 'serve'], of_tudb, 1500):.2f} |")
        for face in faces:
            connection, times = http.client.HTTPConnection("127.0.0.1", face.port), []
            for _ in range(1500):
                began = time.perf_counter()
                face.once(connection)
                times.append((time.perf_counter() - began) * 1000)
            print(f"| {face.name} | {statistics.median(times[150:]):.2f} |")
        print(f"\n| clients, {arguments.seconds} s each | face | calls/s | p50 ms | p99 ms | lost | peak MiB |\n|---|---|---|---|---|---|---|")
        for clients in (1, 16, 64, 256):
            for face in faces:
                rate, half, most, bad, errors = face.wrk(clients, arguments.seconds)
                print(f"| {clients} | {face.name} | {rate:.0f} | {half:.2f} | {most:.1f} | {errors or bad} | {face.memory():.0f} |", flush=True)
    finally:
        tudb.terminate()
        toolbox.kill()
        tudb.wait()


main()

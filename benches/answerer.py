#!/usr/bin/env python3
"""How the built-in answerer does on questions with known statements.

    benches/answerer.py BINARY QUESTIONS.jsonl FOLDER [--show wrong|right|needs_sql]

Each line of the questions has `question`, `sql` or `gold_sql`, `source` or `db` (the name of a file
FOLDER/source.sqlite) and, if there are several wordings, `kind`. An answer is right when its rows equal those of the statement, in any order of columns, and in
order where the statement has ORDER BY. Prints for each wording and each database: questions, right, answered, precision.
A question with an empty `sql` cannot be
answered; it is right when there is no answer. Nothing of the answerer is fitted to a database, so each database stands for one that is left out.
"""
import collections, itertools, json, os, sqlite3, subprocess, sys, tempfile

binary, questions, folder = sys.argv[1:4]
show = sys.argv[5] if len(sys.argv) > 5 else None


class Server:
    def __init__(self, sources):
        self.home = tempfile.TemporaryDirectory()
        config = os.path.join(self.home.name, "tudb.toml")
        with open(config, "w") as out:
            for name in sources:
                out.write(f'[sources.{name}]\nurl = "sqlite://{os.path.abspath(folder)}/{name}.sqlite"\n')
            out.write("[limits]\nmax_asks_per_minute = 1000000\n")
        environment = {"PATH": os.environ["PATH"], "HOME": self.home.name, "TUDB_CONFIG": config, "TUDB_MODEL": "builtin"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([binary, "serve"], env=environment, text=True, **pipes)
        self.id = 0
        client = {"name": "benches", "version": "1"}
        self.request("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        self.send({"method": "notifications/initialized"})

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def request(self, method, params):
        self.id += 1
        self.send({"id": self.id, "method": method, "params": params})
        while True:
            reply = json.loads(self.process.stdout.readline())
            if reply.get("id") == self.id:
                return reply

    def ask(self, question, source):
        arguments = {"question": question, "source": source, "max_rows": 1000}
        reply = self.request("tools/call", {"name": "ask_database", "arguments": arguments})
        return reply["result"]["structuredContent"]


def cell(value):
    if isinstance(value, (int, float)):
        return round(float(value), 4)
    text = "" if value is None else str(value).strip()
    try:
        return round(float(text), 4)
    except ValueError:
        return text


def same(gold, rows, ordered):
    gold = [tuple(map(cell, row)) for row in gold]
    rows = [tuple(map(cell, row)) for row in rows]
    if len(gold) != len(rows) or gold and len(gold[0]) != len(rows[0]):
        return False
    columns = range(len(gold[0]) if gold else 0)
    order = (lambda rows: rows) if ordered else (lambda rows: sorted(rows, key=repr))
    choices = itertools.permutations(columns) if len(columns) < 5 else [columns]
    return any(order(gold) == order([tuple(row[c] for c in choice) for row in rows]) for choice in choices)


lines = [json.loads(line) for line in open(questions)]
for line in lines:
    line["source"] = line.get("source") or line["db"]
    line["sql"] = line["sql"] if "sql" in line else line["gold_sql"]
lines = [line for line in lines if os.path.exists(os.path.join(folder, line["source"] + ".sqlite"))]
server = Server(sorted({line["source"] for line in lines}))
totals = collections.defaultdict(collections.Counter)
for line in lines:
    database = sqlite3.connect(f"file:{folder}/{line['source']}.sqlite?mode=ro", uri=True)
    database.text_factory = lambda text: text.decode("utf-8", "replace")
    gold = database.execute(line["sql"]).fetchall() if line["sql"] else None
    answer = server.ask(line["question"], line["source"])
    outcome = answer["status"]
    if gold is None:
        outcome = "wrong" if outcome == "success" else "right"
    elif outcome == "success":
        outcome = "right" if same(gold, answer["rows"], "order by" in line["sql"].lower()) else "wrong"
    for group in (line.get("kind", "all"), line["source"]):
        totals[group][outcome] += 1
    if outcome == show:
        print(line["question"], answer.get("sql"), line["sql"], sep="\n    ")
for group, counts in totals.items():
    total, answered = sum(counts.values()), counts["right"] + counts["wrong"]
    precision = counts["right"] / answered if answered else 1
    print(f"{group:30} {total:5} questions, right {counts['right'] / total:.3f}, answered {answered}, precision {precision:.3f}")
server.process.stdin.close()
server.process.wait()

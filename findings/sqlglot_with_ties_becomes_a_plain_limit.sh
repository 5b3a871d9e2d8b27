#!/usr/bin/env bash
# Expected: sqlglot refuses FETCH FIRST .. WITH TIES for a dialect without it, or writes it with rank().
# Actual: it writes LIMIT 1 for SQLite, MySQL and DuckDB without a warning, so all tied rows but one are lost.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'sqlglot==30.30.0'
"$folder/venv/bin/python" - <<'PYTHON'
import sqlite3, sys
import sqlglot

text = "SELECT name FROM t ORDER BY points DESC FETCH FIRST 1 ROW WITH TIES"
written = [sqlglot.transpile(text, read="postgres", write=dialect, unsupported_level=sqlglot.ErrorLevel.RAISE)[0]
           for dialect in ("sqlite", "mysql", "duckdb")]
session = sqlite3.connect(":memory:")
session.executescript("CREATE TABLE t (name TEXT, points INT); INSERT INTO t VALUES ('Ann', 9), ('Ben', 9), ('Cem', 3)")
rows = session.execute(written[0]).fetchall()
print(f"sqlglot {sqlglot.__version__}, SQLite {sqlite3.sqlite_version}", *written, rows, sep="\n")
sys.exit(not all("LIMIT 1" in text and "TIES" not in text for text in written) or len(rows) != 1)
PYTHON

#!/usr/bin/env bash
# Expected: sqlglot writes PostgreSQL's '{..}'::jsonb ->> 'a' for SQLite so that it finds the value of a, with json() or without a cast.
# Actual: it keeps CAST(.. AS JSONB), which SQLite reads as a cast to a number: the document becomes 0, and every value in it NULL.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'sqlglot==30.30.0' 'apsw==3.54.1.0'
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import apsw, sqlglot

session = apsw.Connection(":memory:")
list(session.execute("CREATE TABLE t (id INTEGER, body TEXT)"))
list(session.execute("INSERT INTO t VALUES (1, '{\"paid\": true, \"total\": 12}'), (2, '{\"paid\": false, \"total\": 30}')"))
given = "SELECT id, body::jsonb ->> 'total' AS total FROM t WHERE body::jsonb ->> 'total' IS NOT NULL"
written = sqlglot.transpile(given, read="postgres", write="sqlite", unsupported_level=sqlglot.ErrorLevel.RAISE)[0]
rows = list(session.execute(written))
cast = list(session.execute("SELECT CAST(body AS JSONB), typeof(CAST(body AS JSONB)), typeof(jsonb(body)) FROM t"))
without = list(session.execute(written.replace("CAST(body AS JSONB)", "body")))
print(f"sqlglot {sqlglot.__version__}, SQLite {apsw.sqlite_lib_version()}")
print("given:  ", given, "\nwritten:", written, "\nrows:   ", rows, "\nwithout the casts:", without, "\nCAST(body AS JSONB):", cast)
sys.exit(not ("AS JSONB" in written and rows == [] and len(without) == 2 and cast[0] == (0, "integer", "blob")))
PYTHON

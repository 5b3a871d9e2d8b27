#!/usr/bin/env bash
# Expected: the sqlite extension of DuckDB reads a REAL in a column of DATE or DATETIME as a Julian day, as SQLite's own date functions do.
# Actual: it reads it as seconds since 1970, without an error: what julianday('2024-01-02') stored is 1970-01-29.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'duckdb==1.5.5' 'duckdb-extension-sqlite-scanner==1.5.5'
"$folder/venv/bin/python" - "$folder/a.db" <<'PYTHON'
import importlib.util, pathlib, sqlite3, sys
import duckdb

path = sys.argv[1]
session = sqlite3.connect(path)
session.execute("CREATE TABLE t (id INT, day DATE, moment DATETIME)")
session.execute("INSERT INTO t VALUES (1, '2024-01-02', '2024-01-02 12:00:00')")
session.execute("INSERT INTO t VALUES (2, julianday('2024-01-02'), julianday('2024-01-02 12:00'))")
session.commit()
own = session.execute("SELECT id, date(day), datetime(moment) FROM t").fetchall()
session.close()
duck = duckdb.connect()
package = pathlib.Path(importlib.util.find_spec("duckdb_extension_sqlite_scanner").origin).parent
duck.execute(f"LOAD '{next(package.rglob('*.duckdb_extension'))}'")
duck.execute(f"ATTACH '{path}' AS a (TYPE sqlite, READ_ONLY)")
seen = duck.execute("SELECT id, day::VARCHAR, moment::VARCHAR FROM a.t ORDER BY id").fetchall()
print(f"SQLite {sqlite3.sqlite_version}:", *own, sep="\n  ")
print(f"DuckDB {duckdb.__version__}:", *seen, sep="\n  ")
same = ("2024-01-02", "2024-01-02 12:00:00")
sys.exit(not (own[0][1:] == own[1][1:] == seen[0][1:] == same and seen[1][1] == "1970-01-29" and seen[1][2].startswith("1970-01-29 11:25:1")))
PYTHON

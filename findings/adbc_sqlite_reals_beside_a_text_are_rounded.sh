#!/usr/bin/env bash
# Expected: a REAL in a column that also holds a text is given as a text with all its digits, as SQLite's own cast gives it.
# Actual: the ADBC driver gives it with seven digits: the Julian day 2460311.5 is 2.460312e+06, another day, and 1234567.25 loses its cents.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'adbc-driver-sqlite==1.13.0' 'adbc-driver-manager==1.13.0' 'pyarrow==26.0.1'
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata, sys
import adbc_driver_sqlite.dbapi

with adbc_driver_sqlite.dbapi.connect(":memory:") as session, session.cursor() as cursor:
    cursor.execute("SELECT sqlite_version()")
    print("adbc-driver-sqlite", importlib.metadata.version("adbc-driver-sqlite"), "SQLite", cursor.fetchone()[0])
    cursor.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    cursor.execute("INSERT INTO t (v) VALUES (2460311.5), (1234567.25), ('unknown')")

    def values(query):
        cursor.execute(query)
        column = cursor.fetch_arrow_table().column(0)
        print(f"{query}: {column.to_pylist()} {column.type}")
        return column.to_pylist()

    numbers = values("SELECT v FROM t WHERE id < 3 ORDER BY id")
    mixed = values("SELECT v FROM t ORDER BY id")
    texts = values("SELECT CAST(v AS TEXT) FROM t ORDER BY id")
is_so = numbers == [2460311.5, 1234567.25] and texts == ["2460311.5", "1234567.25", "unknown"]
sys.exit(not (is_so and mixed == ["2.460312e+06", "1.234567e+06", "unknown"]))
PYTHON

#!/usr/bin/env bash
# Expected: a SQLite file that is opened with mode=ro and SQLITE_OPEN_READONLY leaves its folder as it was.
# Actual: for a file in WAL mode the first read creates a -shm and a -wal file, which stay after the connection is closed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'apsw==3.54.1.0'
"$folder/venv/bin/python" - "$folder/data" <<'PYTHON'
import os, sys
import apsw

folder = sys.argv[1]
os.mkdir(folder)
path = os.path.join(folder, "a.db")
writer = apsw.Connection(path)
for statement in ("PRAGMA journal_mode = wal", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"):
    list(writer.execute(statement))
writer.close()
before = sorted(os.listdir(folder))
reader = apsw.Connection(f"file:{path}?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
rows = list(reader.execute("SELECT a FROM t"))
reader.close()
after = sorted(os.listdir(folder))
print(f"SQLite {apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()}): rows {rows}")
print(f"before: {before}")
print(f"after:  {after}")
sys.exit(0 if before == ["a.db"] and after == ["a.db", "a.db-shm", "a.db-wal"] else 1)
PYTHON

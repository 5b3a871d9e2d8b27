#!/usr/bin/env bash
# Expected: sqlglot turns PostgreSQL's division of integers, which cuts the fraction off, into DuckDB's // for it.
# Actual: without the types of the columns it writes / and says nothing, and / keeps the fraction in DuckDB: 7 / 2 is 3.5, for literals too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'sqlglot==30.30.0' 'duckdb==1.5.5'
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import duckdb, sqlglot

given = ["SELECT 7 / 2", "SELECT sum(n) / count(*) FROM (VALUES (1), (2)) t(n)", "SELECT CAST(7 AS INT) / CAST(2 AS INT)"]
written = sqlglot.transpile("; ".join(given), read="postgres", write="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE)
values = [duckdb.sql(text).fetchone()[0] for text in written]
print(f"sqlglot {sqlglot.__version__}, DuckDB {duckdb.__version__}")
for before, after, value in zip(given, written, values):
    print(f"{before}  ->  {after}  =  {value}")
sys.exit(not (values[:2] == [3.5, 1.5]))
PYTHON

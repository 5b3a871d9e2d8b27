#!/usr/bin/env bash
# Expected: sqlglot turns PostgreSQL's difference of two dates, a number of days, into SQLite's for it (julianday), or refuses.
# Actual: it writes DATE(..) - DATE(..), which SQLite reads as a difference of the years: 0 for two dates of one year.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'sqlglot==30.30.0'
"$folder/venv/bin/python" - <<'PYTHON'
import sqlite3, sys
import sqlglot

text = "SELECT DATE '2026-03-01' - DATE '2026-02-01', DATE '2026-01-01' - DATE '2025-12-31'"
written = sqlglot.transpile(text, read="postgres", write="sqlite", unsupported_level=sqlglot.ErrorLevel.RAISE)[0]
row = sqlite3.connect(":memory:").execute(written).fetchone()
print(f"sqlglot {sqlglot.__version__}, SQLite {sqlite3.sqlite_version}\n{written}\n{row} (28 and 1 days)")
sys.exit(row != (0, 1))
PYTHON

#!/usr/bin/env bash
# Expected: sqlparse.format(.., strip_comments=True) leaves PostgreSQL's operator # (XOR of bits) as it is.
# Actual: a # before a space starts a comment, as in MySQL: the rest of the line goes, and what is left is a valid statement of another meaning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'sqlparse==0.6.1'
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import sqlparse

given = ["SELECT count(*) FROM t WHERE 12 > flags # 3 AND id > 5", "SELECT count(*) FROM t WHERE 12 > flags#3 AND id > 5"]
written = [sqlparse.format(text, strip_comments=True) for text in given]
print("sqlparse", sqlparse.__version__)
for before, after in zip(given, written):
    print(f"{before}  ->  {after}")
sys.exit(written != ["SELECT count(*) FROM t WHERE 12 > flags", given[1]])
PYTHON

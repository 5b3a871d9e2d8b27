# Starts a PostgreSQL of its own on a free port, for the scripts beside this file. Sets `port`, `data` (a folder that is
# removed at the end) and `psql`.
bin=$(find /usr/lib/postgresql -name initdb -type f 2>/dev/null | sort -V | tail -n 1 | xargs -r dirname)
[ -n "$bin" ] || { echo "PostgreSQL's initdb is not in /usr/lib/postgresql" >&2; exit 1; }
data=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -INT "$server" 2>/dev/null; sleep 1; rm -rf "$data"' EXIT
as_user() { "$@"; }
if [ "$(id -u)" = 0 ]; then
  # PostgreSQL refuses root.
  chown nobody "$data"
  as_user() { setpriv --reuid nobody --regid nogroup --clear-groups "$@"; }
fi
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
as_user "$bin/initdb" -D "$data/data" -A trust -U postgres -E UTF8 --locale=C > "$data/initdb.log"
as_user "$bin/postgres" -D "$data/data" -p "$port" -c unix_socket_directories= > "$data/server.log" 2>&1 &
server=$!
psql() { "$bin/psql" -q -h 127.0.0.1 -p "$port" -U postgres -v ON_ERROR_STOP=1 "$@"; }
for _ in $(seq 100); do psql -c 'SELECT 1' > /dev/null 2>&1 && break; sleep 0.1; done
# The job is the shell that started the server, not the server.
server=$(head -n 1 "$data/data/postmaster.pid")

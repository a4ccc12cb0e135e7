// The client in Node.js, whose WebSocket is not quite that of a browser.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { freePort } from "../browser/server.js";

/** Runs a module that has `connect`, until nothing is left to do in it; returns what it prints. */
function run(script) {
  const start = `import { connect } from "${new URL("../../dist/seaway.js", import.meta.url)}";`;
  const flags = ["--experimental-websocket", "--no-warnings", "--input-type=module", "-e", start + script];
  const cwd = new URL(".", import.meta.url);
  return execFileSync(process.execPath, flags, { cwd, encoding: "utf8", timeout: 5000 });
}

/** A server that answers no handshake, and has event streams; `streams` is their number. */
const SILENT = `
  import { createServer } from "node:http";
  import { once } from "node:events";
  let streams = 0;
  const server = createServer((request, response) => {
    console.log("stream", ++streams);
    response.on("close", () => --streams || server.close());
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write('event: open\\ndata: {"connection":"c"}\\n\\n');
  });
  server.on("upgrade", (request, connection) => connection.resume().on("error", () => {}));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = "ws://127.0.0.1:" + server.address().port;
`;

/** The WebSockets of Node.js: its own, and the one that older versions use. */
const KINDS = [["of Node.js", ""], ["of the package ws", 'globalThis.WebSocket = (await import("ws")).WebSocket;']];

test("a refused connection is a failed attempt at once, and not after its timeout", async () => {
  const port = await freePort();
  const output = run(`
    const socket = connect("ws://127.0.0.1:${port}/");
    socket.onState(({ name }) => name === "waiting" && (console.log(name), socket.close()));
  `);
  assert.equal(output, "waiting\n");
});

for (const [name, choose] of KINDS) {
  test(`a WebSocket ${name} that hangs is replaced by one stream, which close ends`, () => {
    const output = run(`${SILENT}${choose}
      const socket = connect(url, { connectTimeout: 200 });
      socket.onState(({ name }) => {
        console.log(name);
        if (name === "open") socket.close();
      });
    `);
    assert.equal(output, "connecting\nstream 1\nopen\nclosed\n");
  });

  test(`a WebSocket ${name} that is closed while it connects is closed`, () => {
    const output = run(`${SILENT}${choose}
      const socket = connect(url);
      socket.onState(({ name }) => console.log(name));
      await once(server, "upgrade");
      socket.close();
      server.close();
    `);
    assert.equal(output, "connecting\nclosed\n");
  });
}

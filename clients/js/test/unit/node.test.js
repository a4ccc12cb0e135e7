// The client in Node.js, whose WebSocket is not quite that of a browser.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { freePort } from "../browser/server.js";

test("a refused connection is a failed attempt at once, and not after its timeout", async () => {
  const port = await freePort();
  const script = `
    const { connect } = await import("${new URL("../../dist/seaway.js", import.meta.url)}");
    const socket = connect("ws://127.0.0.1:${port}/");
    socket.onState(({ name }) => name === "waiting" && (console.log(name), socket.close()));
  `;
  const flags = ["--experimental-websocket", "--no-warnings", "--input-type=module", "-e", script];
  const output = execFileSync(process.execPath, flags, { encoding: "utf8", timeout: 5000 });
  assert.equal(output, "waiting\n");
});

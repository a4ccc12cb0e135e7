// Requests to a consumer of Seaway that was written with the macros: examples/auction.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Chromium } from "./chromium.js";
import { Server } from "./server.js";

const client = readFileSync(new URL("../../dist/seaway.js", import.meta.url)).toString("base64");

test("requests get their results, errors and events, and probes a reply; a logout is final", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "seaway-auction-"));
  const server = await Server.auction(folder);
  const browser = await Chromium.start();
  t.after(async () => {
    await browser.stop();
    await server.stop();
    await rm(folder, { recursive: true });
  });
  const page = await browser.open(server.url);
  await page.evaluate(`(async () => {
    const post = (path, form) => fetch(path, { method: "POST", body: new URLSearchParams(form) });
    globalThis.logOut = () => post("/logout");
    await post("/login", { name: "ana", password: "open sesame" });
    await post("/open", { title: "compass", seconds: "600" });
    const { connect } = await import("data:text/javascript;base64,${client}");
    globalThis.socket = connect("/ws", { fallback: false, heartbeat: { interval: 50, timeout: 5000 } });
    const { send } = WebSocket.prototype;
    globalThis.probes = 0;
    WebSocket.prototype.send = function (text) {
      if (text.includes('"ping"')) probes++;
      send.call(this, text);
    };
    globalThis.raised = [];
    globalThis.states = [];
    socket.on("lot.raised", ({ cents }) => raised.push(cents));
    socket.onState(({ name }) => states.push(name));
  })()`);
  const request = (type, params) => page.evaluate(
    `socket.request("${type}", ${JSON.stringify(params)}).catch(({ failure }) => failure)`,
  );

  const [lot, watchers] = await request("watch", { lot: 1 });
  assert.deepEqual([lot.title, watchers], ["compass", 1]);
  assert.equal((await request("bid", { lot: 1, cents: 500 })).bidder, "ana");
  await page.until("raised.length === 1 && raised[0] === 500");
  assert.deepEqual(await request("bid", { lot: 1, cents: 500 }), { kind: "error", error: { too_low: { cents: 500 } } });
  assert.deepEqual(await request("watch", { lot: 9 }), { kind: "error", error: "no_such_lot" });
  const { kind, fault, reason } = await request("bid", { lot: 1 });
  assert.deepEqual([kind, fault], ["fault", "malformed"]);
  assert.match(reason, /cents/);

  // A probe follows only when the one before was answered.
  await page.until("probes > 1");
  assert.deepEqual(await page.evaluate("states"), ["connecting", "open"]);

  await page.evaluate("logOut()");
  await page.until('socket.state.name === "closed" && socket.state.close.code === 4401');
});

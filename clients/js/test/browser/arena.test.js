// The client in Chromium against a server of Seaway: restarts, a lost network, and the fallback.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Chromium } from "./chromium.js";
import { Server } from "./server.js";

const client = readFileSync(new URL("../../dist/seaway.js", import.meta.url)).toString("base64");

let browser;
before(async () => (browser = await Chromium.start()));
after(() => browser.stop());

/** Opens a page whose `socket` is connected to the arena, and that keeps `states` and `heard`. */
async function open(t, { flags = [], path = "/ws/echo", options = {}, prepare = "" } = {}) {
  const server = await Server.arena(...flags);
  t.after(() => server.stop());
  const page = await browser.open(server.url);
  const settings = JSON.stringify({ backoff: 50, backoffCap: 300, ...options });
  await page.evaluate(`(async () => {
    const { connect } = await import("data:text/javascript;base64,${client}");
    ${prepare}
    globalThis.socket = connect("${path}", ${settings});
    globalThis.states = [];
    globalThis.heard = [];
    socket.onState((state) => states.push({ ...state, at: performance.now() }));
    socket.on("*", (message) => heard.push(message));
    globalThis.isOpen = () => socket.state.name === "open";
  })()`);
  await page.until("isOpen()");
  return { server, page };
}

/** Sends a text, and waits until it comes back. */
async function echo(page, text) {
  assert.equal(await page.evaluate(`socket.send(${JSON.stringify(text)})`), true);
  await page.until(`heard.at(-1) === ${JSON.stringify(text)}`);
}

test("a server that is killed and started again is found again", async (t) => {
  // Without the fallback, which a server that is slow to start may bring about.
  const { server, page } = await open(t, { options: { fallback: false } });
  await echo(page, "one");

  await server.stop();
  await page.until("!isOpen()");
  assert.equal(await page.evaluate('socket.send("waits")'), true);
  await server.start();

  await page.until('heard.at(-1) === "waits"');
  assert.equal(await page.evaluate("socket.state.transport"), "websocket");
});

test("a server that stops is obeyed: the client comes back after the time that it asked for", async (t) => {
  const { server, page } = await open(t, { flags: ["--retry-after", "2"] });

  await server.stop("SIGTERM");
  await page.until('states.some(({ name }) => name === "waiting")');
  await server.start();
  await page.until("isOpen()");

  const states = await page.evaluate("states");
  const waiting = states.findIndex(({ name }) => name === "waiting");
  const { close, at } = states[waiting];
  assert.equal(close.code, 1012);
  const asked = 1000 * Number(/retry_after=(.*)/.exec(close.reason)[1]);
  const waited = states[waiting + 1].at - at;
  // The timer runs before the handler has noted the time, by some milliseconds on a busy machine.
  assert.ok(asked >= 1000 && waited >= asked - 100 && waited < asked + 5000, `${waited} of ${asked}`);
});

test("a page that loses the network notices, and comes back at once when it returns", async (t) => {
  const options = { backoff: 60_000, backoffCap: 60_000, heartbeat: { interval: 60_000, timeout: 500 } };
  const { page } = await open(t, { options });
  await echo(page, "before");

  await page.offline(true);
  await page.until('socket.state.name === "waiting"');
  await page.offline(false);

  await page.until("isOpen()");
  await echo(page, "after");
});

test("a half-open connection is noticed by the heartbeat, and an idle one is kept", async (t) => {
  const { server, page } = await open(t, { options: { heartbeat: { interval: 200, timeout: 1000 } } });
  // The echo of the probes keeps the connection.
  await page.until('heard.filter((message) => message.type === "ping").length > 3');
  assert.equal(await page.evaluate("states.length"), 2);

  server.suspend();
  await page.until("states.length > 2");
  const { name, close } = await page.evaluate("states[2]");
  assert.deepEqual([name, close.reason], ["waiting", "the heartbeat timed out"]);
  server.resume();

  await page.until("isOpen()");
  await echo(page, "after");
});

/** Blocks WebSockets as a proxy does: the handshake fails. */
const BLOCKED = `
  const Real = WebSocket;
  globalThis.WebSocket = class {
    constructor(url, protocols) {
      if (!globalThis.isBlocked) return new Real(url, protocols);
      setTimeout(() => this.onclose?.({ code: 1006, reason: "" }), 20);
    }
    close() {}
  };
  globalThis.isBlocked = true;
`;

test("where WebSockets are blocked, the same consumer is reached by events and POSTs", async (t) => {
  const { server, page } = await open(t, { prepare: BLOCKED, path: "/ws/room/lobby" });
  assert.equal(await page.evaluate("socket.state.transport"), "sse");
  const texts = Array.from({ length: 50 }, (_, n) => `text ${n}\nof two lines`);
  await page.evaluate(`${JSON.stringify(texts)}.forEach((text) => socket.send(text))`);
  await page.until(`heard.length === ${texts.length}`);
  assert.deepEqual(await page.evaluate("heard"), texts);

  await server.stop();
  await page.until("!isOpen()");
  await server.start();
  await page.until("isOpen()");
  await echo(page, "again");

  // An attempt that begins just before the server is back may still end in a stream.
  await page.evaluate("isBlocked = false");
  let restarts = 0;
  do {
    assert.ok(restarts++ < 10, "it stays with the stream");
    await server.stop();
    await page.until("!isOpen()");
    await server.start();
    await page.until("isOpen()");
  } while ((await page.evaluate("socket.state.transport")) === "sse");
  await echo(page, "and back");
});

test("a page that was frozen opens its event stream again at once", async (t) => {
  const { page } = await open(t, { prepare: BLOCKED });
  assert.equal(await page.evaluate("socket.state.transport"), "sse");

  await page.lifecycle("frozen");
  await page.lifecycle("active");

  // Well within the silence after which a stream counts as lost.
  await page.until('states.some(({ name }) => name === "waiting") && isOpen()', 15000);
  await echo(page, "after");
});

test("a stream that the server ends is asked to reconnect later, as a WebSocket is", async (t) => {
  const flags = ["--retry-after", "1"];
  const { server, page } = await open(t, { prepare: BLOCKED, flags });

  await server.stop("SIGTERM");

  await page.until("states.some(({ close }) => close?.code === 1012)");
});

// A thousand clients whose server is gone: how many attempts they make per second.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { connect } from "../../build/index.js";
import { FakeWebSocket, fakeBrowser, pass, realBrowser, settle } from "./fakes.js";

const CLIENTS = 1000;
const BACKOFF = 1000;
const CAP = 30_000;

beforeEach(fakeBrowser);
afterEach(realBrowser);

/** Numbers of a fixed sequence, so that the test has one result (mulberry32). */
function seeded(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

test("the attempts of 1,000 clients peak below 1.5 per client and second, and fall to two per client and cap", async () => {
  Math.random.mock.mockImplementation(seeded(7));
  const perSecond = [];
  class Refusing extends FakeWebSocket {
    constructor(url) {
      super(url);
      if (this.constructor.isDown) {
        const second = Math.floor((Date.now() - start) / 1000);
        perSecond[second] = (perSecond[second] ?? 0) + 1;
        queueMicrotask(() => this.drop());
      }
    }
  }
  globalThis.WebSocket = Refusing;
  const sockets = Array.from({ length: CLIENTS }, () =>
    connect("/ws", { backoff: BACKOFF, backoffCap: CAP, fallback: false }));
  await settle();
  FakeWebSocket.all.forEach((socket) => socket.accept());
  await pass(10_000);
  const start = Date.now();
  Refusing.isDown = true;
  FakeWebSocket.all.splice(0).forEach((socket) => socket.drop());

  await pass(180_000, 100);

  const counts = Array.from({ length: 180 }, (_, second) => perSecond[second] ?? 0);
  const late = counts.slice(90);
  const mean = late.reduce((sum, count) => sum + count, 0) / late.length;
  console.log(`attempts per second: at most ${Math.max(...counts)} at first, ${Math.max(...late)} and ${mean.toFixed(0)} on average after 90 s`);
  // The first waits are spread over the first second, and the second ones begin in it.
  assert.ok(Math.max(...counts) <= 1.5 * CLIENTS * (1000 / BACKOFF), `${counts.slice(0, 10)}`);
  // A wait is half the cap on average.
  const expected = CLIENTS / (CAP / 2000);
  assert.ok(Math.abs(mean - expected) < 0.2 * expected, `${mean} instead of ${expected}`);
  assert.ok(Math.max(...late) < 2 * expected, "there are no waves");
  sockets.forEach((socket) => socket.close());
});

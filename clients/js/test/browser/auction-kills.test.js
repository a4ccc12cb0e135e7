// Two browsers bid while the auction is killed and started again, many times: the bids are in its
// database, and the events in topics over Redis.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Chromium, until } from "./chromium.js";
import { startRedis } from "./redis.js";
import { Server } from "./server.js";

const KILLS = 50;

/** How long all of them may take, in milliseconds. */
const LIMIT = 40_000;

const client = readFileSync(new URL("../../dist/seaway.js", import.meta.url)).toString("base64");

/** Runs in the page: bids a cent more than the highest bid that it knows, again and again. */
async function bid(module) {
  const { connect, RequestError } = await import(module);
  const socket = connect("/ws", { backoff: 20, backoffCap: 100, requestTimeout: 2000, fallback: false });
  const page = (globalThis.page = {
    opened: 0, watching: 0, heard: [], recoveries: [], acknowledged: [], unknown: 0, bids: true, done: false,
  });
  const lot = socket.topic("lot.1");
  lot.on(({ cents }) => page.heard.push(cents));
  lot.onRecovered(({ recovered }) => page.recoveries.push(recovered));
  socket.onState(async ({ name }) => {
    if (name !== "open") return;
    page.opened++;
    await socket.request("watch", { lot: 1, since: lot.position }).then(() => page.watching++, () => {});
  });
  let cents = 0;
  while (page.bids) {
    try {
      await socket.request("bid", { lot: 1, cents: ++cents });
      page.acknowledged.push(cents);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      const { failure } = error;
      if (failure.kind === "error") cents = failure.error.too_low.cents;
      // Perhaps it was stored: the next bid is higher, so none is repeated.
      else page.unknown++;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  page.done = true;
}

test(`each acknowledged bid comes to both pages once while the auction is killed ${KILLS} times`, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "seaway-auction-"));
  const redis = await startRedis();
  const server = await Server.auction(folder, redis.url);
  const browser = await Chromium.start();
  t.after(async () => {
    await browser.stop();
    await server.stop();
    await redis.stop();
    await rm(folder, { recursive: true });
  });
  const pages = await Promise.all([browser.open(server.url), browser.open(server.url)]);
  for (const [at, page] of pages.entries()) {
    await page.evaluate(`(async () => {
      const post = (path, form) => fetch(path, { method: "POST", body: new URLSearchParams(form) });
      await post("/login", { name: "bidder${at}", password: "open sesame" });
      if (${at} === 0) await post("/open", { title: "compass", seconds: "600" });
    })()`);
  }
  for (const page of pages) await page.evaluate(`void (${bid})("data:text/javascript;base64,${client}")`);
  for (const page of pages) await page.until("globalThis.page?.watching === 1");
  const began = Date.now();

  for (let kill = 1; kill <= KILLS; kill++) {
    const before = await Promise.all(pages.map((page) => page.evaluate("globalThis.page")));
    await server.stop("SIGKILL");
    await server.start();
    for (const [at, page] of pages.entries()) {
      await page.until(`globalThis.page.opened > ${before[at].opened}`);
      // The next kill most often comes after the resume, and sometimes within it.
      if (kill % 5) await page.until(`globalThis.page.watching > ${before[at].watching}`);
    }
  }
  const took = Date.now() - began;

  for (const page of pages) await page.evaluate("globalThis.page.bids = false");
  for (const page of pages) await page.until("globalThis.page.done");
  const results = () => Promise.all(pages.map((page) => page.evaluate("globalThis.page")));
  const last = ({ heard }) => heard.at(-1);
  await until("both pages have heard the last bid", async () => {
    const [one, two] = await results();
    const highest = Math.max(one.acknowledged.at(-1), two.acknowledged.at(-1));
    return last(one) === last(two) && Math.max(...one.heard) >= highest;
  });
  const [one, two] = await results();
  for (const { heard, acknowledged, unknown, recoveries, opened } of [one, two]) {
    console.log(`${acknowledged.length} acknowledged, ${heard.length} heard, ${unknown} without a reply, ${opened} connections in ${took} ms`);
    // Not in order: of two bids that are stored at about the same time, the second may be sent first.
    assert.equal(new Set(heard).size, heard.length, "each once");
    assert.ok(recoveries.every((recovered) => recovered), "the topic has all of them");
    assert.ok(opened > KILLS);
  }
  // What was bid before both pages watched is none that one of them has missed.
  const since = Math.max(one.heard[0], two.heard[0]);
  const from = (list) => list.filter((cents) => cents >= since);
  assert.deepEqual(from(one.heard), from(two.heard));
  const acknowledged = from([...one.acknowledged, ...two.acknowledged]).sort((a, b) => a - b);
  assert.ok(acknowledged.length > KILLS);
  assert.equal(new Set(acknowledged).size, acknowledged.length, "a bid was acknowledged to both");
  const heard = new Set(one.heard);
  assert.deepEqual(acknowledged.filter((cents) => !heard.has(cents)), [], "an acknowledged bid was lost");
  assert.ok(took < LIMIT, `${took} ms`);
});

// A page that is frozen for long, as a browser freezes a tab in the background: its timers and events
// wait, and its server gives it up or is restarted meanwhile.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Chromium } from "./chromium.js";
import { freePort, Server } from "./server.js";

/**
 * How long the page is frozen, in milliseconds: a minute, which is 25 times the page's and the
 * server's heartbeats below.
 */
const FROZEN = 60_000;

const HEARTBEAT = { interval: 1500, timeout: 800 };

const client = readFileSync(new URL("../../dist/seaway.js", import.meta.url)).toString("base64");

/** Opens a page with an open `socket`, which counts the `ticks` of its timer. */
async function open(browser, url, path) {
  const page = await browser.open(url);
  // A wait of a minute, so that only waking brings the page back.
  const options = JSON.stringify({ backoff: 60_000, backoffCap: 60_000, heartbeat: HEARTBEAT });
  await page.evaluate(`(async () => {
    const { connect } = await import("data:text/javascript;base64,${client}");
    globalThis.socket = connect("${path}", ${options});
    globalThis.states = [];
    globalThis.heard = [];
    globalThis.ticks = 0;
    socket.onState(({ name }) => states.push(name));
    socket.on("*", (message) => heard.push(message));
    setInterval(() => ticks++, 20);
    // A position, so that the first connection resumes, too.
    globalThis.topic = socket.topic("room");
    globalThis.recoveries = [];
    topic.position = { offset: 0, epoch: "e1" };
    topic.onRecovered(({ recovered }) => recoveries.push(recovered));
  })()`);
  await page.until('socket.state.name === "open"');
  return page;
}

/** Freezes a page while something happens, for `FROZEN` altogether. */
async function freeze(page, happens) {
  await page.lifecycle("frozen");
  const end = Date.now() + FROZEN;
  const ticks = await page.evaluate("ticks");
  await happens();
  await new Promise((resolve) => setTimeout(resolve, end - Date.now()));
  assert.ok((await page.evaluate("ticks")) <= ticks + 1, "its timers stand still");
  await page.lifecycle("active");
  await page.until('states.includes("waiting") && socket.state.name === "open"');
}

async function startBrowser(t) {
  const browser = await Chromium.start();
  t.after(() => browser.stop());
  return browser;
}

describe("a page that was frozen", { concurrency: true }, () => {
  test("is back as soon as it is active, if its server gave it up", async (t) => {
    const server = await Server.arena("--heartbeat", "1.5", "--heartbeat-timeout", "0.8");
    t.after(() => server.stop());
    const page = await open(await startBrowser(t), server.url, "/ws/echo");

    await freeze(page, () => {});

    const states = await page.evaluate("states.slice(0, 5).join()");
    assert.equal(states, "connecting,open,waiting,connecting,open");
    await page.evaluate('socket.send("after")');
    await page.until('heard.at(-1) === "after"');
  });

  test("gets what was said, each once and in order, if its server restarted", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "seaway-room-"));
    t.after(() => rm(folder, { recursive: true }));
    const port = await freePort();
    const program = fileURLToPath(new URL("room.js", import.meta.url));
    const flags = [program, "--port", `${port}`, join(folder, "history")];
    const server = await new Server(process.execPath, flags, port).start();
    t.after(() => server.stop());
    const browser = await startBrowser(t);
    const page = await open(browser, server.url, "/room?name=ana");
    await page.until("recoveries.length === 1");
    const say = async (texts) => {
      const other = await open(browser, server.url, "/room?name=bo");
      for (const text of texts) {
        await other.evaluate(`socket.request("say", { key: "${text}", text: "${text}" })`);
      }
    };

    await freeze(page, async () => {
      await say(["one", "two"]);
      await server.stop();
      await server.start();
      await say(["three", "four"]);
    });

    const texts = 'heard.filter(({ type }) => type === "said").map(({ text }) => text).join()';
    await page.until(`${texts} === "one,two,three,four"`);
    await page.until("topic.isCurrent");
    const recoveries = await page.evaluate("recoveries");
    assert.ok(recoveries.length > 1 && recoveries.every((recovered) => recovered), `${recoveries}`);
  });
});

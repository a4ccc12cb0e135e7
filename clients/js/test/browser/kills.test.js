// Two browsers talk while their server is killed and started again, many times.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Chromium, until } from "./chromium.js";
import { freePort, Server } from "./server.js";

const KILLS = 50;

/** Runs in the page: says one message after the other until each is acknowledged. */
async function talk(name) {
  const { connect } = await import("/seaway.js");
  const socket = connect(`/room?name=${name}`, { backoff: 50, backoffCap: 300, requestTimeout: 2000 });
  const page = (globalThis.page = {
    acknowledged: [], heard: [], recoveries: [], attempts: 0, opened: 0, repeats: 0, talks: true, done: false,
  });
  globalThis.people = () => socket.presence("room").list.map(({ key, count }) => `${key}${count}`).sort().join();
  socket.onState((state) => {
    if (state.name === "connecting") page.attempts++;
    if (state.name === "open") page.opened++;
  });
  // A position, so that the first connection resumes, too.
  socket.topic("room").position = { offset: 0, epoch: "e1" };
  socket.topic("room").on(({ key }, { offset }) => page.heard.push([offset, key]));
  socket.topic("room").onRecovered(({ recovered }) => page.recoveries.push(recovered));
  for (let number = 0; page.talks; number++) {
    const key = `${name}-${number}`;
    for (;;) {
      try {
        page.acknowledged.push([await socket.request("say", { key, text: "ahoy" }), key]);
        break;
      } catch ({ kind }) {
        // It may have been stored: the key makes the repetition harmless.
        if (!["lost", "timeout"].includes(kind)) throw new Error(kind);
        page.repeats++;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  page.done = true;
}

test(`no acknowledged message is lost and none comes twice while the server is killed ${KILLS} times`, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "seaway-room-"));
  const file = join(folder, "history");
  const port = await freePort();
  const program = fileURLToPath(new URL("room.js", import.meta.url));
  const server = await new Server(process.execPath, [program, "--port", `${port}`, file], port).start();
  const browser = await Chromium.start();
  t.after(async () => {
    await browser.stop();
    await server.stop();
    await rm(folder, { recursive: true });
  });
  const pages = await Promise.all([browser.open(server.url), browser.open(server.url)]);
  const names = ["ana", "bo"];
  pages.forEach((page, at) => page.evaluate(`void (${talk})("${names[at]}")`));
  const opened = (page) => page.evaluate("globalThis.page?.opened ?? 0");
  const began = Date.now();

  for (let kill = 1; kill <= KILLS; kill++) {
    for (const page of pages) await until(`a page is open for the ${kill}th time`, async () => (await opened(page)) >= kill);
    await new Promise((resolve) => setTimeout(resolve, 40 * Math.random()));
    await server.stop("SIGKILL");
    await server.start();
  }
  const seconds = (Date.now() - began) / 1000;
  for (const page of pages) await page.evaluate("globalThis.page.talks = false");
  const stored = async () => (await readFile(file, "utf8")).split("\n").slice(0, -1).map((line) => JSON.parse(line).key);
  for (const page of pages) {
    await page.until("globalThis.page.done");
    const count = (await stored()).length;
    await page.until(`globalThis.page.heard.at(-1)[0] === ${count}`);
    await page.until('globalThis.people() === "ana1,bo1"');
  }

  const history = await stored();
  for (const page of pages) {
    const { acknowledged, heard, recoveries, attempts, repeats } = await page.evaluate("globalThis.page");
    console.log(`${acknowledged.length} acknowledged, ${heard.length} heard, ${repeats} sent again, ${attempts} attempts in ${seconds.toFixed(0)} s`);
    assert.deepEqual(heard, history.map((key, at) => [at + 1, key]), "each once, and in order");
    for (const [offset, key] of acknowledged) assert.equal(history[offset - 1], key, "an acknowledged message was lost");
    assert.equal(new Set(history).size, history.length);
    // A kill may end a connection before the page has read what the server sent at its start.
    assert.ok(recoveries.length > KILLS / 2 && recoveries.length <= KILLS + 1, `${recoveries.length} recoveries`);
    assert.ok(recoveries.every((recovered) => recovered));
    assert.ok(acknowledged.length > KILLS);
    // Waits are 25 ms on average at first, and 150 ms at the cap.
    assert.ok(attempts < seconds * 20, `${attempts} attempts in ${seconds} s`);
  }
});

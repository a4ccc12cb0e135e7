// A headless Chromium, driven by the DevTools protocol.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import WebSocket from "ws";

/** How long anything may take, in milliseconds, on a busy machine. */
export const PATIENCE = 15_000;

/** Without a screen, in a container, and with no connection to other hosts. */
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--log-level=3",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--remote-debugging-port=0",
];

/** Waits until `condition` returns something, and returns it. */
export async function until(what, condition, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${patience} ms until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A browser of one test file. */
export class Chromium {
  static async start() {
    const profile = await mkdtemp(join(tmpdir(), "seaway-chromium-"));
    const program = process.env.SEAWAY_CHROMIUM ?? "chromium";
    const flags = [...FLAGS, `--user-data-dir=${profile}`, "about:blank"];
    const child = spawn(program, flags, { stdio: ["ignore", "ignore", "pipe"] });
    const address = await new Promise((resolve, reject) => {
      let said = "";
      child.once("error", (error) => reject(new Error(`${error.message}: \`cargo xtask setup\` installs Chromium`)));
      child.once("exit", (code) => reject(new Error(`Chromium exited with ${code}: ${said}`)));
      child.stderr.on("data", (data) => {
        said += data;
        const found = /DevTools listening on (ws:\S+)/.exec(said);
        if (found) resolve(found[1]);
      });
    });
    const connection = new WebSocket(address);
    await once(connection, "open");
    return new Chromium(child, connection, profile);
  }

  #child;
  #connection;
  #profile;
  #last = 0;
  #calls = new Map();

  constructor(child, connection, profile) {
    this.#child = child;
    this.#connection = connection;
    this.#profile = profile;
    connection.on("message", (data) => {
      const { id, result, error } = JSON.parse(data);
      const call = this.#calls.get(id);
      this.#calls.delete(id);
      error ? call?.reject(new Error(error.message)) : call?.resolve(result);
    });
  }

  call(method, params = {}, sessionId) {
    const id = ++this.#last;
    this.#connection.send(JSON.stringify({ id, method, params, sessionId }));
    return new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject }));
  }

  /** Opens a page with cookies of its own. */
  async open(url) {
    const { browserContextId } = await this.call("Target.createBrowserContext");
    const { targetId } = await this.call("Target.createTarget", { url: "about:blank", browserContextId });
    const { sessionId } = await this.call("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId);
    await page.call("Network.enable");
    await page.call("Page.enable");
    await page.call("Page.navigate", { url });
    const there = JSON.stringify(url);
    await until(`${url} is loaded`, () =>
      page.evaluate(`location.href === ${there} && document.readyState === "complete"`));
    return page;
  }

  async stop() {
    this.#connection.close();
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 10 });
  }
}

class Page {
  constructor(browser, session) {
    this.browser = browser;
    this.session = session;
  }

  call(method, params) {
    return this.browser.call(method, params, this.session);
  }

  /** Returns the value of an expression, awaited. */
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) {
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    }
    return result.value;
  }

  /** Waits until an expression is true. */
  until(expression, patience) {
    return until(`${expression} in the page`, () => this.evaluate(expression), patience);
  }

  /** Cuts the page off the network, or connects it again. */
  offline(offline) {
    const params = { offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
    return this.call("Network.emulateNetworkConditions", params);
  }

  /** Freezes the page, or makes it active again. */
  lifecycle(state) {
    return this.call("Page.setWebLifecycleState", { state });
  }
}

// A browser's world for unit tests: WebSockets, fetch, page events and time, all by hand.

import { mock } from "node:test";

/** A WebSocket whose other end is the test. */
export class FakeWebSocket {
  static all = [];

  static get last() {
    return FakeWebSocket.all.at(-1);
  }

  constructor(url, protocols) {
    this.url = new URL(url);
    this.protocols = protocols;
    this.bufferedAmount = 0;
    this.sent = [];
    this.readyState = 0;
    FakeWebSocket.all.push(this);
  }

  send(data) {
    this.sent.push(data);
  }

  /** Throws for what a browser does not allow. */
  close(code = 1000, reason = "") {
    if (code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new DOMException(`the code ${code}`, "InvalidAccessError");
    }
    if (Buffer.byteLength(reason) > 123) throw new DOMException("a long reason", "SyntaxError");
    this.closed = { code, reason };
  }

  /** What was sent, parsed. */
  get messages() {
    return this.sent.map((text) => JSON.parse(text));
  }

  accept() {
    this.readyState = 1;
    this.onopen?.({});
  }

  deliver(message) {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }

  drop(code = 1006, reason = "") {
    this.readyState = 3;
    this.onerror?.({});
    this.onclose?.({ code, reason });
  }
}

/** One that calls its handlers within `close` while it connects, as that of Node.js. */
export class ReentrantWebSocket extends FakeWebSocket {
  close(code, reason) {
    super.close(code, reason);
    if (this.readyState === 0) {
      this.onerror?.({});
      this.drop();
    }
  }
}

/** A server of event streams, whose streams the test writes. */
export class FakeStreams {
  requests = [];
  /** The headers of a response without a stream. */
  headers = {};
  contentType = "text/event-stream";
  /** What POSTs are answered with, in order; then 204. */
  answers = [];

  fetch = async (url, options) => {
    const request = { url: new URL(url), method: "GET", ...options };
    this.requests.push(request);
    if (request.method === "POST") {
      const answer = await (this.answers.shift() ?? { status: 204 });
      return new Response(null, answer);
    }
    if (this.status) return new Response("no", { status: this.status, headers: this.headers });
    const body = new ReadableStream({
      start: (controller) => {
        this.stream = controller;
        options.signal.addEventListener("abort", () => {
          this.isLeft = true;
          controller.error(options.signal.reason);
        });
      },
    });
    return new Response(body, { headers: { "content-type": this.contentType } });
  };

  get posts() {
    return this.requests.filter(({ method }) => method === "POST");
  }

  write(text) {
    this.stream.enqueue(new TextEncoder().encode(text));
  }
}

/** Replaces the browser and chance, and stops time. */
export function fakeBrowser() {
  FakeWebSocket.all = [];
  const streams = new FakeStreams();
  streams.status = 404;
  const page = { window: new EventTarget(), document: new EventTarget() };
  page.document.visibilityState = "visible";
  Object.assign(globalThis, page, {
    WebSocket: FakeWebSocket,
    fetch: streams.fetch,
    location: { href: "https://shop.example/lots/7" },
  });
  // A wait of zero would end in the moment that it begins.
  mock.method(Math, "random", () => 0.5);
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  const { setTimeout } = globalThis;
  // A browser's timers take 32 bits, with a sign.
  globalThis.setTimeout = (call, delay, ...values) => setTimeout(call, Math.max(delay | 0, 0), ...values);
  return { ...page, streams };
}

export function realBrowser() {
  mock.timers.reset();
  mock.restoreAll();
  for (const name of ["window", "document", "location"]) delete globalThis[name];
}

/** Lets promises settle. */
export async function settle() {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
}

/** Moves time on, a step at a time, and lets promises settle in between. */
export async function pass(milliseconds, step = milliseconds) {
  for (let passed = 0; passed < milliseconds; passed += step) {
    mock.timers.tick(Math.min(step, milliseconds - passed));
    await settle();
  }
}

// The socket over a fake WebSocket and under fake time.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { connect, RequestError } from "../../build/index.js";
import { fakeBrowser, FakeWebSocket, pass, realBrowser, ReentrantWebSocket, settle } from "./fakes.js";

let browser;
beforeEach(() => (browser = fakeBrowser()));
afterEach(realBrowser);

/** Opens a socket, without the fallback unless it is asked for. */
async function open(options = {}) {
  const socket = connect("/ws/lots/7?lang=da", { fallback: false, ...options });
  await settle();
  FakeWebSocket.last.accept();
  return socket;
}

const failureOf = (promise) => promise.then(
  () => assert.fail("it was fulfilled"),
  (error) => {
    assert.ok(error instanceof RequestError);
    return error.failure;
  },
);

describe("a connection", () => {
  test("leads to the page's own host, with the scheme of WebSockets", async () => {
    await open();
    assert.equal(FakeWebSocket.last.url.href, "wss://shop.example/ws/lots/7?lang=da");
  });

  test("to an invalid address throws at once", () => {
    assert.throws(() => connect("http://["), TypeError);
  });

  test("tells its state now and whenever it changes", async () => {
    const socket = connect("/ws", { fallback: false });
    const states = [];
    socket.onState((state) => states.push(state));
    await settle();
    FakeWebSocket.last.accept();
    FakeWebSocket.last.drop(1013, "slow");
    await pass(500);
    FakeWebSocket.last.accept();
    FakeWebSocket.last.drop(4401, "log in again");

    assert.deepEqual(states, [
      { name: "connecting" },
      { name: "open", transport: "websocket" },
      { name: "waiting", until: 1_000_500, close: { code: 1013, reason: "slow" } },
      { name: "connecting" },
      { name: "open", transport: "websocket" },
      { name: "closed", close: { code: 4401, reason: "log in again" } },
    ]);
  });

  for (const code of [1003, 1007]) {
    test(`that ends with ${code} prints the reason`, async (t) => {
      const warn = t.mock.method(console, "warn", () => {});
      await open();
      FakeWebSocket.last.drop(code, "unexpected JSON");
      assert.deepEqual(warn.mock.calls[0].arguments, [{ code, reason: "unexpected JSON" }]);
      assert.equal(warn.mock.callCount(), 1);
    });
  }

  test("that ends otherwise prints nothing", async (t) => {
    const warn = t.mock.method(console, "warn", () => {});
    await open();
    FakeWebSocket.last.drop(1013, "slow");
    assert.equal(warn.mock.callCount(), 0);
  });

  test("tells its states in their order, also if a handler changes the state", async () => {
    const socket = connect("/ws", { fallback: false });
    const states = [[], []];
    socket.onState(({ name }) => {
      states[0].push(name);
      if (name === "open") socket.close();
      if (name === "closed" && states[0].length < 4) socket.open();
    });
    socket.onState(({ name }) => states[1].push(name));
    await settle();
    FakeWebSocket.last.accept();

    assert.deepEqual(states[0], ["connecting", "open", "closed", "connecting"]);
    assert.deepEqual(states[1], states[0]);
    socket.close();
  });

  test("that a handler closes and opens while it begins is one attempt, with a limit", async () => {
    const token = mock.fn(() => new Promise(() => {}));
    const socket = connect("/ws", { fallback: false, token, connectTimeout: 3000 });
    socket.close();
    let isFirst = true;
    socket.onState(({ name }) => {
      if (name !== "connecting" || !isFirst) return;
      isFirst = false;
      socket.close();
      socket.open();
    });
    token.mock.resetCalls();

    socket.open();
    await settle();
    assert.equal(token.mock.callCount(), 1);
    await pass(3000);
    assert.equal(socket.state.name, "waiting");
    socket.close();
  });

  test("sends its token as a subprotocol, a new one for each attempt", async () => {
    let number = 0;
    const token = async () => `t${++number}`;
    await open({ token, protocols: ["chat.2"] });
    assert.deepEqual(FakeWebSocket.last.protocols, ["chat.2", "bearer", "t1"]);
    assert.ok(!FakeWebSocket.last.url.href.includes("t1"));

    FakeWebSocket.last.drop();
    await pass(1000);
    assert.deepEqual(FakeWebSocket.last.protocols, ["chat.2", "bearer", "t2"]);
  });

  test("whose token cannot be had is an attempt that failed", async () => {
    const token = mock.fn(async () => {
      throw new Error("logged out");
    });
    const socket = connect("/ws", { token, fallback: false });
    await settle();
    assert.equal(socket.state.name, "waiting");
    assert.match(socket.state.close.reason, /logged out/);

    await pass(1000);
    assert.equal(token.mock.callCount(), 2);
    assert.equal(FakeWebSocket.all.length, 0);
  });

  test("that does not open in time is given up", async () => {
    const socket = connect("/ws", { fallback: false, connectTimeout: 3000 });
    await settle();
    await pass(2999);
    assert.equal(socket.state.name, "connecting");
    await pass(1);
    assert.equal(socket.state.name, "waiting");
    assert.ok(FakeWebSocket.all[0].closed);

    FakeWebSocket.all[0].accept();
    assert.equal(socket.state.name, "waiting", "a late answer is ignored");
  });

  test("that does not open in time is one failed attempt, also if its end is an error", async () => {
    globalThis.WebSocket = ReentrantWebSocket;
    const socket = connect("/ws", { fallback: false, connectTimeout: 3000 });
    const states = [];
    socket.onState(({ name }) => states.push(name));
    await settle();
    await pass(3000);

    assert.deepEqual(states, ["connecting", "waiting"]);
    assert.equal(socket.state.close.reason, "the attempt timed out");
    socket.close();
  });

  for (const fallback of [true, false]) {
    test(`that is closed while it begins is closed, also if that is an error (fallback: ${fallback})`, async () => {
      globalThis.WebSocket = ReentrantWebSocket;
      const socket = connect("/ws", { fallback });
      const states = [];
      socket.onState(({ name }) => states.push(name));
      await settle();
      socket.close();
      await pass(60_000, 10_000);

      assert.deepEqual(states, ["connecting", "closed"]);
      assert.equal(FakeWebSocket.all.length, 1);
      assert.equal(browser.streams.requests.length, 0);
    });
  }
});

describe("a number of the options", () => {
  const names = ["backoff", "backoffCap", "connectTimeout", "requestTimeout", "queueMessages", "queueBytes"];
  const given = [...names.map((name) => [name, (value) => ({ [name]: value })]),
    ["interval", (interval) => ({ heartbeat: { interval } })],
    ["timeout", (timeout) => ({ heartbeat: { timeout } })]];

  for (const [name, options] of given) {
    test(`that is none, or is negative, is refused: ${name}`, () => {
      for (const value of [NaN, -1, -Infinity, "soon"]) {
        assert.throws(() => connect("/ws", options(value)), { name: "RangeError", message: new RegExp(`^${name} is ${value}`) });
      }
      assert.equal(FakeWebSocket.all.length, 0);
    });

    test(`that is not given has its default: ${name}`, () => connect("/ws", options(undefined)).close());
  }

  test("may be 0 for the queue, and for nothing else", () => {
    for (const [name, options] of given) {
      const open = () => connect("/ws", options(0)).close();
      name.startsWith("queue") ? open() : assert.throws(open, RangeError, name);
    }
  });

  test("that is Infinity is the longest time of a timer", async () => {
    Math.random.mock.mockImplementation(() => 1);
    const socket = await open({
      backoff: Infinity, backoffCap: Infinity, connectTimeout: Infinity, requestTimeout: Infinity,
      heartbeat: { interval: Infinity, timeout: Infinity },
    });
    const reply = socket.request("a", {});
    await pass(86_400_000);
    FakeWebSocket.last.deliver({ type: "reply", id: 1, ok: 1 });
    assert.equal(await reply, 1);
    assert.deepEqual(FakeWebSocket.last.messages.map(({ type }) => type), ["a"], "no probe");

    FakeWebSocket.last.drop();
    assert.equal(socket.state.until - Date.now(), 2 ** 31 - 1);
    socket.open();
    await settle();
    await pass(86_400_000);
    assert.equal(socket.state.name, "connecting");
    socket.close();
  });
});

describe("after a loss", () => {
  test("the waits grow while attempts fail, up to the cap", async () => {
    Math.random.mock.mockImplementation(() => 1);
    const socket = await open({ backoff: 1000, backoffCap: 8000 });
    const waits = [];
    for (let attempt = 0; attempt < 6; attempt++) {
      FakeWebSocket.last.drop();
      waits.push(socket.state.until - Date.now());
      await pass(waits.at(-1));
    }
    assert.deepEqual(waits, [1000, 2000, 4000, 8000, 8000, 8000]);
  });

  test("a WebSocket that fails without a close, as in Node.js 20, is followed by a wait at once", async () => {
    const socket = connect("/ws", { fallback: false });
    await settle();
    FakeWebSocket.last.onerror({});
    assert.equal(socket.state.name, "waiting");
    socket.close();
  });

  test("only a connection that lasted makes the waits short again", async () => {
    Math.random.mock.mockImplementation(() => 1);
    const socket = await open();
    const wait = () => socket.state.until - Date.now();
    FakeWebSocket.last.drop();
    await pass(wait());
    FakeWebSocket.last.accept();
    await pass(4999);
    FakeWebSocket.last.drop();
    assert.equal(wait(), 2000);

    await pass(wait());
    FakeWebSocket.last.accept();
    await pass(5000);
    FakeWebSocket.last.drop();
    assert.equal(wait(), 1000);
  });

  test("the server's retry_after is the wait, to the millisecond, also for a page that wakes", async () => {
    await open();
    FakeWebSocket.last.drop(1012, "retry_after=7.31");
    await pass(7309, 1000);
    browser.window.dispatchEvent(new Event("online"));
    await settle();
    assert.equal(FakeWebSocket.all.length, 1);
    await pass(1);
    assert.equal(FakeWebSocket.all.length, 2);
  });

  test("a page that wakes after the server's retry_after has passed tries at once", async () => {
    Math.random.mock.mockImplementation(() => 1);
    const socket = await open({ backoff: 30_000 });
    FakeWebSocket.last.drop(1012, "retry_after=7");
    assert.equal(socket.state.until - Date.now(), 30_000);
    const wake = async () => {
      browser.window.dispatchEvent(new Event("online"));
      await settle();
      return FakeWebSocket.all.length;
    };
    await pass(6999);
    assert.equal(await wake(), 1);
    await pass(1);
    assert.equal(await wake(), 2);
    socket.close();
  });

  for (const reason of ["retry_after=0", "retry_after=0.01"]) {
    test(`${reason} does not shorten the waits, which grow`, async () => {
      Math.random.mock.mockImplementation(() => 1);
      const socket = await open();
      const waits = [];
      for (let attempt = 0; attempt < 3; attempt++) {
        FakeWebSocket.last.drop(1012, reason);
        waits.push(socket.state.until - Date.now());
        await pass(waits.at(-1));
      }
      assert.deepEqual(waits, [1000, 2000, 4000]);
    });
  }

  test("a page that wakes tries within a second, also after its clock was set back", async () => {
    Math.random.mock.mockImplementation(() => 1);
    const socket = await open({ backoff: 30_000 });
    FakeWebSocket.last.drop();
    await pass(500);
    const { now } = Date;
    mock.method(Date, "now", () => now() - 3_600_000);
    browser.window.dispatchEvent(new Event("online"));
    await pass(1000);
    assert.equal(FakeWebSocket.all.length, 2);
    socket.close();
  });

  for (const code of [1000, 1008, 4401, 4403]) {
    test(`with ${code} it stays closed until it is opened again`, async () => {
      const socket = await open();
      FakeWebSocket.last.drop(code, "enough");
      await pass(100_000, 10_000);
      browser.window.dispatchEvent(new Event("online"));
      await settle();
      assert.equal(FakeWebSocket.all.length, 1);
      assert.deepEqual(socket.state, { name: "closed", close: { code, reason: "enough" } });
      assert.equal(socket.send("late"), false);

      socket.open();
      await settle();
      FakeWebSocket.last.accept();
      assert.equal(socket.state.name, "open");
    });
  }

  for (const [target, event] of [["window", "online"], ["window", "pageshow"],
    ["document", "visibilitychange"], ["document", "resume"]]) {
    test(`a page that wakes (${event}) tries at once, but not more than once a second`, async () => {
      Math.random.mock.mockImplementation(() => 1);
      await open({ backoff: 30_000 });
      await pass(10_000);
      const wake = async () => {
        browser[target].dispatchEvent(new Event(event));
        await settle();
        return FakeWebSocket.all.length;
      };
      FakeWebSocket.last.drop();
      assert.equal(await wake(), 2);
      FakeWebSocket.last.drop();
      assert.equal(await wake(), 2);
      await pass(999);
      assert.equal(await wake(), 2);
      await pass(1);
      assert.equal(FakeWebSocket.all.length, 3, "the page had woken before");
    });
  }

  test("a page that was frozen wakes before it learns of the loss, and then tries at once", async () => {
    Math.random.mock.mockImplementation(() => 1);
    const socket = await open({ backoff: 30_000 });
    await pass(10_000);
    browser.document.dispatchEvent(new Event("resume"));
    await pass(4000);
    FakeWebSocket.last.drop();
    assert.equal(socket.state.until, Date.now());
    await pass(1);
    assert.equal(FakeWebSocket.all.length, 2);

    FakeWebSocket.last.drop();
    assert.equal(socket.state.until - Date.now(), 30_000, "but once only");
  });

  test("a page that becomes hidden does not wake", async () => {
    Math.random.mock.mockImplementation(() => 1);
    await open();
    await pass(10_000);
    FakeWebSocket.last.drop();
    browser.document.visibilityState = "hidden";
    browser.document.dispatchEvent(new Event("visibilitychange"));
    await settle();
    assert.equal(FakeWebSocket.all.length, 1);
  });

  test("close ends it: no attempt follows, and the page's events are no longer watched", async () => {
    const socket = await open();
    socket.close(4000, "bye");
    assert.deepEqual(FakeWebSocket.last.closed, { code: 4000, reason: "bye" });
    browser.window.dispatchEvent(new Event("online"));
    await pass(60_000, 10_000);
    assert.equal(FakeWebSocket.all.length, 1);
    assert.deepEqual(socket.state, { name: "closed", close: { code: 4000, reason: "bye" } });
  });

  for (const [code, reason] of [[1001, "away"], [5000, ""], [4000, "a".repeat(124)]]) {
    test(`a close that browsers do not allow (${code}, ${reason.length} bytes) changes nothing`, async () => {
      const socket = await open();
      const heard = [];
      socket.on("*", (message) => heard.push(message));

      assert.throws(() => socket.close(code, reason), DOMException);

      assert.equal(socket.state.name, "open");
      FakeWebSocket.last.deliver("news");
      assert.deepEqual(heard, ["news"]);
      FakeWebSocket.last.drop();
      assert.equal(socket.state.name, "waiting");
    });
  }

  test("a close that browsers do not allow changes nothing for an attempt", async () => {
    const socket = connect("/ws", { fallback: false });
    await settle();
    assert.throws(() => socket.close(1001), DOMException);
    FakeWebSocket.last.accept();
    assert.equal(socket.state.name, "open");
  });

  test("a close that browsers do not allow changes nothing for messages that wait for room", async () => {
    const socket = await open();
    FakeWebSocket.last.bufferedAmount = 65_536;
    socket.send("text");
    assert.throws(() => socket.close(1001), DOMException);

    FakeWebSocket.last.bufferedAmount = 0;
    await pass(50);
    assert.deepEqual(FakeWebSocket.last.sent, ["text"]);
  });
});

describe("messages", () => {
  test("go to the handlers of their type, and all of them to *", async () => {
    const socket = await open();
    const heard = [];
    socket.on("lot.raised", ({ cents }) => heard.push(["raised", cents]));
    const stop = socket.on("*", (message) => heard.push(["*", message.type ?? message]));
    FakeWebSocket.last.deliver({ type: "lot.raised", cents: 5 });
    FakeWebSocket.last.deliver({ type: "constructor" });
    FakeWebSocket.last.deliver("plain text");
    FakeWebSocket.last.deliver("7");
    stop();
    FakeWebSocket.last.deliver({ type: "lot.ended" });

    assert.deepEqual(heard, [["raised", 5], ["*", "lot.raised"], ["*", "constructor"],
      ["*", "plain text"], ["*", "7"]]);
  });

  test("of the type * go to the handlers of * once", async () => {
    const socket = await open();
    const heard = [];
    socket.on("*", ({ number }) => heard.push(number));
    FakeWebSocket.last.deliver({ type: "*", number: 1 });
    FakeWebSocket.last.deliver({ topic: "lot.7", offset: 1, epoch: "e", event: { type: "*", number: 2 } });
    assert.deepEqual(heard, [1, 2]);
  });

  test("with a type are events, whatever their fields are called", async () => {
    const socket = await open();
    const heard = [];
    socket.on("chat.status", ({ presence }) => heard.push(presence));
    socket.on("chat.moved", ({ topic }) => heard.push(topic));
    FakeWebSocket.last.deliver({ type: "chat.status", presence: "away" });
    FakeWebSocket.last.deliver({ type: "chat.moved", topic: "lobby", offset: 7, epoch: "e" });
    assert.deepEqual(heard, ["away", "lobby"]);
  });

  test("are sent as JSON, as text or as bytes", async () => {
    const socket = await open();
    const bytes = new Uint8Array([1, 2]);
    const sent = [{ type: "typing" }, "text", bytes].map((message) => socket.send(message));
    assert.deepEqual(sent, [true, true, true]);
    assert.deepEqual(FakeWebSocket.last.sent, ['{"type":"typing"}', "text", bytes]);
  });

  test("wait for the connection in their order, and a full queue refuses new ones", async () => {
    const socket = connect("/ws", { fallback: false, queueMessages: 3 });
    const accepted = ["a", "b", "c", "d"].map((text) => socket.send(text));
    assert.deepEqual(accepted, [true, true, true, false]);

    await settle();
    FakeWebSocket.last.accept();
    socket.send("e");
    assert.deepEqual(FakeWebSocket.last.sent, ["a", "b", "c", "e"]);
  });

  test("of a handler find room in the queue when the connection has opened", async () => {
    const socket = connect("/ws", { fallback: false, queueMessages: 1 });
    assert.equal(socket.send("waits"), true);
    let accepted;
    socket.onState(({ name }) => {
      if (name === "open") accepted = socket.send("enter");
    });
    await settle();
    FakeWebSocket.last.accept();
    assert.equal(accepted, true);
    assert.deepEqual(FakeWebSocket.last.sent, ["waits", "enter"]);
  });

  test("wait while the browser's own buffer is full", async () => {
    const socket = await open({ queueMessages: 2 });
    FakeWebSocket.last.bufferedAmount = 65_536;
    assert.deepEqual(["a", "b", "c"].map((text) => socket.send(text)), [true, true, false]);
    await pass(1000, 50);
    assert.deepEqual(FakeWebSocket.last.sent, []);

    FakeWebSocket.last.bufferedAmount = 0;
    await pass(50);
    assert.deepEqual(FakeWebSocket.last.sent, ["a", "b"]);
  });

  test("wait for the next connection once the server has begun to close this one", async (t) => {
    const socket = await open();
    const [closing] = FakeWebSocket.all;
    closing.bufferedAmount = 65_536;
    assert.equal(socket.send("a"), true);
    closing.readyState = 2;
    assert.equal(socket.send("b"), true);
    await pass(50);
    const timers = t.mock.method(globalThis, "setTimeout");
    await pass(1000, 50);
    assert.equal(timers.mock.callCount(), 0, "nobody looks whether a closing socket has room");
    timers.mock.restore();

    closing.drop(1012, "retry_after=1");
    await pass(1000);
    FakeWebSocket.last.accept();
    assert.deepEqual([closing.sent, FakeWebSocket.last.sent], [[], ["a", "b"]]);
  });

  test("that nobody waits for any more are not looked after while the buffer is full", async (t) => {
    const socket = await open();
    FakeWebSocket.last.bufferedAmount = 65_536;
    const request = failureOf(socket.request("a", {}, { timeout: 40 }));
    await pass(50);
    assert.deepEqual(await request, { kind: "timeout", sent: false });
    const timers = t.mock.method(globalThis, "setTimeout");
    await pass(1000, 50);
    assert.equal(timers.mock.callCount(), 0);
    timers.mock.restore();
  });
});

describe("a request", () => {
  test("resolves with ok, and rejects with the method's error and with faults", async () => {
    const socket = await open();
    const replies = ["bid", "bid", "bid", "bid"].map((type) => socket.request(type, { cents: 3 }));
    assert.deepEqual(FakeWebSocket.last.messages[0], { cents: 3, type: "bid", id: 1 });
    const reply = (id, content) => FakeWebSocket.last.deliver({ type: "reply", id, ...content });
    reply(2, { error: { too_low: { cents: 5 } } });
    reply(1, { ok: null });
    reply(3, { fault: { kind: "malformed", reason: "missing field" } });
    reply(4, { fault: { kind: "failed" } });
    reply(4, { ok: "late" });
    reply(99, { ok: "nobody's" });

    assert.equal(await replies[0], null);
    assert.deepEqual(await failureOf(replies[1]), { kind: "error", error: { too_low: { cents: 5 } } });
    assert.deepEqual(await failureOf(replies[2]), { kind: "fault", fault: "malformed", reason: "missing field" });
    assert.deepEqual(await failureOf(replies[3]), { kind: "fault", fault: "failed" });
  });

  test("without a reply times out, and without a connection is never sent after that", async () => {
    const socket = await open();
    const sent = failureOf(socket.request("bid", {}, { timeout: 100 }));
    await pass(100);
    assert.deepEqual(await sent, { kind: "timeout", sent: true });

    FakeWebSocket.last.drop();
    const unsent = failureOf(socket.request("late", {}, { timeout: 100 }));
    await pass(100);
    assert.deepEqual(await unsent, { kind: "timeout", sent: false });
    await pass(1000);
    FakeWebSocket.last.accept();
    assert.deepEqual(FakeWebSocket.last.sent, []);
  });

  test("that waited in the queue while the machine was suspended is not sent after its timeout", async () => {
    const socket = await open({ requestTimeout: 5000 });
    FakeWebSocket.last.drop();
    const late = failureOf(socket.request("late", {}));
    const inTime = socket.request("later", {}, { timeout: 3_600_000 });
    // Timers do not count this time.
    const { now } = Date;
    mock.method(Date, "now", () => now() + 5000);
    await pass(500);
    FakeWebSocket.last.accept();

    assert.deepEqual(FakeWebSocket.last.messages.map(({ type }) => type), ["later"]);
    assert.deepEqual(await late, { kind: "timeout", sent: false });
    FakeWebSocket.last.deliver({ type: "reply", id: 2, ok: 1 });
    assert.equal(await inTime, 1);
  });

  test("that takes longer to serialize than its timeout is sent at once all the same", async () => {
    const socket = await open();
    const { now } = Date;
    const slow = {
      toJSON() {
        mock.method(Date, "now", () => now() + 5);
        return null;
      },
    };
    const reply = socket.request("slow", { slow }, { timeout: 1 });

    assert.deepEqual(FakeWebSocket.last.messages.map(({ type }) => type), ["slow"]);
    FakeWebSocket.last.deliver({ type: "reply", id: 1, ok: 1 });
    assert.equal(await reply, 1);
  });

  for (const timeout of [NaN, -1, 0]) {
    test(`with a timeout of ${timeout} ms is rejected and not sent`, async () => {
      const socket = await open();
      await assert.rejects(socket.request("bid", {}, { timeout }), RangeError);
      assert.deepEqual(FakeWebSocket.last.sent, []);
    });
  }

  for (const name of ["id", "type"]) {
    test(`with a parameter \`${name}\` is rejected and not sent`, async () => {
      const socket = await open();
      const error = { name: "TypeError", message: "a parameter is named id or type" };
      await assert.rejects(socket.request("move", { [name]: 9 }), error);
      await assert.rejects(socket.request("move", { [name]: null }), error);
      assert.deepEqual(FakeWebSocket.last.sent, []);
    });
  }

  test("whose parameters cannot be written is rejected, and leaves nothing behind", async (t) => {
    const socket = await open();
    const timers = t.mock.method(globalThis, "setTimeout");
    await assert.rejects(socket.request("bid", { cents: 1n }), TypeError);
    assert.equal(timers.mock.callCount(), 0);
    timers.mock.restore();
  });

  for (const timeout of [Infinity, 2 ** 31]) {
    test(`with a timeout of ${timeout} ms waits for its reply`, async () => {
      const socket = await open();
      const reply = socket.request("bid", {}, { timeout });
      await pass(86_400_000);
      FakeWebSocket.last.deliver({ type: "reply", id: 1, ok: 1 });
      assert.equal(await reply, 1);
    });
  }

  test("is lost with its connection if it was sent, and waits for the next one if not", async () => {
    const socket = await open();
    const lost = failureOf(socket.request("a", {}));
    FakeWebSocket.last.drop();
    const later = socket.request("b", {});
    assert.deepEqual(await lost, { kind: "lost" });

    await pass(1000);
    FakeWebSocket.last.accept();
    assert.deepEqual(FakeWebSocket.last.messages, [{ type: "b", id: 2 }]);
    FakeWebSocket.last.deliver({ type: "reply", id: 2, ok: 1 });
    assert.equal(await later, 1);
  });

  test("is refused by a full queue, and by a closed socket", async () => {
    const socket = connect("/ws", { fallback: false, queueMessages: 1 });
    const waiting = failureOf(socket.request("a", {}));
    assert.deepEqual(await failureOf(socket.request("b", {})), { kind: "full" });

    socket.close();
    assert.deepEqual(await waiting, { kind: "closed", sent: false });
    assert.deepEqual(await failureOf(socket.request("c", {})), { kind: "closed", sent: false });
  });

  test("that the handler of a close begins is sent, and not rejected with the earlier ones", async () => {
    const socket = await open();
    const earlier = failureOf(socket.request("a", {}));
    let later;
    socket.onState(({ name }) => {
      if (name !== "closed") return;
      socket.open();
      later = socket.request("b", {});
    });
    FakeWebSocket.last.drop(4401);
    assert.deepEqual(await earlier, { kind: "closed", sent: true });

    await settle();
    FakeWebSocket.last.accept();
    assert.deepEqual(FakeWebSocket.last.messages, [{ type: "b", id: 2 }]);
    FakeWebSocket.last.deliver({ type: "reply", id: 2, ok: 1 });
    assert.equal(await later, 1);
  });

  test("says in its text what went wrong", async () => {
    const socket = await open();
    const refused = socket.request("bid", {});
    FakeWebSocket.last.deliver({ type: "reply", id: 1, error: "ended" });
    await assert.rejects(refused, { name: "RequestError", message: 'bid: {"kind":"error","error":"ended"}', kind: "error" });
  });
});

describe("the heartbeat", () => {
  const silence = async (options) => {
    const socket = await open(options);
    await pass(60_000, 1000);
    return { socket, sent: FakeWebSocket.all[0].messages, attempts: FakeWebSocket.all.length };
  };

  test("leaves a server alone that has not replied to a request", async () => {
    const { sent, attempts } = await silence({});
    assert.deepEqual([sent, attempts], [[], 1]);
  });

  test("notices a half-open socket once the server has replied to anything", async () => {
    const socket = await open();
    const reply = socket.request("bid", {});
    FakeWebSocket.last.deliver({ type: "reply", id: 1, ok: 1 });
    await reply;

    await pass(25_000, 1000);
    assert.deepEqual(FakeWebSocket.last.messages[1], { type: "ping", id: 0 });
    FakeWebSocket.last.deliver({ type: "reply", id: 0, fault: { kind: "malformed" } });
    await pass(34_999, 1000);
    assert.equal(socket.state.name, "open");
    await pass(1);
    assert.equal(socket.state.name, "waiting");
    assert.match(socket.state.close.reason, /heartbeat/);
    assert.ok(FakeWebSocket.all[0].closed, "the half-open socket is left");
  });

  test("is satisfied by any message", async () => {
    const socket = await open({ heartbeat: { interval: 1000, timeout: 500 } });
    for (let turn = 0; turn < 10; turn++) {
      await pass(1400, 100);
      FakeWebSocket.last.deliver("news");
    }
    assert.equal(socket.state.name, "open");
  });

  test("can be off", async () => {
    const { attempts } = await silence({ heartbeat: false });
    assert.equal(attempts, 1);
  });

  test("probes at once when the page wakes", async () => {
    const socket = await open({ heartbeat: {} });
    browser.window.dispatchEvent(new Event("offline"));
    assert.equal(FakeWebSocket.last.messages[0].type, "ping");
    await pass(10_000, 1000);
    assert.equal(socket.state.name, "waiting");
  });

  test("goes on when the clock is set back", async () => {
    await open({ heartbeat: {} });
    const { now } = Date;
    mock.method(Date, "now", () => now() - 3_600_000);
    await pass(25_000, 1000);
    assert.deepEqual(FakeWebSocket.last.messages, [{ type: "ping", id: 0 }]);
  });

  test("survives a page that was frozen: the answer counts, not the time that passed", async () => {
    const socket = await open({ heartbeat: {} });
    await pass(24_000);
    await pass(3_600_000);
    FakeWebSocket.last.deliver({ type: "reply", id: 0, ok: null });
    await pass(9_999);
    assert.equal(socket.state.name, "open");
  });
});

describe("topics and presence", () => {
  test("are resumed by their positions, in one query parameter", async () => {
    const socket = await open();
    const lot = socket.topic("lot.7");
    const heard = [];
    lot.on((event) => heard.push(event.n));
    socket.on("raised", ({ n }) => heard.push(`typed ${n}`));
    lot.onRecovered(({ recovered }) => heard.push(recovered));
    const event = (n, epoch = "k3") => ({ topic: "lot.7", offset: n, epoch, event: { type: "raised", n } });
    FakeWebSocket.last.deliver(event(11));
    FakeWebSocket.last.deliver(event(12));
    FakeWebSocket.last.deliver({ topic: "chat.3", offset: 5, epoch: "abc", event: {} });
    FakeWebSocket.last.drop();
    await pass(1000);

    const { searchParams } = FakeWebSocket.last.url;
    assert.equal(searchParams.get("resume"), "lot.7:12:k3,chat.3:5:abc");
    assert.equal(searchParams.get("lang"), "da");
    FakeWebSocket.last.accept();
    FakeWebSocket.last.deliver(event(12));
    FakeWebSocket.last.deliver(event(13));
    FakeWebSocket.last.deliver({ topic: "lot.7", offset: 13, epoch: "k3", recovered: true });
    assert.deepEqual(heard, [11, "typed 11", 12, "typed 12", 13, "typed 13", true]);
    assert.deepEqual(lot.position, { offset: 13, epoch: "k3" });
  });

  test("can be resumed from a position that the page has stored", async () => {
    const socket = connect("/ws", { fallback: false });
    socket.topic("lot.7").position = { offset: 4, epoch: "e" };
    await settle();
    assert.equal(FakeWebSocket.last.url.searchParams.get("resume"), "lot.7:4:e");
    socket.close();
  });

  for (const [what, then, state] of [
    ["closes the socket", (socket) => socket.close(), "closed"],
    ["opens the socket anew", (socket) => (socket.close(), socket.open()), "connecting"],
  ]) {
    test(`that are not resumed tell a handler, which ${what}`, async () => {
      const socket = connect("/ws", { fallback: false });
      for (let n = 0; n < 101; n++) {
        const topic = socket.topic(`t.${n}`);
        topic.position = { offset: n, epoch: "e" };
        if (n === 0) topic.onRecovered(() => then(socket));
      }
      await settle();

      FakeWebSocket.last.accept();
      assert.equal(socket.state.name, state);
    });
  }

  test("above the bound report their gap once a connection is open, not at a failed attempt", async () => {
    const socket = await open();
    const first = socket.topic("t.0");
    const gaps = [];
    first.onRecovered(({ recovered }) => gaps.push(recovered));
    for (let n = 0; n < 101; n++) {
      FakeWebSocket.last.deliver({ topic: `t.${n}`, offset: 5, epoch: "e", event: {} });
    }
    FakeWebSocket.last.drop();
    for (let attempt = 0; attempt < 2; attempt++) {
      await pass(socket.state.until - Date.now());
      FakeWebSocket.last.drop();
    }
    assert.deepEqual(gaps, []);

    await pass(socket.state.until - Date.now());
    const positions = [];
    socket.onState(({ name }) => name === "open" && positions.push(first.position));
    FakeWebSocket.last.accept();
    assert.deepEqual(gaps, [false]);
    assert.deepEqual(positions, [undefined], "handlers of the state find no position that was not sent");
  });

  test("tell when they are current, and when no longer", async () => {
    const socket = await open();
    const told = [];
    const lot = socket.topic("lot.7");
    const people = socket.presence("lot.7");
    lot.onCurrent((isCurrent) => told.push(["lot", isCurrent]));
    people.onCurrent((isCurrent) => told.push(["people", isCurrent, people.list.length]));
    // The list is the new one, and a handler of the end of a resume reads the new value.
    lot.onRecovered(() => told.push(["recovered", lot.isCurrent]));
    people.onChange(() => told.push(["change", people.isCurrent]));
    socket.onState(({ name }) => told.push([name, lot.isCurrent, people.isCurrent]));
    assert.deepEqual(told.splice(0), [["lot", false], ["people", false, 0], ["open", false, false]]);

    const recovered = { topic: "lot.7", offset: 3, epoch: "e", recovered: true };
    const state = { presence: "lot.7", state: [{ key: "ana", count: 1, meta: {} }] };
    FakeWebSocket.last.deliver({ topic: "lot.7", offset: 3, epoch: "e", event: {} });
    FakeWebSocket.last.deliver(recovered);
    FakeWebSocket.last.deliver(state);
    FakeWebSocket.last.deliver({ ...recovered, recovered: false });
    assert.deepEqual(told.splice(0), [["recovered", true], ["lot", true], ["change", true],
      ["people", true, 1], ["recovered", true]]);

    FakeWebSocket.last.drop();
    assert.deepEqual(told.splice(0), [["waiting", false, false], ["lot", false], ["people", false, 1]]);
    await pass(1000);
    FakeWebSocket.last.accept();
    FakeWebSocket.last.deliver(recovered);
    // An equal list is no change, but current.
    FakeWebSocket.last.deliver(state);
    assert.deepEqual(told.splice(0), [["connecting", false, false], ["open", false, false],
      ["recovered", true], ["lot", true], ["people", true, 1]]);
    socket.close();
    assert.deepEqual(told, [["closed", false, false], ["lot", false], ["people", false, 1]]);
  });

  test("presence is stale without a connection, and whole after the next state", async () => {
    const socket = await open();
    const presence = socket.presence("lot.7");
    FakeWebSocket.last.deliver({ presence: "lot.7", state: [{ key: "ana", count: 1, meta: {} }] });
    assert.deepEqual([presence.isCurrent, presence.list[0].key], [true, "ana"]);
    FakeWebSocket.last.drop();
    assert.deepEqual([presence.isCurrent, presence.list[0].key], [false, "ana"]);
    await pass(1000);
    FakeWebSocket.last.accept();
    FakeWebSocket.last.deliver({ presence: "lot.7", state: [] });
    assert.deepEqual([presence.isCurrent, presence.list], [true, []]);
    assert.equal(socket.presence("lot.7"), presence);
  });
});

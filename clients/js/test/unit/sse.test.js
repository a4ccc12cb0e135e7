// The fallback, over a fake fetch and under fake time.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { connect } from "../../build/index.js";
import { fakeBrowser, FakeWebSocket, pass, realBrowser, ReentrantWebSocket, settle } from "./fakes.js";

let streams;
beforeEach(() => (streams = fakeBrowser().streams));
afterEach(realBrowser);

/** Opens a socket whose WebSocket is blocked. */
async function open(options) {
  streams.status = undefined;
  const socket = connect("/ws/lots/7", options);
  await settle();
  FakeWebSocket.last.drop();
  await settle();
  streams.write('event: open\ndata: {"connection":"c1"}\n\n');
  await settle();
  return socket;
}

test("a WebSocket that is blocked is replaced by a stream and POSTs", async () => {
  const socket = await open({ token: "t0k3n" });
  assert.deepEqual(socket.state, { name: "open", transport: "sse" });
  const [get] = streams.requests;
  assert.equal(get.url.href, "https://shop.example/ws/lots/7");
  assert.equal(get.headers.accept, "text/event-stream");
  assert.equal(get.headers.authorization, "Bearer t0k3n");

  const heard = [];
  socket.on("*", (message) => heard.push(message));
  streams.write('data: {"type":"a"}\n\nevent: message\ndata: two\ndata: lines\n\n');
  await settle();
  assert.deepEqual(heard, [{ type: "a" }, "two\nlines"]);

  socket.send({ type: "typing" });
  await settle();
  const [post] = streams.posts;
  assert.equal(post.headers["seaway-connection"], "c1");
  assert.equal(post.headers.authorization, "Bearer t0k3n");
  assert.equal(post.body, '{"type":"typing"}');
});

test("an event without a name is a message, and one of an unknown name is ignored", async () => {
  const socket = await open();
  const heard = [];
  socket.on("*", (message) => heard.push(message));
  streams.write("event:\ndata: first\n\nevent: later\ndata: not JSON\n\ndata: second\n\n");
  await settle();

  assert.deepEqual(heard, ["first", "second"]);
  assert.equal(socket.state.name, "open");
});

test("a malformed presence is a message like any other, and the stream stays open", async () => {
  const socket = await open();
  const heard = [];
  socket.on("*", (message) => heard.push(message));
  for (const people of ['"state":[null]', '"joined":[],"left":{}']) {
    streams.write(`data: {"presence":"lot.7",${people}}\n\n`);
  }
  await settle();

  assert.equal(heard.length, 2);
  assert.equal(socket.state.name, "open");
});

test("the content type of a stream may be in any case, and have parameters", async () => {
  streams.contentType = "Text/Event-Stream; Charset=UTF-8";
  const socket = await open();

  assert.deepEqual(socket.state, { name: "open", transport: "sse" });
});

test("POSTs go one after the other, and the queue bounds the rest", async () => {
  const socket = await open({ queueMessages: 2 });
  let answer;
  streams.answers = [new Promise((resolve) => (answer = resolve))];
  const accepted = ["a", "b", "c", "d"].map((text) => socket.send(text));
  await settle();
  assert.deepEqual(accepted, [true, true, true, false]);
  assert.deepEqual(streams.posts.map(({ body }) => body), ["a"]);

  answer({ status: 204 });
  await settle();
  assert.deepEqual(streams.posts.map(({ body }) => body), ["a", "b", "c"]);
});

test("a POST for which the server has no room is sent again, after the time it asks for", async () => {
  const socket = await open();
  streams.answers = [[503, "3"], [429, "1"]].map(([status, wait]) => ({ status, headers: { "retry-after": wait } }));
  socket.send("a");
  await settle();
  await pass(2999);
  assert.equal(streams.posts.length, 1);
  await pass(1);
  assert.equal(streams.posts.length, 2);
  await pass(1000);
  assert.equal(streams.posts.length, 3);
  assert.equal(socket.state.name, "open");
});

for (const status of [429, 503]) {
  test(`a POST that gets ${status} without a time to wait is not sent again: it may have arrived`, async () => {
    const socket = await open({ backoff: 60_000, backoffCap: 60_000 });
    streams.answers = [{ status }];
    socket.send("a");
    await pass(10_000);
    assert.deepEqual(streams.posts.map(({ body }) => body), ["a"]);
    assert.equal(socket.state.name, "waiting");
    assert.deepEqual(socket.state.close, { code: 1006, reason: `POST: status ${status}` });
  });
}

test("a POST waits for a minute at most, whatever the server asks for", async () => {
  const socket = await open();
  streams.answers = [{ status: 503, headers: { "retry-after": "86400" } }];
  socket.send("a");
  await settle();
  for (let second = 0; second < 60; second++) {
    assert.equal(streams.posts.length, 1);
    streams.write(":\n\n");
    await pass(1000);
  }
  assert.equal(streams.posts.length, 2);
  assert.equal(socket.state.name, "open");
});

test("a POST that fails leaves no timer", async (t) => {
  const socket = await open();
  streams.answers = [Promise.reject(new TypeError("no network"))];
  const [begun, ended] = ["setTimeout", "clearTimeout"].map((name) => t.mock.method(globalThis, name));
  socket.send("a");
  await settle();

  const limit = begun.mock.calls.find(({ arguments: [, delay] }) => delay === 15_000).result;
  assert.ok(ended.mock.calls.some(({ arguments: [timer] }) => timer === limit));
  assert.equal(socket.state.name, "waiting");
  for (const { mock } of [begun, ended]) mock.restore();
});

test("a socket that is closed while a POST waits for the server leaves no timer", async (t) => {
  const socket = await open();
  streams.answers = [{ status: 503, headers: { "retry-after": "60" } }];
  const [begun, ended] = ["setTimeout", "clearTimeout"].map((name) => t.mock.method(globalThis, name));
  socket.send("a");
  await settle();
  socket.close();

  const pause = begun.mock.calls.find(({ arguments: [, delay] }) => delay === 60_000).result;
  assert.ok(ended.mock.calls.some(({ arguments: [timer] }) => timer === pause));
  for (const { mock } of [begun, ended]) mock.restore();
});

const MALFORMED = ["null", "[]", '{"code":1013,"reason":{"toString":1}}', '{"code":{"a":1},"reason":7}', '{"code":'];
for (const data of MALFORMED) {
  test(`a close that is malformed is the loss of the connection: ${data}`, async () => {
    const socket = await open({ heartbeat: false });
    streams.write(`event: close\ndata: ${data}\n\n`);
    await settle();
    assert.equal(socket.state.name, "waiting");
    assert.equal(socket.state.close.code, 1006);
    assert.equal(typeof socket.state.close.reason, "string");
    assert.equal(streams.isLeft, true);
  });
}

for (const [name, status] of [["that the server no longer knows", 404], ["whose POST gets a login page", 200]]) {
  test(`a connection ${name} is lost`, async () => {
    const socket = await open();
    streams.answers = [{ status }];
    socket.send("a");
    await settle();
    assert.deepEqual(socket.state.close, { code: 1006, reason: `POST: status ${status}` });
    assert.equal(socket.state.name, "waiting");
    assert.equal(streams.isLeft, true);
  });
}

test("a POST that takes too long ends the connection", async () => {
  const socket = await open();
  streams.answers = [new Promise(() => {})];
  socket.send("a");
  await settle();
  for (let second = 0; second < 15; second++) {
    streams.write(":\n\n");
    await pass(1000);
  }
  assert.equal(socket.state.name, "waiting");
});

test("the stream's close event is a close", async () => {
  const socket = await open();
  streams.write('event: close\ndata: {"code":4401,"reason":"log in again"}\n\n');
  await settle();
  assert.deepEqual(socket.state, { name: "closed", close: { code: 4401, reason: "log in again" } });
});

test("a stream that ends is a lost connection, and the next attempt is a WebSocket", async () => {
  const socket = await open();
  streams.stream.close();
  await settle();
  assert.equal(socket.state.name, "waiting");
  await pass(1000);
  assert.equal(FakeWebSocket.all.length, 2);
  FakeWebSocket.last.accept();
  assert.deepEqual(socket.state, { name: "open", transport: "websocket" });
});

test("comments keep the connection alive, and their absence ends it", async () => {
  const socket = await open();
  for (let turn = 0; turn < 10; turn++) {
    await pass(15_000, 1000);
    streams.write(":\n\n");
    await settle();
  }
  assert.equal(socket.state.name, "open");
  await pass(45_000, 1000);
  assert.equal(socket.state.name, "waiting");
});

const pageshow = (persisted) => Object.assign(new Event("pageshow"), { persisted });

/** What a page gets after it was frozen, and without that: the target, and the event. */
const FROZEN = [["document", () => new Event("resume")], ["window", () => pageshow(true)]];
const AWAKE = [["window", () => pageshow(false)], ["window", () => new Event("online")],
  ["window", () => new Event("offline")], ["document", () => new Event("visibilitychange")]];

for (const [target, event] of FROZEN) {
  test(`the stream of a page that was frozen (${event().type}) is opened again at once, from the last event`, async () => {
    const socket = await open({ heartbeat: false });
    const heard = [];
    socket.topic("lot.7").on((event) => heard.push(event));
    streams.write('data: {"topic":"lot.7","offset":3,"epoch":"e","event":"three"}\n\n');
    await pass(10_000);

    globalThis[target].dispatchEvent(event());
    assert.equal(streams.isLeft, true);
    assert.deepEqual([socket.state.name, socket.state.until], ["waiting", Date.now()]);
    assert.equal(socket.topic("lot.7").isCurrent, false);
    await pass(1);
    assert.equal(FakeWebSocket.all.length, 2);
    FakeWebSocket.last.drop();
    await settle();

    assert.equal(streams.requests.length, 2);
    assert.equal(streams.requests.at(-1).url.searchParams.get("resume"), "lot.7:3:e");
    streams.write('event: open\ndata: {"connection":"c2"}\n\n');
    streams.write('data: {"topic":"lot.7","offset":4,"epoch":"e","event":"four"}\n\n');
    await settle();
    assert.deepEqual(socket.state, { name: "open", transport: "sse" });
    assert.deepEqual(heard, ["three", "four"]);
  });

  test(`a page that was frozen (${event().type}) during the attempt makes another one`, async () => {
    streams.status = undefined;
    const socket = connect("/ws/lots/7");
    await settle();
    FakeWebSocket.last.drop();
    await settle();
    assert.equal(streams.requests.length, 1);

    await pass(1000);
    globalThis[target].dispatchEvent(event());
    await pass(1);
    assert.equal(streams.isLeft, true);
    assert.equal(FakeWebSocket.all.length, 2);
    socket.close();
  });
}

test("a page that comes out of the back/forward cache opens one stream, though it gets two events", async () => {
  await open();
  await pass(10_000);
  for (const [target, event] of FROZEN) globalThis[target].dispatchEvent(event());
  await pass(1);
  FakeWebSocket.last.drop();
  await pass(5000);

  assert.equal(FakeWebSocket.all.length, 2);
  assert.equal(streams.requests.length, 2);
});

for (const [target, event] of AWAKE) {
  test(`the stream of a page that was not frozen (${event().type}) is kept`, async () => {
    const socket = await open();
    await pass(10_000);
    globalThis[target].dispatchEvent(event());
    await pass(10_000);
    streams.write(":\n\n");
    await settle();
    await pass(15_000);

    assert.deepEqual(socket.state, { name: "open", transport: "sse" });
    assert.equal(streams.requests.length, 1);
  });
}

test("a status that forbids the connection ends it for good", async () => {
  for (const [status, code] of [[401, 4401], [403, 4403]]) {
    streams.status = status;
    const socket = connect("/ws");
    await settle();
    FakeWebSocket.last.drop();
    await settle();
    assert.equal(socket.state.close.code, code);
    assert.equal(socket.state.name, "closed");
  }
});

for (const status of [401, 403]) {
  test(`a POST that gets ${status} loses the connection, and the next attempt decides about access`, async () => {
    const socket = await open();
    streams.answers = [{ status }];
    socket.send("a");
    await settle();
    assert.equal(socket.state.name, "waiting");
    assert.deepEqual(socket.state.close, { code: 1006, reason: `POST: status ${status}` });
    await pass(1000);
    FakeWebSocket.last.drop();
    await settle();
    streams.write('event: open\ndata: {"connection":"c2"}\n\n');
    await settle();
    assert.equal(socket.state.name, "open");
  });
}

test("a fallback that the server does not offer is named in the reason", async () => {
  streams.status = 404;
  const socket = connect("/ws");
  await settle();
  FakeWebSocket.last.drop();
  await settle();
  assert.deepEqual(socket.state.close, { code: 1006, reason: "no WebSocket; SseFallback: status 404" });
  socket.close();
});

test("a page in place of the stream is no connection", async () => {
  globalThis.fetch = async () => new Response("<html>", { headers: { "content-type": "text/html" } });
  const socket = connect("/ws");
  await settle();
  FakeWebSocket.last.drop();
  await settle();
  assert.equal(socket.state.name, "waiting");
  socket.close();
});

test("a WebSocket that hangs is replaced, too", async () => {
  streams.status = undefined;
  const socket = connect("/ws", { connectTimeout: 4000 });
  await settle();
  await pass(4000);
  streams.write('event: open\ndata: {"connection":"c1"}\n\n');
  await settle();
  assert.deepEqual(socket.state, { name: "open", transport: "sse" });
});

test("a WebSocket that hangs, and whose end is an error, is replaced by one stream", async () => {
  globalThis.WebSocket = ReentrantWebSocket;
  streams.status = undefined;
  connect("/ws", { connectTimeout: 4000 });
  await settle();
  await pass(4000);
  assert.equal(streams.requests.length, 1);
});

test("a client that had a WebSocket does not fall back while the server restarts", async () => {
  const socket = connect("/ws");
  await settle();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.drop();
  for (let attempt = 1; attempt <= 2; attempt++) {
    await pass(30_000);
    FakeWebSocket.last.drop();
    await settle();
    assert.equal(streams.requests.length, 0, `attempt ${attempt}`);
  }
  await pass(30_000);
  FakeWebSocket.last.drop();
  await settle();
  assert.equal(streams.requests.length, 1);
  socket.close();
});

test("binary is refused, since a stream carries text", async () => {
  const socket = await open();
  assert.equal(socket.send(new Uint8Array([1])), false);
  assert.equal(streams.posts.length, 0);
});

test("binary that was accepted before the fallback is reported when it is dropped", async (t) => {
  const reports = [];
  t.mock.method(globalThis, "queueMicrotask", (report) => reports.push(report));
  streams.status = undefined;
  const socket = connect("/ws");
  assert.equal(socket.send(new Uint8Array([1])), true);
  assert.equal(socket.send("text"), true);
  await settle();
  FakeWebSocket.last.drop();
  await settle();
  streams.write('event: open\ndata: {"connection":"c1"}\n\n');
  await settle();

  assert.deepEqual(streams.posts.map(({ body }) => body), ["text"]);
  assert.equal(reports.length, 1);
  assert.throws(reports[0], /SseFallback carries text/);
});

test("close leaves the stream", async () => {
  const socket = await open();
  socket.close();
  await settle();
  assert.equal(streams.isLeft, true);
  assert.equal(socket.state.name, "closed");
});

test("a server that has no room for the stream is obeyed: the client comes back after the time that it asks for", async () => {
  streams.status = 503;
  streams.headers = { "retry-after": "7" };
  const socket = connect("/ws/lots/7", { backoff: 1 });
  await settle();
  FakeWebSocket.last.drop();
  await settle();
  assert.equal(socket.state.name, "waiting");
  assert.equal(socket.state.until - Date.now(), 7000);
});

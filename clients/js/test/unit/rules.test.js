// The rules without a connection: waits, closes, the queue, the parser, topics and presence.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { delay } from "../../build/backoff.js";
import { closeOf, isFinal, retryAfter } from "../../build/close.js";
import { eventStream } from "../../build/event-stream.js";
import { Listeners } from "../../build/listeners.js";
import { isPresenceMessage, Presence } from "../../build/presence.js";
import { Queue } from "../../build/queue.js";
import { Topics } from "../../build/topic.js";

test("waits double up to the cap, and are spread from zero", (t) => {
  const random = t.mock.method(Math, "random", () => 1);
  const longest = [0, 1, 2, 5, 40, 2000].map((failures) => delay(failures, 1000, 30_000));
  assert.deepEqual(longest, [1000, 2000, 4000, 30_000, 30_000, 30_000]);

  random.mock.mockImplementation(() => 0);
  assert.equal(delay(10, 1000, 30_000), 0);
});

test("a close is final, asks for a wait, or neither", () => {
  for (const [code, reason, final, wait] of [
    [1000, "", true, 0],
    [1001, "the server is going away", false, 0],
    [1006, "", false, 0],
    [1008, "", true, 0],
    [1012, "retry_after=7.31", false, 7310],
    [1012, "retry_after=0", false, 0],
    [1012, "retry_after=999999", false, 3_600_000],
    [1013, "please retry_after=2 s", false, 2000],
    [1013, "not_retry_after=2", false, 0],
    [1013, "retry_after=soon", false, 0],
    [4401, "log in again", true, 0],
    [4403, "", true, 0],
    [4000, "", false, 0],
  ]) {
    assert.equal(isFinal(code), final, `${code}`);
    assert.equal(retryAfter(reason), wait, reason);
  }
});

test("the status of a response stands for a close", () => {
  const codes = [401, 403, 404, 413, 503].map((status) => closeOf(new Response("", { status }), "POST").code);
  assert.deepEqual(codes, [4401, 4403, 1006, 1009, 1006]);
});

test("a full queue refuses the new message and keeps the others", () => {
  const queue = new Queue(2, 10);
  assert.deepEqual(["one", "two", "six"].map((data) => queue.push({ data })), [true, true, false]);
  assert.equal(queue.shift().data, "one");
  assert.equal(queue.push({ data: "12345678" }), false, "3 + 8 bytes");
  assert.equal(queue.push({ data: new Uint8Array(7) }), true, "3 + 7 bytes");

  assert.equal(queue.shift().data, "two");
  queue.shift();
  assert.equal(queue.shift(), undefined);
  assert.equal(queue.push({ data: "1234567890" }), true, "the room is free again");
});

test("bytes in the queue are those of the time when they were added", () => {
  const bytes = new Uint8Array([0, 1, 2, 3]);
  for (const data of [bytes, bytes.buffer, bytes.subarray(1, 3), new DataView(bytes.buffer, 1)]) {
    const queue = new Queue(2, 4);
    const expected = [...new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength)];
    queue.push({ data });
    bytes[1] += 9;
    assert.deepEqual([...new Uint8Array(queue.shift().data)], expected);
  }

  const queue = new Queue(2, 4);
  queue.push({ data: bytes });
  structuredClone(bytes, { transfer: [bytes.buffer] });
  queue.shift();
  assert.equal(queue.push({ data: "abcd" }), true, "the room is free again");
});

test("a message that is taken back from the queue makes room", () => {
  const queue = new Queue(1, 10);
  const message = { data: "1234567890" };
  queue.push(message);
  queue.remove(message);
  queue.remove(message);
  assert.equal(queue.push({ data: "1234567890" }), true);
});

test("an event stream is the same however it is cut", () => {
  const text = ": hello\r\nevent: open\rdata: {\"a\":1}\n\n"
    + "data: one\ndata:two\ndata\nid: 7\nretry: 3\n\n:\n\nevent: empty\n\ndata: \u{1f41f}\r\n\r\ndata: unfinished";
  const expected = [
    { name: "open", data: '{"a":1}' },
    { name: "message", data: "one\ntwo\n" },
    { name: "message", data: "\u{1f41f}" },
  ];
  for (let size = 1; size <= text.length; size++) {
    const events = [];
    const parse = eventStream((event) => events.push(event));
    for (let at = 0; at < text.length; at += size) parse(text.slice(at, at + size));
    assert.deepEqual(events, expected, `pieces of ${size}`);
  }
});

test("empty pieces of an event stream change nothing", () => {
  const events = [];
  const parse = eventStream((event) => events.push(event));
  for (const piece of ["data: a\r", "", "\n", "data: b\r\n", "", "\r", "\n"]) parse(piece);
  assert.deepEqual(events, [{ name: "message", data: "a\nb" }]);
});

test("an event without a name is a message", () => {
  const events = [];
  eventStream((event) => events.push(event))("event: close\nevent:\ndata: a\n\nevent\ndata: b\n\n");
  assert.deepEqual(events, [{ name: "message", data: "a" }, { name: "message", data: "b" }]);
});

test("a long event takes a time in proportion to its length", () => {
  /** Returns the time for an event of so many pieces. */
  const time = (pieces) => {
    const piece = "x".repeat(1400);
    const events = [];
    const parse = eventStream((event) => events.push(event));
    const start = performance.now();
    parse("data: ");
    for (let count = 0; count < pieces; count++) parse(piece);
    parse("\n\n");
    assert.equal(events[0].data.length, pieces * 1400);
    return performance.now() - start;
  };
  const shortest = (pieces) => Math.min(...Array.from({ length: 10 }, () => time(pieces)));
  shortest(1000);

  // 8 times the pieces; 64 times if each one is read again for every further one.
  const factor = shortest(8000) / shortest(1000);
  assert.ok(factor < 24, `${factor} times the time`);
});

test("a listener that throws stops no other, and its error is reported", (t) => {
  const reports = [];
  t.mock.method(globalThis, "queueMicrotask", (report) => reports.push(report));
  const listeners = new Listeners();
  const heard = [];
  listeners.add(() => {
    throw new Error("mine");
  });
  const stop = listeners.add((value) => heard.push(value));

  listeners.call(1);
  stop();
  listeners.call(2);

  assert.deepEqual(heard, [1]);
  assert.equal(reports.length, 2);
  assert.throws(reports[0], /mine/);
});

test("a call within a listener follows the current one, and a removed listener is not called", () => {
  const listeners = new Listeners();
  const heard = [];
  let stop;
  listeners.add((value) => {
    heard.push(`a${value}`);
    if (value === 1) listeners.call(2);
    else stop();
  });
  stop = listeners.add((value) => heard.push(`b${value}`));
  listeners.call(1);
  assert.deepEqual(heard, ["a1", "b1", "a2"]);
});

test("an event of a topic is passed on once, and in each epoch anew", () => {
  const topics = new Topics();
  const topic = topics.get("lot.7");
  const heard = [];
  topic.on((event, { offset, epoch }) => heard.push([event, offset, epoch]));
  const send = (offset, epoch, event) => topic.receive({ topic: "lot.7", offset, epoch, event });

  const isNew = [send(1, "a", "x"), send(2, "a", "y"), send(2, "a", "y"), send(1, "a", "x"),
    send(1, "b", "z")];

  assert.deepEqual(isNew, [true, true, false, false, true]);
  assert.deepEqual(heard, [["x", 1, "a"], ["y", 2, "a"], ["z", 1, "b"]]);
  assert.equal(topics.resume(), "lot.7:1:b");
});

test("a recovery sets the position and calls the handlers", () => {
  const topics = new Topics();
  const topic = topics.get("lot.7");
  const told = mock.fn();
  topic.onRecovered(told);

  topic.receive({ topic: "lot.7", offset: 9, epoch: "b", recovered: false });

  assert.deepEqual(told.mock.calls[0].arguments, [{ recovered: false, offset: 9, epoch: "b" }]);
  assert.equal(topics.resume(), "lot.7:9:b");
  topic.position = undefined;
  assert.equal(topics.resume(), "");
});

test("a stored value that is no position is a gap and not an error of the server", () => {
  const topics = new Topics();
  for (const stored of [{ offset: "x", epoch: "e" }, { offset: 1, epoch: "a b:c" },
    { offset: 1.5, epoch: "e" }]) {
    topics.get("lot.7").position = stored;
    assert.equal(topics.resume(), "lot.7:0:unknown");
  }
});

test("the latest 100 topics are resumed, and the others receive a gap", () => {
  const topics = new Topics();
  const gaps = [];
  for (let n = 0; n < 102; n++) {
    const topic = topics.get(`t.${n}`);
    topic.onRecovered(({ recovered }) => gaps.push([n, recovered]));
    topic.receive({ topic: topic.name, offset: n, epoch: "e", event: {} });
  }
  topics.get("t.0");

  const resumed = topics.resume().split(",");
  topics.forget();

  assert.equal(resumed.length, 100);
  assert.equal(resumed.at(-1), "t.0:0:e");
  assert.deepEqual(gaps, [[1, false], [2, false]]);
  assert.equal(topics.get("t.1").position, undefined);
});

test("topics with long names are resumed as far as an address may go, from the latest on", () => {
  const topics = new Topics();
  const gaps = [];
  const names = Array.from({ length: 100 }, (_, n) => `tenant.${n}.`.padEnd(64, "x"));
  for (const name of names) {
    const topic = topics.get(name);
    topic.onRecovered(() => gaps.push(name));
    topic.position = { offset: 123_456, epoch: "abcdefghij" };
  }

  const resume = topics.resume();
  topics.forget();

  const resumed = resume.split(",").map((position) => position.split(":")[0]);
  const length = new URLSearchParams({ resume }).toString().length;
  assert.ok(length > 5900 && length <= 6000, `${length} bytes`);
  assert.deepEqual([...gaps, ...resumed], names);
  assert.equal(topics.resume(), resume);
});

test("a message of the application may have a field `presence`", () => {
  for (const [message, expected] of [
    [{ presence: "lot.7", state: [] }, true],
    [{ presence: "lot.7", left: [{ key: "a" }] }, true],
    [{ presence: "lot.7" }, true],
    [{ presence: 7 }, false],
    [{ presence: "ana", state: "away" }, false],
    [{ presence: "ana", status: "away" }, false],
    [{ joined: [] }, false],
    [{ presence: "lot.7", state: [null] }, false],
    [{ presence: "lot.7", state: ["ana"] }, false],
    [{ presence: "lot.7", state: [{ key: 7 }] }, false],
    [{ presence: "lot.7", state: null }, false],
    [{ presence: "lot.7", joined: [], left: { key: "a" } }, false],
    [{ presence: "lot.7", joined: [{ key: "a" }], updated: null }, false],
  ]) {
    assert.equal(isPresenceMessage(message), expected, JSON.stringify(message));
  }
});

test("presence is kept from the state and its changes", () => {
  const presence = new Presence("lot.7");
  const changes = [];
  presence.onChange((change, list) => {
    const keys = ({ joined, updated, left }) => [joined, updated, left].map((all) => all.map((one) => one.key).join());
    changes.push([...keys(change), list.map(({ key, count }) => key + count).join()]);
  });
  const entry = (key, count, meta = {}) => ({ key, count, meta });

  presence.receive({ joined: [entry("early", 1)] });
  presence.receive({ state: [entry("a", 1), entry("b", 2)] });
  presence.receive({ joined: [entry("c", 1)], updated: [entry("a", 2)], left: [{ key: "b" }] });
  presence.receive({ left: [{ key: "nobody" }] });
  presence.receive({});
  assert.equal(presence.isCurrent, true);
  presence.mark(false);
  presence.receive({ joined: [entry("late", 1)] });
  assert.deepEqual([presence.isCurrent, presence.list.length], [false, 2]);
  // The list after a reconnect is reported as the difference.
  presence.receive({ state: [entry("a", 2), entry("d", 1), entry("c", 1, { away: true })] });
  presence.receive({ state: [entry("a", 2), entry("d", 1), entry("c", 1, { away: true })] });

  assert.deepEqual(changes, [
    ["a,b", "", "", "a1,b2"],
    ["c", "a", "b", "a2,c1"],
    ["d", "c", "", "a2,c1,d1"],
  ]);
  assert.equal(presence.get("d").count, 1);
});

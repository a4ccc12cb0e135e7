// A small server of one topic, whose history is a file: `node room.js --port PORT FILE`.
//
// It speaks Seaway's wire format, and may be killed at any time: a message that it has acknowledged
// is in the file.

import { appendFileSync, existsSync, readFileSync, truncateSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";

const [, , , port, file] = process.argv;
const TOPIC = "room";
const EPOCH = "e1";

/** Returns the whole lines of the file: a kill may have cut the last one, which is removed. */
function stored() {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n");
  const cut = Buffer.byteLength(lines.pop());
  if (cut) truncateSync(file, readFileSync(file).length - cut);
  return lines;
}

/** The texts by offset from 1, and the offsets by key: a message that is sent again is stored once. */
const history = stored().map((line) => JSON.parse(line));
const offsets = new Map(history.map(({ key }, at) => [key, at + 1]));

const client = readFileSync(fileURLToPath(new URL("../../dist/seaway.js", import.meta.url)));
const server = createServer((request, response) => {
  const isClient = request.url === "/seaway.js";
  response.setHeader("content-type", isClient ? "text/javascript" : "text/html");
  response.end(isClient ? client : "<!doctype html><title>room</title>");
});
const sockets = new WebSocketServer({ server });
const people = new Map();

const send = (socket, message) => socket.send(JSON.stringify(message));
const event = (offset) => ({ topic: TOPIC, offset, epoch: EPOCH, event: { type: "said", ...history[offset - 1] } });
const entry = (key) => ({ key, count: people.get(key), meta: {} });
const tell = (message) => sockets.clients.forEach((socket) => socket.isIn && send(socket, message));

sockets.on("connection", (socket, request) => {
  const { searchParams } = new URL(request.url, "http://a.example");
  const name = searchParams.get("name");
  const resume = searchParams.get("resume");
  if (resume) {
    const [, since, epoch] = resume.split(":");
    const recovered = epoch === EPOCH && since <= history.length;
    for (let offset = Number(since) + 1; recovered && offset <= history.length; offset++) send(socket, event(offset));
    send(socket, { topic: TOPIC, recovered, offset: history.length, epoch: EPOCH });
  }
  const isNew = !people.get(name);
  people.set(name, (people.get(name) ?? 0) + 1);
  send(socket, { presence: TOPIC, state: [...people.keys()].map(entry) });
  tell({ presence: TOPIC, [isNew ? "joined" : "updated"]: [entry(name)] });
  socket.isIn = true;

  socket.on("message", (data) => {
    const { type, id, key, text } = JSON.parse(data);
    if (type !== "say") return send(socket, { type: "reply", id, fault: { kind: "malformed" } });
    if (!offsets.has(key)) {
      appendFileSync(file, `${JSON.stringify({ key, text })}\n`);
      offsets.set(key, history.push({ key, text }));
      tell(event(history.length));
    }
    send(socket, { type: "reply", id, ok: offsets.get(key) });
  });
  socket.on("close", () => {
    people.set(name, people.get(name) - 1);
    const isGone = people.get(name) === 0;
    if (isGone) people.delete(name);
    tell({ presence: TOPIC, ...(isGone ? { left: [{ key: name }] } : { updated: [entry(name)] }) });
  });
});
server.listen(Number(port), "127.0.0.1");

// The consumer of the WebSocket pane, reached by Seaway's client: over a WebSocket, or over
// server-sent events and POST if that is blocked.

import { Feed } from "./feed.js";
import { Log } from "./log.js";
import { $ } from "./page.js";
import { connect } from "./seaway.js";

const TRANSPORTS = { websocket: "Live over a WebSocket", sse: "Live over server-sent events and POST" };

const RealWebSocket = globalThis.WebSocket;

/** A WebSocket whose handshake fails, as behind a proxy that does not know WebSockets. */
class BlockedWebSocket {
  bufferedAmount = 0;

  constructor() {
    setTimeout(() => this.onclose?.({ code: 1006, reason: "" }));
  }

  close() {}
}

const log = new Log($("log"));
const feed = new Feed({
  onState() {},
  onMessage: (message, { delay, isAfterGap }) => log.add(message, { delay, isAfterGap }),
  onGap: () => showGap("Some messages are gone."),
  onAnew: () => showGap("The server has restarted; some messages may be gone."),
  onSpent() {},
});

let socket;

/** Opens a connection, and closes the one before. */
function open() {
  socket?.close();
  globalThis.WebSocket = $("block").checked ? BlockedWebSocket : RealWebSocket;
  socket = connect(`/ws?${feed.query}`);
  socket.onState(showState);
  socket.on("hello", ({ start }) => feed.opened(Date.now(), start));
  socket.on("gap", () => feed.gap());
  socket.on("message", (message) => feed.take(message));
  socket.on("refused", ({ reason }) => ($("composer-problem").textContent = reason));
}

function showState({ name, transport }) {
  const isOpen = name === "open";
  $("client").dataset.state = isOpen ? "live" : "lost";
  $("client").dataset.transport = isOpen ? transport : "";
  $("state-text").textContent = isOpen ? TRANSPORTS[transport] : "Connecting…";
  if (!isOpen) feed.lost();
}

function showGap(words) {
  $("gap").textContent = words;
  $("gap").hidden = false;
}

$("composer-form").onsubmit = (event) => {
  event.preventDefault();
  const isAccepted = socket.send($("composer").value);
  $("composer-problem").textContent = isAccepted ? "" : "Too many messages wait for the connection.";
  if (isAccepted) $("composer").value = "";
};
$("block").onchange = open;
addEventListener("pagehide", () => socket.close());
addEventListener("pageshow", ({ persisted }) => persisted && open());
open();

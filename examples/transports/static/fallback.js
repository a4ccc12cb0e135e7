// The consumer of the WebSocket pane, reached by Seaway's client: over a WebSocket, or over
// server-sent events and POST if that is blocked.

import { Feed } from "./feed.js";
import { Log } from "./log.js";
import { $ } from "./page.js";
import { connect } from "./seaway.js";

const STATES = {
  connecting: "Connecting…",
  waiting: "Connection lost, trying again…",
  closed: "Closed by the server.",
};
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
// Messages from before the first one are not expected.
let isCaughtUp = false;

/** Opens a connection, and closes the one before. */
function open() {
  socket?.close();
  globalThis.WebSocket = $("block").checked ? BlockedWebSocket : RealWebSocket;
  // The client reconnects to this address: the ids tell what is missing.
  socket = connect(`/ws?client=${feed.client}&since=0`);
  socket.onState(showState);
  socket.on("hello", ({ start }) => feed.opened(Date.now(), start));
  socket.on("message", take);
  socket.on("refused", ({ reason }) => ($("composer-problem").textContent = reason));
}

function take(message) {
  if (isCaughtUp && message.id > feed.since + 1) feed.gap();
  isCaughtUp = true;
  feed.take(message);
}

function showState({ name, transport }) {
  const isOpen = name === "open";
  $("client").dataset.state = isOpen ? "live" : "lost";
  $("client").dataset.transport = isOpen ? transport : "";
  $("state-text").textContent = isOpen ? TRANSPORTS[transport] : STATES[name];
  if (isOpen) $("gap").hidden = true;
  else feed.lost();
}

function showGap(words) {
  $("gap").textContent = words;
  $("gap").hidden = false;
}

$("composer-form").onsubmit = (event) => {
  event.preventDefault();
  const isAccepted = socket.send($("composer").value);
  const reason = socket.state.name === "closed" ? "The connection is closed." : "Too many messages wait for the connection.";
  $("composer-problem").textContent = isAccepted ? "" : reason;
  if (isAccepted) $("composer").value = "";
};
$("block").onchange = open;
addEventListener("pagehide", () => socket.close());
addEventListener("pageshow", ({ persisted }) => persisted && open());
open();

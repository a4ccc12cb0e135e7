// The connection state in the bar, as a colour, a shape and a text.

import { $, announce } from "./page.js";

let countdown = 0;
let wasLost = false;

/** Sets up the button that reconnects without waiting. */
export function startStatus(hurry, focusAfter) {
  $("reconnect").onclick = () => {
    hurry();
    // The button disappears now, and would take the focus with it.
    focusAfter?.focus();
  };
}

/** Shows a state of the client: "connecting", "open", "waiting", or "closed" for good. */
export function showStatus({ name, until, close }) {
  clearInterval(countdown);
  $("status").hidden = false;
  $("status").dataset.state = name === "open" ? "connected" : name;
  $("status").dataset.network = navigator.onLine ? "online" : "offline";
  $("reconnect").hidden = name !== "waiting" && name !== "closed";
  if (name === "connecting") say("Connecting…");
  if (name === "open") {
    say("Connected");
    if (wasLost) announce("Connected again.");
    wasLost = false;
  }
  if (name === "waiting") {
    countDown(until);
    if (!wasLost) announce("The connection is lost. Reconnecting.");
    wasLost = true;
  }
  if (name === "closed") {
    say("Disconnected");
    // 1000 is the page's own close, before it goes into the back/forward cache.
    wasLost = close.code !== 1000;
    if (wasLost) announce("Disconnected by the server.");
  }
}

function countDown(until) {
  const show = () => {
    const seconds = Math.max(1, Math.ceil((until - Date.now()) / 1000));
    // A server on the same machine is reachable without a network, so the attempts continue.
    say(navigator.onLine ? `Retrying in ${seconds} s…` : `Offline. Retrying in ${seconds} s…`);
  };
  show();
  countdown = setInterval(show, 500);
}

function say(words) {
  $("status-text").textContent = words;
}

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

/** Shows "connecting", "connected", "waiting" (a retry in `wait` ms), or "left" (never visible). */
export function showStatus(state, wait) {
  clearInterval(countdown);
  $("status").hidden = false;
  $("status").dataset.state = state;
  $("status").dataset.network = navigator.onLine ? "online" : "offline";
  $("reconnect").hidden = state !== "waiting";
  if (state === "connecting") say("Connecting…");
  if (state === "connected") {
    say("Connected");
    if (wasLost) announce("Connected again.");
    wasLost = false;
  }
  if (state === "waiting") {
    countDown(Date.now() + wait);
    if (!wasLost) announce("The connection is lost. Reconnecting.");
    wasLost = true;
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

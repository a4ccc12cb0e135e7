// The lamp in the bar: how the connection fares, in colour, in shape and in words.

import { $, announce } from "./page.js";

let countdown = 0;
let wasLost = false;

/** Make the button work that tries again without waiting. */
export function startStatus(hurry, focusAfter) {
  $("reconnect").onclick = () => {
    hurry();
    // The button is gone now, and would take the focus with it.
    focusAfter?.focus();
  };
}

/** Show "connecting", "connected", "waiting", which tries again in `wait` milliseconds, or "left", which nobody sees. */
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
    // Some machines have no network and reach the server all the same, so the attempts go on.
    say(navigator.onLine ? `Retrying in ${seconds} s…` : `Offline. Retrying in ${seconds} s…`);
  };
  show();
  countdown = setInterval(show, 500);
}

function say(words) {
  $("status-text").textContent = words;
}

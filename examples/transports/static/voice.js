// Screen reader announcements for all panes: each message is announced once, from the pane that has
// it first.

import { $ } from "./page.js";

// The four panes often announce the same at the same time.
const GATHER_MS = 600;
// With many messages, only some are announced.
const MESSAGE_INTERVAL_MS = 8_000;

const gathered = new Map();
let timer = 0;
let newest = 0;
let spokeAt = -Infinity;

/** Announces a change of one pane; panes with the same change are announced together. */
export function announce(name, fate) {
  gathered.set(fate, [...(gathered.get(fate) ?? []), name]);
  timer ||= setTimeout(speak, GATHER_MS);
}

/** Announces a message that a pane received live. */
export function voiceMessage({ id, text }) {
  if (id <= newest) return;
  newest = id;
  if (Date.now() - spokeAt < MESSAGE_INTERVAL_MS) return;
  spokeAt = Date.now();
  announce("Message", text);
}

function speak() {
  timer = 0;
  const sentences = [...gathered].map(([fate, names]) => `${names.join(", ")}: ${fate}`);
  gathered.clear();
  $("announcement").textContent = sentences.join(". ");
}

// One voice for four panes. Their logs are silent: a screen reader hears each message once, from whoever has it first.

import { $ } from "./page.js";

// The four panes often have the same to say at the same time.
const GATHER_MS = 600;
// When much is said, a message now and then will do.
const MESSAGE_INTERVAL_MS = 8_000;

const gathered = new Map();
let timer = 0;
let newest = 0;
let spokeAt = -Infinity;

/** Say what became of one pane; those with the same fate are named together. */
export function announce(name, fate) {
  gathered.set(fate, [...(gathered.get(fate) ?? []), name]);
  timer ||= setTimeout(speak, GATHER_MS);
}

/** A pane heard a message live. */
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

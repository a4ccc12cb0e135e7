// The composer, and a generator of one message per second.

import { $ } from "./page.js";

const TALK_INTERVAL_MS = 1_000;
const ANSWER_LIMIT_MS = 10_000;
const PHRASES = [
  "Fog over the north channel.",
  "The ferry is on time.",
  "Two tugs at berth four.",
  "Wind southwest, five.",
  "The pilot is aboard.",
  "The bridge opens at noon.",
  "All lines are fast.",
  "The tide has turned.",
];

let said = 0;
let isTalking = false;

export function startComposer() {
  $("composer-form").onsubmit = (event) => {
    event.preventDefault();
    submit();
  };
  $("talk").onchange = () => {
    if ($("talk").checked && !isTalking) talk();
  };
  // A browser that restores the page may have restored the switch.
  $("talk").onchange();
}

async function submit() {
  const text = $("composer").value.trim();
  if (text === "") return;
  $("composer").value = "";
  $("composer-problem").textContent = "";
  if (await say(text)) return;
  // Restores the text, unless the user has started the next one.
  $("composer").value ||= text;
  $("composer-problem").textContent = "The server did not accept the message. Please try again.";
}

/** Sends a phrase per second while the switch is on, one at a time, so a slow server gets fewer. */
async function talk() {
  isTalking = true;
  while ($("talk").checked) {
    const next = new Promise((resolve) => setTimeout(resolve, TALK_INTERVAL_MS));
    await say(PHRASES[said++ % PHRASES.length]);
    await next;
  }
  isTalking = false;
}

/** Sends a message, and returns whether the server accepted it. */
async function say(body) {
  const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
  const headers = { "content-type": "text/plain; charset=utf-8" };
  const response = await fetch("/say", { method: "POST", headers, body, signal }).catch(() => null);
  return response?.ok ?? false;
}

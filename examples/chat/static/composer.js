// The composer: where a message is written and sent.

import { $, announce } from "/page.js";

const TEXT_MAX = 2000;
// Show what is left to write only when it starts to matter.
const TEXT_WARN = 1800;

/** Make the composer work; `say` gets each text that may be sent. */
export function startComposer(say) {
  $("composer-form").onsubmit = (event) => submit(event, say);
  $("composer").oninput = measure;
  $("composer").onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event, say);
  };
}

function submit(event, say) {
  event.preventDefault();
  const composer = $("composer");
  const text = composer.value.trim();
  composer.focus();
  if (text === "" || [...text].length > TEXT_MAX) return;
  composer.value = "";
  measure();
  say(text);
}

/** Grow the composer with its text, and say how much room is left. */
function measure() {
  const composer = $("composer");
  composer.style.height = "auto";
  composer.style.height = `${composer.scrollHeight + 2}px`;
  const length = [...composer.value.trim()].length;
  const isTooLong = length > TEXT_MAX;
  const wasTooLong = composer.getAttribute("aria-invalid") === "true";
  if (isTooLong && !wasTooLong) announce("The message is too long to send.");
  const count = `${length} of ${TEXT_MAX} characters${isTooLong ? ": too long to send" : ""}`;
  $("composer-problem").textContent = length > TEXT_WARN ? count : "";
  composer.setAttribute("aria-invalid", String(isTooLong));
}

// The composer: where a message is written and sent.

import { $, announce } from "./page.js";
import { keepDraft, takeDraft } from "./session.js";

const TEXT_MAX = 2000;
// Show what is left to write only when it starts to matter.
const TEXT_WARN = 1800;
// Others see "is typing" a little longer than this.
const TYPING_INTERVAL_MS = 3_000;

let typedAt = 0;

/** Make the composer work; `say` gets each text that may be sent, `typing` now and then a sign of life. */
export function startComposer(you, { say, typing }) {
  const composer = $("composer");
  $("composer-form").onsubmit = (event) => submit(event, say);
  composer.oninput = () => {
    measure();
    if (composer.value.trim() === "" || Date.now() - typedAt < TYPING_INTERVAL_MS) return;
    typedAt = Date.now();
    typing();
  };
  composer.onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event, say);
  };

  // A browser that brings the page back may have kept the text itself.
  composer.value ||= takeDraft(you);
  measure();
  composer.focus();
  addEventListener("pagehide", () => keepDraft(you, composer.value));
  $("logout").form.addEventListener("submit", () => (composer.value = ""));
}

function submit(event, say) {
  event.preventDefault();
  const composer = $("composer");
  const text = composer.value.trim();
  composer.focus();
  if (text === "" || [...text].length > TEXT_MAX) return;
  composer.value = "";
  typedAt = 0;
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

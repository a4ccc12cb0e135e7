// The composer, in which a message is written and sent.

import { $, announce } from "./page.js";
import { keepDraft, takeDraft } from "./session.js";

const TEXT_MAX = 2000;
// The number of remaining characters is shown only from here on.
const TEXT_WARN = 1800;
// Others show "is typing" a little longer than this.
const TYPING_INTERVAL_MS = 3_000;

let typedAt = 0;

/**
 * Sets up the composer; `say` gets each text to send, `typing` is called at intervals while typing.
 */
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

  // A browser that restores the page may have restored the text itself.
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

/** Fits the composer's height to its text, and shows how many characters remain. */
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

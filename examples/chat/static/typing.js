// The "is typing" line: shown briefly after each event, in a line with constant height.

import { $, isolated } from "./page.js";

const SHOWN_MS = 4_000;
// The minimum interval of screen reader announcements, however often people start and stop.
const VOICE_INTERVAL_MS = 20_000;

export class Typing {
  // The names and timers of those who type, by user.
  #people = new Map();
  #spokeAt = -Infinity;

  heard(user, name) {
    clearTimeout(this.#people.get(user)?.timer);
    this.#people.set(user, { name, timer: setTimeout(() => this.stopped(user), SHOWN_MS) });
    this.#show();
  }

  /** Removes a user who has sent the message or stopped typing. */
  stopped(user) {
    clearTimeout(this.#people.get(user)?.timer);
    if (this.#people.delete(user)) this.#show();
  }

  clear() {
    for (const user of [...this.#people.keys()]) this.stopped(user);
  }

  #show() {
    const words = phrase([...this.#people.values()].map(({ name }) => isolated(name)));
    $("typing").classList.toggle("is-on", words !== "");
    if ($("typing-text").textContent !== words) $("typing-text").textContent = words;
    if (words === "") $("typing-voice").textContent = "";
    else if (Date.now() - this.#spokeAt > VOICE_INTERVAL_MS) {
      this.#spokeAt = Date.now();
      $("typing-voice").textContent = words;
    }
  }
}

function phrase(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is typing…`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are typing…`;
  return "Several people are typing…";
}

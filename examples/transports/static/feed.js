// What one client has heard: the rules that keep its messages in order and whole, whatever transport brings them.

import { Tally } from "./tally.js";

export class Feed {
  /** The newest message heard; a transport asks for what comes after it. */
  since = 0;
  /** "connecting", "live", "paused" or "lost". */
  state = "connecting";
  client = freshId();
  tally;
  #listener;
  #startedAt = Date.now();
  #openedAt = Infinity;
  // The id before the first one of the server's process, once it is known.
  #start = null;
  #isAfterGap = false;
  #isAnew = false;

  /** The listener hears `onState`, `onMessage`, `onGap`, `onAnew` and `onSpent`. */
  constructor(listener) {
    this.#listener = listener;
    this.tally = new Tally(listener.onSpent);
  }

  /** What a transport asks with. */
  get query() {
    return `client=${this.client}&since=${this.since}`;
  }

  /** The server answers, and has done so since `at`; it counts from `start`, if it says so. */
  opened(at, start = this.#start) {
    if (this.state !== "live") {
      this.#openedAt = at;
      this.#change("live");
    }
    if (start !== this.#start) this.#begin(start);
  }

  lost() {
    this.#change("lost");
  }

  paused() {
    this.#change("paused");
  }

  resumed() {
    this.#change("connecting");
  }

  /** Some messages are gone. That a server which started anew has not got the old ones has been said. */
  gap() {
    this.#isAfterGap = true;
    if (!this.#isAnew) this.#listener.onGap();
  }

  /** An answer to a poll. */
  answer({ messages, gap }) {
    if (gap) this.gap();
    for (const message of messages) this.take(message);
  }

  /** A message; one heard before is left out. */
  take(message) {
    if (message.id <= this.since) return;
    // How many a server has said before it stopped nobody knows.
    const missing = this.#isAfterGap && !this.#isAnew ? message.id - this.since - 1 : null;
    const isAfterGap = this.#isAfterGap;
    this.#isAfterGap = this.#isAnew = false;
    this.since = message.id;
    this.#listener.onMessage(message, { ...this.#delayOf(message), isAfterGap, missing });
  }

  /** How late it is. What was said before this page came has no delay, and `isLate` what was said while it was away. */
  #delayOf({ at }) {
    if (at < this.#startedAt) return { delay: null, isLate: true };
    return { delay: Math.max(0, Date.now() - at), isLate: at < this.#openedAt };
  }

  /** Another process answers than before, or the first one: this page has heard all of it that it is to hear. */
  #begin(start) {
    this.#isAnew = this.#isAfterGap = this.#start !== null;
    this.#start = start;
    this.since = start;
    if (this.#isAnew) this.#listener.onAnew();
  }

  #change(state) {
    if (this.state === state) return;
    this.state = state;
    this.#listener.onState(state);
  }
}

/** Eight hexadecimal digits. */
function freshId() {
  return crypto.getRandomValues(new Uint32Array(1))[0].toString(16).padStart(8, "0");
}

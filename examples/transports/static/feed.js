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
  #isAfterGap = false;

  /** The listener hears `onState`, `onMessage`, `onGap`, `onAnew` and `onSpent`. */
  constructor(listener) {
    this.#listener = listener;
    this.tally = new Tally(listener.onSpent);
  }

  /** What a transport asks with. */
  get query() {
    return `client=${this.client}&since=${this.since}`;
  }

  /** The server answers, and has done so since `at`; its newest message is `head`, if it says so. */
  opened(at, head = this.since) {
    if (this.state !== "live") {
      this.#openedAt = at;
      this.#change("live");
    }
    if (head < this.since) this.#startAnew();
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

  /** Some messages are gone. Who has heard nothing yet misses nothing. */
  gap() {
    if (this.since === 0) return;
    this.#isAfterGap = true;
    this.#listener.onGap();
  }

  /** An answer to a poll. */
  answer({ messages, gap }) {
    if (gap && messages.length > 0 && messages[0].id > this.since) this.gap();
    else if (gap) this.#startAnew();
    for (const message of messages) this.take(message);
  }

  /** A message; one heard before is left out. */
  take(message) {
    if (message.id <= this.since) return;
    const missing = this.#isAfterGap ? message.id - this.since - 1 : 0;
    this.#isAfterGap = false;
    this.since = message.id;
    this.#listener.onMessage(message, { ...this.#delayOf(message), missing });
  }

  /** How late it is. What was said before this page came has no delay, and `isLate` what was said while it was away. */
  #delayOf({ at }) {
    if (at < this.#startedAt) return { delay: null, isLate: true };
    return { delay: Math.max(0, Date.now() - at), isLate: at < this.#openedAt };
  }

  /** The server knows less than we do: it is another room now, and counts from one again. */
  #startAnew() {
    if (this.since === 0) return;
    this.since = 0;
    this.#isAfterGap = false;
    this.#listener.onAnew();
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

// The messages of one client: rules that keep them in order and complete, over any transport.

import { Tally } from "./tally.js";

export class Feed {
  /** The id of the newest message; a transport requests those after it. */
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

  /** The listener has the callbacks `onState`, `onMessage`, `onGap`, `onAnew` and `onSpent`. */
  constructor(listener) {
    this.#listener = listener;
    this.tally = new Tally(listener.onSpent);
  }

  /** The query parameters of a transport's request. */
  get query() {
    return `client=${this.client}&since=${this.since}`;
  }

  /** Notes that the server responds since `at`, and counts ids from `start`, if known. */
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

  /** Notes that messages are missing; after a restart of the server that was reported already. */
  gap() {
    this.#isAfterGap = true;
    if (!this.#isAnew) this.#listener.onGap();
  }

  /** Takes the response to a poll. */
  answer({ messages, gap }) {
    if (gap) this.gap();
    for (const message of messages) this.take(message);
  }

  /** Takes a message, unless it was received before. */
  take(message) {
    if (message.id <= this.since) return;
    // After a restart of the server, the number of missing messages is unknown.
    const missing = this.#isAfterGap && !this.#isAnew ? message.id - this.since - 1 : null;
    const isAfterGap = this.#isAfterGap;
    this.#isAfterGap = this.#isAnew = false;
    this.since = message.id;
    this.#listener.onMessage(message, { ...this.#delayOf(message), isAfterGap, missing });
  }

  /**
   * Its delay: null if it is older than this page; `isLate` if it was sent while the page was
   * disconnected.
   */
  #delayOf({ at }) {
    if (at < this.#startedAt) return { delay: null, isLate: true };
    return { delay: Math.max(0, Date.now() - at), isLate: at < this.#openedAt };
  }

  /**
   * Starts again with the ids of another server process, or of the first one: older messages are
   * not expected.
   */
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

/** Returns eight random hexadecimal digits. */
function freshId() {
  return crypto.getRandomValues(new Uint32Array(1))[0].toString(16).padStart(8, "0");
}

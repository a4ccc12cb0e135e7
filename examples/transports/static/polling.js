// Polling: a request, a delay, the next request.

import { ask } from "./ask.js";
import { Nap, backoff } from "./nap.js";

const ANSWER_LIMIT_MS = 10_000;

export class Polling {
  #feed;
  #intervalMs;
  #nap = new Nap();
  // The id of the current loop: a pause ends it, even if a response is still to come.
  #opening = null;

  /** `intervalMs` is called before each delay. */
  constructor(feed, intervalMs) {
    this.#feed = feed;
    this.#intervalMs = intervalMs;
  }

  open() {
    this.#opening = Symbol("opening");
    this.#run(this.#opening);
  }

  close() {
    this.#opening = null;
    this.#nap.end();
  }

  /** Ends the delay, as there is a new interval, or the network is back. */
  hurry() {
    this.#nap.end();
  }

  async #run(opening) {
    for (let attempt = 0; this.#opening === opening; ) {
      const askedAt = Date.now();
      const answer = await this.#ask();
      if (this.#opening !== opening) return;
      if (answer === null) {
        this.#feed.lost();
        await this.#nap.take(backoff(attempt++));
      } else {
        attempt = 0;
        this.#feed.opened(askedAt, answer.start);
        this.#feed.answer(answer);
        await this.#nap.take(this.#intervalMs());
      }
    }
  }

  #ask() {
    const { query, tally } = this.#feed;
    return ask(`/poll?${query}`, tally, { limitMs: ANSWER_LIMIT_MS }).catch(() => null);
  }
}

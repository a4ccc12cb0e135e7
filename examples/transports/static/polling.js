// Polling: ask, sleep, ask again.

import { ask } from "./ask.js";
import { Nap, backoff } from "./nap.js";

const ANSWER_LIMIT_MS = 10_000;

export class Polling {
  #feed;
  #intervalMs;
  #nap = new Nap();
  // Which opening the loop belongs to: a pause ends it, however late the answer comes.
  #opening = null;

  /** `intervalMs` is asked before each sleep. */
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

  /** Do not sleep on: there is a new interval, or the network is back. */
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

// Long polling: a request that the server holds until there are messages.

import { ask } from "./ask.js";
import { Nap, backoff } from "./nap.js";

// The server holds a request for 25 seconds at most.
const ANSWER_LIMIT_MS = 35_000;
// A request that has not failed by now is being held, so the server is there.
const KEPT_MS = 1_000;
// The delay after an immediate response without messages, against a busy loop.
const PATIENCE_MS = 1_000;

export class LongPolling {
  #feed;
  #nap = new Nap();
  #opening = null;

  constructor(feed) {
    this.#feed = feed;
  }

  open() {
    this.#opening = new AbortController();
    this.#run(this.#opening.signal);
  }

  /** Aborts the request: the server sees it end. */
  close() {
    this.#opening?.abort();
    this.#nap.end();
  }

  hurry() {
    this.#nap.end();
  }

  async #run(signal) {
    for (let attempt = 0; !signal.aborted; ) {
      const askedAt = Date.now();
      const { since } = this.#feed;
      const answer = await this.#ask(signal, askedAt);
      if (signal.aborted) return;
      if (answer === null) {
        this.#feed.lost();
        await this.#nap.take(backoff(attempt++));
        continue;
      }
      attempt = 0;
      this.#feed.opened(askedAt, answer.start);
      this.#feed.answer(answer);
      const isIdle = this.#feed.since === since && Date.now() - askedAt < PATIENCE_MS;
      if (isIdle) await this.#nap.take(PATIENCE_MS);
    }
  }

  async #ask(signal, askedAt) {
    const { query, tally } = this.#feed;
    const kept = setTimeout(() => signal.aborted || this.#feed.opened(askedAt), KEPT_MS);
    // Aborted requests, and those made while the server was live, have most likely arrived.
    const hadArrived = () => signal.aborted || this.#feed.state === "live";
    const options = { limitMs: ANSWER_LIMIT_MS, signal, hadArrived };
    const answer = await ask(`/wait?${query}`, tally, options).catch(() => null);
    clearTimeout(kept);
    return answer;
  }
}

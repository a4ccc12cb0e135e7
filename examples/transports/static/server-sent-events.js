// Server-sent events: a response that never ends. The browser reconnects by itself with the last
// event id.

import { Nap, backoff } from "./nap.js";
import { bytesOf } from "./page.js";

export class ServerSentEvents {
  #feed;
  #nap = new Nap();
  #source = null;
  #attempt = 0;

  constructor(feed) {
    this.#feed = feed;
  }

  open() {
    const source = new EventSource(`/events?${this.#feed.query}`);
    source.addEventListener("hello", ({ data }) => this.#hello(JSON.parse(data)));
    source.addEventListener("gap", () => this.#feed.gap());
    source.onmessage = ({ data }) => {
      this.#feed.tally.message(bytesOf(data));
      this.#feed.take(JSON.parse(data));
    };
    source.onerror = () => this.#lost(source);
    this.#source = source;
  }

  close() {
    this.#source?.close();
    this.#source = null;
    this.#nap.end();
  }

  hurry() {
    this.#nap.end();
  }

  #hello({ start, heads }) {
    this.#attempt = 0;
    this.#feed.tally.opened(heads);
    this.#feed.opened(Date.now(), start);
  }

  /**
   * The browser reconnects after a lost connection, but not after an error response: then the page
   * does.
   */
  async #lost(source) {
    this.#feed.lost();
    if (source.readyState !== EventSource.CLOSED) return;
    await this.#nap.take(backoff(this.#attempt++));
    if (this.#source === source) this.open();
  }
}

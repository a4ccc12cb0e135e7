// The read marker: the newest message that was in view while the page was visible.

// The server needs the read marker only for unread counts, so it need not be sent more often.
const INTERVAL_MS = 1_000;

export class Seen {
  #current;
  #send;
  #told = 0;
  #timer = 0;

  /**
   * `current` returns the id of the newest message in view, or null; `send` whether it was sent.
   */
  constructor(current, send) {
    this.#current = current;
    this.#send = send;
    document.addEventListener("visibilitychange", () => this.look());
  }

  /** Checks the view after a scroll, or when the page becomes visible. */
  look() {
    if (this.#timer !== 0 || !this.#isNews()) return;
    this.#tell();
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.look();
    }, INTERVAL_MS);
  }

  /** Sends the marker again after a reconnect, as the last one may be lost. */
  reconnected() {
    this.#told = 0;
    this.look();
  }

  #tell() {
    const id = this.#current();
    if (this.#send({ type: "seen", id })) this.#told = id;
  }

  #isNews() {
    return !document.hidden && (this.#current() ?? 0) > this.#told;
  }
}

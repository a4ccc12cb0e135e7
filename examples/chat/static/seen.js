// What was seen: the newest message that stood in view while the page was looked at.

// The server counts down what is unread; it need not hear of it more often.
const INTERVAL_MS = 1_000;

export class Seen {
  #current;
  #send;
  #told = 0;
  #timer = 0;

  /** `current` gives the id of the newest message in view, or null; `send` tells whether it went out. */
  constructor(current, send) {
    this.#current = current;
    this.#send = send;
    document.addEventListener("visibilitychange", () => this.look());
  }

  /** Something moved, or somebody came back. */
  look() {
    if (this.#timer !== 0 || !this.#isNews()) return;
    this.#tell();
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.look();
    }, INTERVAL_MS);
  }

  /** The server may not have heard the last of it. */
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

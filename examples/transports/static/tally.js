// What one client costs: requests, messages, and the bytes of request heads and of payload, as the page sees them.

// The bytes of a head without its target: known from the first answer, as one browser sends the same headers each time.
let headersBytes = null;

/** Counts for one client; `onSpent` hears of each cost when it is known. */
export class Tally {
  messages = 0;
  payload = 0;
  #onSpent;
  #counted = 0;
  #heads = 0;
  // Requests whose head nobody told us about: those under way, those taken back, those whose answer was lost.
  #untold = { count: 0, targetBytes: 0 };

  constructor(onSpent = () => {}) {
    this.#onSpent = onSpent;
  }

  get requests() {
    return this.#counted + this.#untold.count;
  }

  get heads() {
    if (headersBytes === null) return this.#heads;
    return this.#heads + this.#untold.count * headersBytes + this.#untold.targetBytes;
  }

  /** A request is on its way. Say what became of it, or nothing if it arrived and stayed without an answer. */
  sent(target) {
    this.#untold.count++;
    this.#untold.targetBytes += target.length;
    const told = () => {
      this.#untold.count--;
      this.#untold.targetBytes -= target.length;
    };
    return {
      answered: (headBytes, payloadBytes, messages) => {
        told();
        headersBytes = headBytes - target.length;
        this.messages += messages;
        this.payload += payloadBytes;
        this.opened(headBytes);
        this.#onSpent(0, payloadBytes);
      },
      // It did not reach the server.
      failed: told,
    };
  }

  /** A request was made with a head of this size. */
  opened(headBytes) {
    this.#counted++;
    this.#heads += headBytes;
    this.#onSpent(headBytes, 0);
  }

  /** One message came, in so many bytes. */
  message(payloadBytes) {
    this.messages++;
    this.payload += payloadBytes;
    this.#onSpent(0, payloadBytes);
  }
}

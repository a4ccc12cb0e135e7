// The costs of one client: requests, messages, and the bytes of request heads and payload, as the
// page counts them.

// The bytes of a head without its target: known from the first response, as a browser sends the
// same headers each time.
let headersBytes = null;

/** The counters of one client; `onSpent` is called with each cost when it is known. */
export class Tally {
  messages = 0;
  payload = 0;
  #onSpent;
  #counted = 0;
  #heads = 0;
  // Requests whose head size is unknown: pending, aborted, or without a response.
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

  /**
   * Counts a request. Call `answered` or `failed` on the result, or neither if it arrived without a
   * response.
   */
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

  /** Counts a request with a head of this size. */
  opened(headBytes) {
    this.#counted++;
    this.#heads += headBytes;
    this.#onSpent(headBytes, 0);
  }

  /** Counts a message of this many bytes. */
  message(payloadBytes) {
    this.messages++;
    this.payload += payloadBytes;
    this.#onSpent(0, payloadBytes);
  }
}

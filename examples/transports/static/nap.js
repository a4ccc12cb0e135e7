// Delays: between two polls, and before the next attempt after a loss.

const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 8_000;

/**
 * The delay before the next attempt: exponential, capped, and randomized against simultaneous
 * reconnects.
 */
export function backoff(attempt, random = Math.random()) {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt);
  return ceiling / 2 + (ceiling / 2) * random;
}

/** A delay that can be ended early. */
export class Nap {
  #wake = () => {};

  /** Resolves after this time, or when ended. */
  take(ms) {
    this.end();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  end() {
    this.#wake();
  }
}

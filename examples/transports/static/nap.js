// Waiting: between two polls, and before the next attempt after a loss.

const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 8_000;

/** The wait before the next attempt: doubling, capped, and spread so that a crowd does not return at once. */
export function backoff(attempt, random = Math.random()) {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt);
  return ceiling / 2 + (ceiling / 2) * random;
}

/** One sleeper that can be woken. */
export class Nap {
  #wake = () => {};

  /** Resolves after this time, or when woken. */
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

/** A function that ends what the call that returned it began. */
export type Stop = () => void;

/** Reports an error that nobody can catch, as the browser reports any other. */
export function report(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

/** Listeners, which are called in the order in which they were added. */
export class Listeners<A extends unknown[]> {
  #all = new Set<(values: A) => void>();
  /** The calls to make; empty when none is being made. */
  #calls: (() => void)[] = [];

  add(call: (...values: A) => void): Stop {
    const listener = (values: A) => call(...values);
    this.#all.add(listener);
    return () => this.#all.delete(listener);
  }

  /** Adds one, and calls it with these values now; an error of this call is the caller's. */
  follow(call: (...values: A) => void, ...values: A): Stop {
    const stop = this.add(call);
    call(...values);
    return stop;
  }

  /**
   * Calls all of them; an error of one is reported as uncaught, and the others are called.
   *
   * A call within a listener is made after the current one: all listeners get the same order.
   */
  call(...values: A): void {
    const isCalling = this.#calls.length > 0;
    for (const listener of this.#all) {
      this.#calls.push(() => this.#all.has(listener) && listener(values));
    }
    if (isCalling) return;
    for (const call of this.#calls) {
      try {
        call();
      } catch (error) {
        report(error);
      }
    }
    this.#calls = [];
  }
}

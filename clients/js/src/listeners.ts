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
  #all = new Set<{ call: (...values: A) => void }>();

  add(call: (...values: A) => void): Stop {
    const entry = { call };
    this.#all.add(entry);
    return () => this.#all.delete(entry);
  }

  /** Calls all of them; an error of one is reported as uncaught, and the others are called. */
  call(...values: A): void {
    for (const { call } of [...this.#all]) {
      try {
        call(...values);
      } catch (error) {
        report(error);
      }
    }
  }
}

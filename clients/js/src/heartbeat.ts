/**
 * The watch over an open connection: it notices a half-open one, which a browser does not report.
 *
 * If nothing arrives for `interval` it calls `probe`, which may provoke an answer. If nothing
 * arrives for another `timeout` it calls `dead`.
 */
export class Heartbeat {
  #last = Date.now();
  /** When the probe was sent that nothing has arrived since. */
  #probed: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly interval: number,
    private readonly timeout: number,
    private readonly probe: () => void,
    private readonly dead: () => void,
  ) {
    this.#wait(interval);
  }

  /** Notes that something has arrived. */
  heard(): void {
    this.#last = Date.now();
    this.#probed = undefined;
  }

  /** Probes at once, for a page that was asleep or a network that has changed. */
  check(): void {
    if (this.#probed === undefined) {
      this.#probed = Date.now();
      this.probe();
      this.#wait(this.timeout);
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #wait(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tick(), Math.max(milliseconds, 0));
  }

  #tick(): void {
    const now = Date.now();
    if (this.#probed !== undefined) {
      const left = this.#probed + this.timeout - now;
      return left > 0 ? this.#wait(left) : this.dead();
    }
    const left = this.#last + this.interval - now;
    left > 0 ? this.#wait(left) : this.check();
  }
}

/**
 * The watch over an open connection: it notices a half-open one, which a browser does not report.
 *
 * If nothing arrives for `interval` it calls `probe`, which may provoke an answer. If nothing
 * arrives for another `timeout` it calls `dead`.
 */
export class Heartbeat {
  #last = Date.now();
  /** When the probe was sent that nothing has arrived since; 0 if there is none. */
  #probed = 0;
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
  alive(): void {
    this.#last = Date.now();
    this.#probed = 0;
  }

  /** Probes at once, for a page that was asleep or a network that has changed. */
  check(): void {
    if (!this.#probed) {
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
    this.#timer = setTimeout(() => this.#tick(), milliseconds);
  }

  #tick(): void {
    const limit = this.#probed ? this.timeout : this.interval;
    const left = (this.#probed || this.#last) + limit - Date.now();
    // More is left than the limit if the clock was set back.
    if (left > 0 && left <= limit) this.#wait(left);
    else if (this.#probed) this.dead();
    else this.check();
  }
}

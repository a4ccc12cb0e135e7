// The connection: one WebSocket that comes back by itself, a little later after each attempt.

// No welcome, or no answer to a message, within this time counts as lost.
export const ANSWER_LIMIT_MS = 10_000;
const BACKOFF_FIRST_MS = 600;
const BACKOFF_MAX_MS = 15_000;
// A connection that lived this long was a good one: the next loss starts at the shortest wait.
const STEADY_MS = 5_000;

/** One WebSocket at a time, replaced after a loss until `close`. */
export class Connection {
  #url;
  #onState;
  #onFrame;
  #socket = null;
  #timer = 0;
  #attempt = 0;
  #welcomedAt = Infinity;

  constructor(url, { onState, onFrame }) {
    this.#url = url;
    this.#onState = onState;
    this.#onFrame = onFrame;
    this.open();
  }

  open() {
    this.#abandon();
    this.#onState("connecting");
    const socket = new WebSocket(this.#url);
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = () => this.#lost();
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(), ANSWER_LIMIT_MS);
  }

  /** Whether the frame went out; an answer is another matter. */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Try now instead of later; nothing to do unless waiting. */
  hurry() {
    if (this.#socket === null) this.open();
  }

  close() {
    this.#abandon();
  }

  #receive(frame) {
    if (frame.type === "welcome") {
      clearTimeout(this.#timer);
      this.#welcomedAt = Date.now();
      this.#onState("connected");
    }
    this.#onFrame(frame);
  }

  #lost() {
    this.#abandon();
    if (Date.now() - this.#welcomedAt > STEADY_MS) this.#attempt = 0;
    this.#welcomedAt = Infinity;
    const wait = backoff(this.#attempt++, Math.random());
    this.#timer = setTimeout(() => this.open(), wait);
    this.#onState("waiting", wait);
  }

  #abandon() {
    clearTimeout(this.#timer);
    if (this.#socket === null) return;
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }
}

/** The wait before the next attempt: doubling, capped, and spread so that a crowd does not return at once. */
function backoff(attempt, random) {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt);
  return ceiling / 2 + (ceiling / 2) * random;
}

// The connection: one WebSocket that reconnects by itself, with growing delays.

import { goToLogin, goToLoginIfLoggedOut } from "./session.js";

// A connection that is not ready, or a message without a response, within this time counts as lost.
export const ANSWER_LIMIT_MS = 10_000;
const BACKOFF_FIRST_MS = 600;
const BACKOFF_MAX_MS = 15_000;
// After a connection of at least this length, the next loss starts at the shortest delay.
const STEADY_MS = 5_000;
const LOGGED_OUT = 4401;

/** One WebSocket at a time, replaced after a loss. */
export class Connection {
  #path;
  #readyOn;
  #onState;
  #onFrame;
  #socket = null;
  #timer = 0;
  #attempt = 0;
  #readyAt = Infinity;

  /**
   * `path` is called before each attempt; the server is ready at the event `readyOn`: "open" or
   * "welcome".
   */
  constructor({ path, readyOn, onState, onFrame }) {
    this.#path = path;
    this.#readyOn = readyOn;
    this.#onState = onState;
    this.#onFrame = onFrame;
    addEventListener("online", () => this.hurry());
    // The browser would notice the broken connection only much later.
    addEventListener("offline", () => this.#socket && this.#lost());
    // A page in the back/forward cache keeps no socket: others would see its user as present. It
    // may be restored.
    addEventListener("pagehide", () => this.#leave());
    addEventListener("pageshow", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
    this.#open();
  }

  /** Sends a frame, and returns whether it was sent, which does not mean that it arrives. */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Reconnects without waiting; does nothing while there is a socket. */
  hurry() {
    if (this.#socket === null) this.#open();
  }

  #open() {
    this.#abandon();
    this.#onState("connecting");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${this.#path()}`);
    let wasRefused = true;
    socket.onopen = () => {
      wasRefused = false;
      if (this.#readyOn === "open") this.#ready();
    };
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code }) => {
      if (code === LOGGED_OUT) return goToLogin();
      if (wasRefused) goToLoginIfLoggedOut();
      this.#lost();
    };
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(), ANSWER_LIMIT_MS);
  }

  #receive(frame) {
    if (frame.type === this.#readyOn) this.#ready();
    this.#onFrame(frame);
  }

  #ready() {
    clearTimeout(this.#timer);
    this.#readyAt = Date.now();
    this.#onState("connected");
  }

  #lost() {
    this.#abandon();
    if (Date.now() - this.#readyAt > STEADY_MS) this.#attempt = 0;
    this.#readyAt = Infinity;
    const wait = backoff(this.#attempt++, Math.random());
    this.#timer = setTimeout(() => this.#open(), wait);
    this.#onState("waiting", wait);
  }

  #leave() {
    this.#abandon();
    this.#onState("left");
  }

  #abandon() {
    clearTimeout(this.#timer);
    if (this.#socket === null) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }
}

/**
 * The delay before the next attempt: exponential, capped, and randomized against simultaneous
 * reconnects.
 */
function backoff(attempt, random) {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt);
  return ceiling / 2 + (ceiling / 2) * random;
}

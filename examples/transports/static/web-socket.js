// WebSocket: one connection for both directions. The page has to reconnect by itself.

import { Nap, backoff } from "./nap.js";
import { bytesOf } from "./page.js";

export class WebSocketTransport {
  #feed;
  #nap = new Nap();
  #socket = null;
  #attempt = 0;

  constructor(feed) {
    this.#feed = feed;
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws?${this.#feed.query}`);
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = () => this.#lost(socket);
    this.#socket = socket;
  }

  close() {
    const socket = this.#socket;
    this.#socket = null;
    this.#nap.end();
    if (socket === null) return;
    socket.onmessage = socket.onclose = null;
    socket.close();
  }

  hurry() {
    this.#nap.end();
  }

  #receive(data) {
    const frame = JSON.parse(data);
    switch (frame.type) {
      case "hello":
        this.#attempt = 0;
        this.#feed.tally.opened(frame.heads);
        return this.#feed.opened(Date.now(), frame.start);
      case "message":
        this.#feed.tally.message(bytesOf(data));
        return this.#feed.take(frame);
      case "gap":
        return this.#feed.gap();
    }
  }

  async #lost(socket) {
    this.#feed.lost();
    await this.#nap.take(backoff(this.#attempt++));
    if (this.#socket === socket) this.open();
  }
}

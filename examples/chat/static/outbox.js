// The messages of this page until the server has stored them. Each has a key, under which the
// server stores it once: so a message without a reply is sent again after a reconnect. The client of
// Seaway sends a request at most once, and leaves that to the page.

import { $, announce } from "./page.js";

export class Outbox {
  #you;
  #messages;
  #window;
  #request;

  /** `request` returns the promise of the reply, or null without a connection. */
  constructor(you, messages, window, request) {
    this.#you = you;
    this.#messages = messages;
    this.#window = window;
    this.#request = request;
  }

  say(text) {
    const { id: user, name: from } = this.#you;
    const message = { id: null, key: newKey(), user, from, text, at: Date.now(), mine: true, state: "pending" };
    this.#window.toEnd();
    this.#window.change(() => this.#window.inserted(this.#messages.add(message)));
    this.#transmit(message);
  }

  /** Sends a message, or sends it again: with the same key it is the same message to the server. */
  async #transmit(message) {
    this.#note(message, { state: "pending" });
    const reply = this.#request("say", { key: message.key, text: message.text });
    if (reply === null) return this.#hold(message);
    try {
      const { id, told } = await reply;
      // Otherwise it follows as the others receive it.
      if (!told && message.state === "pending") this.#note(message, { id, state: "stored" });
    } catch ({ failure }) {
      if (message.state === "pending") this.#failed(message, failure);
    }
  }

  #failed(message, { kind, error }) {
    if (kind === "lost" || kind === "closed") return this.#hold(message);
    if (kind === "error") {
      this.#note(message, { state: "refused", reason: error });
      return announce(`Refused: ${error}`);
    }
    this.#note(message, { state: "failed" });
    announce("Not sent: the server did not answer.");
  }

  /** Sends a message again. Its button disappears then, and must not take the focus with it. */
  retry(message) {
    this.#transmit(message);
    $("composer").focus();
  }

  discard(message) {
    this.#window.change(() => this.#window.removed(message, this.#messages.remove(message)));
    $("composer").focus();
  }

  /** Notes that the connection is lost, and the pending responses with it. */
  lost() {
    for (const message of this.#in("pending")) this.#hold(message);
  }

  /** Sends the waiting messages again after a reconnect, once the missed ones have arrived. */
  recover() {
    for (const message of this.#in("waiting")) this.#transmit(message);
  }

  #hold(message) {
    this.#note(message, { state: "waiting" });
    announce("The message waits for the connection.");
  }

  #in(state) {
    return this.#messages.unsettled().filter((message) => message.state === state);
  }

  #note(message, changes) {
    this.#window.change(() => this.#window.changed(message, ...this.#messages.change(message, changes)));
  }
}

function newKey() {
  // Pages without HTTPS have no randomUUID.
  return crypto.randomUUID?.() ?? crypto.getRandomValues(new Uint32Array(4)).join("-");
}

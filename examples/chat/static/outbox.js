// What is said here, until the room has it: sent, stored, refused, or to be sent again.

import { ANSWER_LIMIT_MS } from "./connection.js";
import { $, announce, sentence } from "./page.js";

export class Outbox {
  #you;
  #messages;
  #window;
  #send;

  /** `send` tells whether a frame went out. */
  constructor(you, messages, window, send) {
    this.#you = you;
    this.#messages = messages;
    this.#window = window;
    this.#send = send;
  }

  say(text) {
    const { id: user, name: from } = this.#you;
    const message = { id: null, key: newKey(), user, from, text, at: Date.now(), mine: true, state: "pending" };
    this.#window.toEnd();
    this.#window.change(() => this.#window.inserted(this.#messages.add(message)));
    this.#transmit(message);
  }

  /** Send a message, or send it again: with its key it is the same message to the server. */
  #transmit(message) {
    this.#note(message, { state: "pending" });
    if (!this.#send({ type: "say", key: message.key, text: message.text })) {
      return this.#fail(message, "there is no connection just now.");
    }
    clearTimeout(message.timer);
    message.timer = setTimeout(() => this.#fail(message, "the server did not answer."), ANSWER_LIMIT_MS);
  }

  /** Its button is gone then, and must not take the focus with it. */
  retry(message) {
    this.#transmit(message);
    $("composer").focus();
  }

  discard(message) {
    this.#window.change(() => this.#window.removed(message, this.#messages.remove(message)));
    $("composer").focus();
  }

  /** The server has it, but cannot tell the others yet. */
  stored({ key, id }) {
    const message = this.#messages.withKey(key);
    if (message && message.state !== "sent") this.#note(message, { id, state: "stored" });
  }

  refused({ key, reason }) {
    const message = this.#messages.withKey(key);
    if (message?.state !== "pending") return;
    this.#note(message, { state: "refused", reason: sentence(reason) });
    announce(`Refused: ${reason}`);
  }

  /** The connection is gone, and with it the answers. */
  lost() {
    for (const message of this.#messages.unsettled()) this.#fail(message, "the connection was lost.");
  }

  #fail(message, reason) {
    if (message.state !== "pending") return;
    this.#note(message, { state: "failed", reason });
    announce(`Not sent: ${reason}`);
  }

  #note(message, changes) {
    this.#window.change(() => this.#window.changed(message, ...this.#messages.change(message, changes)));
  }
}

function newKey() {
  // Pages without encryption have no randomUUID.
  return crypto.randomUUID?.() ?? crypto.getRandomValues(new Uint32Array(4)).join("-");
}

// The messages of this page until the server has stored them. Each has a key, under which the
// server stores it once: so a message without a response is sent again after a reconnect.

import { ANSWER_LIMIT_MS } from "./connection.js";
import { $, announce } from "./page.js";

export class Outbox {
  #you;
  #messages;
  #window;
  #send;

  /** `send` returns whether a frame was sent. */
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

  /** Sends a message, or sends it again: with the same key it is the same message to the server. */
  #transmit(message) {
    this.#note(message, { state: "pending" });
    clearTimeout(message.timer);
    if (!this.#send({ type: "say", key: message.key, text: message.text })) return this.#hold(message);
    message.timer = setTimeout(() => this.#fail(message), ANSWER_LIMIT_MS);
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

  /** Notes that the server has stored a message, but cannot send it to others yet. */
  stored({ key, id }) {
    const message = this.#messages.withKey(key);
    if (message && message.state !== "sent") this.#note(message, { id, state: "stored" });
  }

  refused({ key, reason }) {
    const message = this.#messages.withKey(key);
    if (message?.state !== "pending") return;
    this.#note(message, { state: "refused", reason });
    announce(`Refused: ${reason}`);
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
    clearTimeout(message.timer);
    this.#note(message, { state: "waiting" });
    announce("The message waits for the connection.");
  }

  #fail(message) {
    if (message.state !== "pending") return;
    this.#note(message, { state: "failed" });
    announce("Not sent: the server did not answer.");
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

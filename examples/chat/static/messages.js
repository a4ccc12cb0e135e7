// The room's messages: their order, what became of those said here, and which of them are in view.

import { draw, joinHeading, showFailure } from "/message-item.js";
import { $, announce, tabMemory } from "/page.js";

// The page keeps this many messages; older ones leave the document first.
const SHOWN_MAX = 1000;

/** The room's messages, as values and as list items, both in one order. */
export class MessageList {
  #list = $("messages");
  #log = $("log");
  #messages = [];
  #byId = new Map();
  #byKey = new Map();
  // Ids of what this tab has said, so that they stay "mine" after a reload.
  #own = new Set(JSON.parse(tabMemory?.getItem("own") ?? "[]"));
  #isAtEnd = true;
  #onRetry;

  constructor(onRetry) {
    this.#onRetry = onRetry;
    this.#list.replaceChildren();
    this.#update();
    this.#log.onscroll = () => this.#scrolled();
    // A keyboard that slides in, or a taller composer, must not hide the newest message.
    new ResizeObserver(() => this.#stay()).observe(this.#log);
  }

  /** A message that this tab is about to send. */
  addMine(key, from, text) {
    const message = { id: null, key, from, text, at: Infinity, mine: true, state: "pending" };
    this.#insert(message);
    this.toEnd();
    return message;
  }

  /** A message the server has told about; known ones are only brought up to date. */
  add({ id, key, from, text, at }) {
    if (this.#byId.has(id)) return;
    const waiting = this.#byKey.get(key);
    // The same key twice is a message that was repeated because its answer got lost.
    if (waiting?.state === "sent") return;
    const mine = waiting !== undefined || this.#own.has(id);
    if (waiting) this.#remove(waiting);
    if (mine) this.#remember(id);
    this.#insert({ id, key, from, text, at, mine, state: "sent" });
    this.#stay();
    $("jump").hidden = this.#isAtEnd;
  }

  /** The past, without reading all of it out. */
  addPast(past) {
    this.#log.setAttribute("aria-busy", "true");
    for (const message of past) this.add(message);
    this.#log.removeAttribute("aria-busy");
  }

  /** Mark one message, or all that have no answer yet, as not sent. */
  fail(reason, key) {
    for (const message of this.#messages) {
      if (message.state !== "pending" || (key && message.key !== key)) continue;
      message.state = "failed";
      this.#showFailure(message, reason);
      announce(`Not sent: ${reason}`);
    }
  }

  toEnd() {
    this.#isAtEnd = true;
    this.#stay();
  }

  /** Who reads the newest message keeps reading the newest; who has scrolled up is left in peace. */
  #stay() {
    if (this.#isAtEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }

  #scrolled() {
    this.#isAtEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 60;
    if (this.#isAtEnd) $("jump").hidden = true;
  }

  #insert(message) {
    let index = this.#messages.length;
    while (index > 0 && isBefore(message, this.#messages[index - 1])) index--;
    message.item = draw(message);
    this.#list.insertBefore(message.item, this.#messages[index]?.item ?? null);
    this.#messages.splice(index, 0, message);
    if (message.id) this.#byId.set(message.id, message);
    if (message.key) this.#byKey.set(message.key, message);
    if (this.#messages.length > SHOWN_MAX) this.#remove(this.#messages[0]);
    this.#update(index);
  }

  #remove(message) {
    const index = this.#messages.indexOf(message);
    this.#messages.splice(index, 1);
    this.#byId.delete(message.id);
    this.#byKey.delete(message.key);
    message.item.remove();
    message.state = "gone";
    this.#update(index);
  }

  #remember(id) {
    this.#own.add(id);
    tabMemory?.setItem("own", JSON.stringify([...this.#own].slice(-SHOWN_MAX)));
  }

  /** Headings depend on the neighbour above: set those of the item at `index` and of the one after. */
  #update(index = 0) {
    $("quiet").hidden = this.#messages.length > 0;
    for (const i of [index, index + 1]) {
      const [above, here] = [this.#messages[i - 1], this.#messages[i]];
      if (here) joinHeading(here, above);
    }
  }

  #showFailure(message, reason) {
    showFailure(message, reason, {
      retry: () => {
        this.#remove(message);
        this.#onRetry(message);
      },
      discard: () => {
        this.#remove(message);
        $("composer").focus();
      },
    });
    this.#stay();
  }
}

/** Messages stand in the order of their time; those still on their way stand last. */
function isBefore(a, b) {
  if (a.at !== b.at) return a.at < b.at;
  return (a.id ?? "") < (b.id ?? "");
}

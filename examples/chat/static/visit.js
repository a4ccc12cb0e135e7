// The session of a page in a room: its parts, and the messages from the server to each of them.

import { MessageWindow } from "./message-window.js";
import { Messages } from "./messages.js";
import { Outbox } from "./outbox.js";
import { $ } from "./page.js";
import { Past } from "./past.js";
import { showPeople } from "./people.js";
import { Seen } from "./seen.js";
import { openSocket } from "./socket.js";
import { showStatus } from "./status.js";
import { countUnread } from "./title.js";
import { Typing } from "./typing.js";

export class Visit {
  #you;
  #messages = new Messages();
  #window;
  #outbox;
  #past;
  #seen;
  #typing = new Typing();
  #socket;
  #isConnected = false;

  /** `room` has a `slug` and a `name`, `you` have an `id` and a `name`. */
  constructor(room, you) {
    this.#you = you;
    const send = (frame) => this.#isConnected && this.#socket.send(frame);
    const request = (type, params) => (this.#isConnected ? this.#socket.request(type, params) : null);
    const actions = {
      retry: (message) => this.#outbox.retry(message),
      discard: (message) => this.#outbox.discard(message),
    };
    this.#window = new MessageWindow(this.#messages, actions, (isNearOldest) => {
      this.#past.refresh();
      if (isNearOldest) this.#past.load();
      this.#seen.look();
    });
    this.#outbox = new Outbox(you, this.#messages, this.#window, request);
    this.#past = new Past(room, this.#messages, (older) => this.#addOlder(older));
    this.#seen = new Seen(() => (this.#window.isAtEnd ? this.#messages.newest : null), send);
    const socket = openSocket(`/ws/rooms/${encodeURIComponent(room.slug)}`, (state) => this.#showState(state));
    socket.on("welcome", (page) => this.#welcome(page));
    socket.on("chat.message", (message) => this.#heard(message));
    socket.on("chat.typing", ({ user, name }) => user === you.id || this.#typing.heard(user, name));
    socket.presence(`chat.${room.slug}`).onChange((_, people) => showPeople(people, you.id));
    this.#socket = socket;
  }

  say(text) {
    this.#outbox.say(text);
  }

  typing() {
    if (this.#isConnected) this.#socket.send({ type: "typing" });
  }

  hurry() {
    this.#socket.open();
  }

  #welcome({ messages, more, reset }) {
    this.#show({ name: "open" });
    if (this.#messages.newest === null || reset) this.#past.more = more;
    this.#window.changeSilently(() => {
      if (reset) this.#startAnew();
      for (const message of messages) this.#add(message);
    });
    this.#past.recover();
    this.#seen.reconnected();
    this.#outbox.recover();
  }

  #heard(message) {
    this.#typing.stopped(message.user);
    if (message.user !== this.#you.id && this.#messages.withId(message.id) === undefined) countUnread();
    this.#window.change(() => this.#add(message));
  }

  /** Adds a message that the room sent; known ones are only updated. */
  #add({ id, key, user, from, text, at }) {
    this.#messages.newest = Math.max(this.#messages.newest ?? 0, id);
    const mine = user === this.#you.id;
    const known = this.#messages.withId(id) ?? (mine ? this.#messages.withKey(key) : undefined);
    if (known?.state === "sent") return;
    if (known) return this.#window.changed(known, ...this.#messages.change(known, { id, at, state: "sent" }));
    this.#window.inserted(this.#messages.add({ id, key, user, from, text, at, mine, state: "sent" }));
    const forgotten = this.#window.isAtEnd ? this.#messages.trim() : 0;
    if (forgotten === 0) return;
    this.#window.shifted(-forgotten);
    this.#past.more = true;
  }

  #addOlder(older) {
    const unknown = older.filter(({ id }) => this.#messages.withId(id) === undefined);
    const values = unknown.map((message) => ({ ...message, mine: message.user === this.#you.id, state: "sent" }));
    // Before the WebSocket's first message these are the newest.
    this.#messages.newest ??= older.at(-1)?.id ?? null;
    this.#window.changeSilently(() => {
      this.#messages.addOlder(values);
      this.#window.shifted(values.length);
    });
  }

  /** Starts again after missing too many messages: only those that the server lacks are kept. */
  #startAnew() {
    const kept = this.#messages.unsettled().filter(({ id }) => id === null);
    this.#messages.clear();
    for (const message of kept) this.#messages.add(message);
    this.#window.reset();
  }

  /** A connection is ready once the server has sent the messages after the page's newest. */
  #showState(state) {
    if (state.name === "open") return this.#socket.send({ type: "enter", since: this.#messages.newest });
    this.#show(state);
    if (state.name === "connecting") return;
    this.#typing.clear();
    this.#outbox.lost();
    if (state.name === "waiting") this.#past.loadNewest();
  }

  #show(state) {
    this.#isConnected = state.name === "open";
    showStatus(state);
    $("deck").classList.toggle("adrift", !this.#isConnected);
  }
}

// One visit to one room: what is said, what is heard, and how the connection fares.

import { ANSWER_LIMIT_MS, Connection } from "/connection.js";
import { MessageList } from "/messages.js";
import { $, announce } from "/page.js";
import { People } from "/people.js";
import { countUnread } from "/title.js";

export class Visit {
  #connection;
  #messages = new MessageList((message) => this.#say(message.key, message.text));
  #people = new People();
  #countdown = 0;
  #wasLost = false;

  constructor(name, room) {
    this.name = name;
    this.room = room;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const path = `/ws/chat/${encodeURIComponent(room)}?name=${encodeURIComponent(name)}`;
    this.#connection = new Connection(`${scheme}://${location.host}${path}`, {
      onState: (state, wait) => this.#showState(state, wait),
      onFrame: (frame) => this.#hear(frame),
    });
  }

  say(text) {
    this.#say(crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, text);
  }

  hurry() {
    this.#connection.hurry();
  }

  toEnd() {
    this.#messages.toEnd();
  }

  end() {
    clearInterval(this.#countdown);
    this.#connection.close();
  }

  #say(key, text) {
    const message = this.#messages.addMine(key, this.name, text);
    if (!this.#connection.send({ type: "say", key, text })) {
      this.#messages.fail("there is no connection just now.", key);
      return;
    }
    setTimeout(() => {
      if (message.state === "pending") this.#messages.fail("the server did not answer.", key);
    }, ANSWER_LIMIT_MS);
  }

  #hear(frame) {
    switch (frame.type) {
      case "welcome":
        this.#people.reset();
        this.#people.arrive(frame.you, this.name, true);
        this.#messages.addPast(frame.past);
        return;
      case "chat.message":
        this.#messages.add(frame);
        countUnread();
        return;
      case "chat.joined":
      case "chat.here":
        return this.#people.arrive(frame.id, frame.name);
      case "chat.left":
        return this.#people.leave(frame.id);
      case "refused":
        return this.#messages.fail(sentence(frame.reason), frame.key);
    }
  }

  #showState(state, wait) {
    clearInterval(this.#countdown);
    const hadFocus = document.activeElement === $("reconnect");
    $("status").dataset.state = state;
    $("deck").classList.toggle("adrift", state !== "connected");
    $("reconnect").hidden = state !== "waiting";
    if (hadFocus && state !== "waiting") $("composer").focus();

    if (state === "connecting") $("status-text").textContent = "Connecting…";
    if (state === "connected") {
      $("status-text").textContent = "Connected";
      if (this.#wasLost) announce("Connected again.");
      this.#wasLost = false;
    }
    if (state === "waiting") {
      this.#countDown(Date.now() + wait);
      if (!this.#wasLost) announce("The connection is lost. Reconnecting.");
      this.#wasLost = true;
      this.#messages.fail("the connection was lost.");
    }
  }

  #countDown(until) {
    const show = () => {
      const seconds = Math.max(1, Math.ceil((until - Date.now()) / 1000));
      $("status-text").textContent = `Reconnecting in ${seconds} s…`;
    };
    show();
    this.#countdown = setInterval(show, 500);
  }
}

function sentence(words) {
  return /[.!?…]$/.test(words) ? words : `${words}.`;
}

// The history: older messages are fetched when the reader comes near the oldest that is loaded.

import { $, announce, isolated } from "./page.js";
import { goToLogin, isRedirect } from "./session.js";

export class Past {
  #room;
  #messages;
  #onOlder;
  #state = "idle";
  // Whether the server has older ones; unknown before its first message.
  #more = null;

  constructor(room, messages, onOlder) {
    this.#room = room;
    this.#messages = messages;
    this.#onOlder = onOlder;
    $("past-retry").onclick = () => (messages.newest === null ? this.loadNewest() : this.#fetch());
  }

  /** Sets whether the server has more messages than this page. */
  set more(more) {
    this.#more = more;
    this.#show("idle");
  }

  /** Shows the state again after messages were added or removed. */
  refresh() {
    this.#show(this.#state);
  }

  /** Fetches older messages if there are any; after a failure only on request. */
  load() {
    if (this.#more && this.#state === "idle") this.#fetch();
  }

  /** Fetches the newest messages while the WebSocket has sent none yet. */
  loadNewest() {
    if (this.#more === null && this.#state !== "loading") this.#fetch(Number.MAX_SAFE_INTEGER);
  }

  /** Retries a failed fetch after a reconnect. */
  recover() {
    if (this.#state === "failed") this.#fetch();
  }

  async #fetch(before = this.#messages.oldest) {
    if (before === null) return;
    const oldest = this.#messages.oldest;
    this.#show("loading");
    try {
      const url = `/rooms/${encodeURIComponent(this.#room.slug)}/messages?before=${before}`;
      const response = await fetch(url, { redirect: "manual" });
      if (isRedirect(response)) return goToLogin();
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      const { messages, more } = await response.json();
      // The list was reset or trimmed meanwhile: this page is no longer adjacent.
      if (oldest !== this.#messages.oldest) return this.#show("idle");
      this.#more = more;
      this.#show("idle");
      this.#onOlder(messages);
    } catch {
      this.#show("failed");
    }
  }

  #show(state) {
    this.#state = state;
    const begins = state === "idle" && this.#more === false && this.#messages.length > 0;
    const words = {
      idle: begins ? `This is where ${isolated(this.#room.name)} begins.` : "",
      loading: "Loading older messages…",
      failed: "Older messages could not be loaded.",
    };
    $("quiet").hidden = this.#more !== false || this.#messages.length > 0;
    if (words[state] === $("past-text").textContent) return;
    $("past").dataset.state = begins ? "beginning" : state;
    $("past-text").textContent = words[state];
    $("past-retry").hidden = state !== "failed";
    if (state === "failed") announce(words.failed);
  }
}

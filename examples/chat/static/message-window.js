// The scroll position: what the reader looks at does not move when messages are added or removed.

import { DrawnMessages } from "./drawn-messages.js";
import { $ } from "./page.js";

// Draw, or fetch, further messages when the reader is this close to the edge.
const NEAR_PX = 800;
const AT_END_PX = 60;
// A screen reader announces new messages, but must not announce those that are only drawn again.
const SILENCE_MS = 300;

export class MessageWindow {
  #messages;
  #drawn;
  #onMove;
  #log = $("log");
  #missed = 0;
  #silence = 0;
  #size = "";
  isAtEnd = true;

  /** `onMove` is called on each scroll, with whether the oldest message here is near. */
  constructor(messages, actions, onMove) {
    this.#messages = messages;
    this.#drawn = new DrawnMessages(messages, actions);
    this.#onMove = onMove;
    this.#log.onscroll = () => {
      // After a resize the position says nothing about the reader; the observer below keeps the end
      // in view.
      if (this.#size === this.#currentSize) this.#moved();
    };
    $("jump").onclick = () => {
      this.toEnd();
      this.#log.focus();
    };
    // An on-screen keyboard, or a taller composer, must not hide the newest message.
    new ResizeObserver(() => {
      this.#size = this.#currentSize;
      this.#drawn.reachOver(this.#log.clientHeight + 4 * NEAR_PX);
      this.change(() => {});
    }).observe(this.#log);
  }

  /**
   * Applies a change: a reader at the newest message keeps it in view, others keep their position.
   */
  change(act) {
    const held = this.isAtEnd ? null : this.#topmost();
    act();
    if (this.isAtEnd) this.#log.scrollTop = this.#log.scrollHeight;
    else if (held?.item.isConnected) this.#log.scrollTop += held.item.getBoundingClientRect().top - held.top;
    this.#moved();
  }

  /** Does the same without announcements by screen readers. */
  changeSilently(act) {
    clearTimeout(this.#silence);
    this.#log.setAttribute("aria-live", "off");
    this.change(act);
    this.#silence = setTimeout(() => this.#log.setAttribute("aria-live", "polite"), SILENCE_MS);
  }

  /** Notes that a message was inserted at `index`. */
  inserted(index) {
    const isLast = index === this.#messages.length - 1;
    if (isLast && !this.isAtEnd && !this.#messages.at(index).mine) this.#missed++;
    this.#drawn.inserted(index, this.isAtEnd);
  }

  removed(message, index) {
    this.#drawn.removed(message, index);
  }

  /** Notes that a message has changed, and perhaps moved. */
  changed(message, before, after) {
    if (before === after) return this.#drawn.changed(message, after);
    this.#drawn.removed(message, before);
    this.#drawn.inserted(after, this.isAtEnd);
  }

  /** Notes that older messages were prepended, or, if negative, that the oldest were dropped. */
  shifted(count) {
    this.#drawn.shifted(count);
  }

  /** Starts again at the newest message. */
  reset() {
    this.isAtEnd = true;
    this.#drawn.reset();
  }

  toEnd() {
    this.isAtEnd = true;
    this.changeSilently(() => this.#drawn.hasNewest || this.#drawn.reset());
  }

  get #currentSize() {
    const { clientWidth, clientHeight } = this.#log;
    return `${clientWidth}×${clientHeight}`;
  }

  #moved() {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    const below = scrollHeight - scrollTop - clientHeight;
    const { hasNewest, hasOldest } = this.#drawn;
    this.isAtEnd = hasNewest && below < AT_END_PX;
    if (this.isAtEnd) this.#missed = 0;
    this.#showJump(!hasNewest || below > clientHeight);
    if (scrollTop < NEAR_PX && !hasOldest) this.changeSilently(() => this.#drawn.drawOlder());
    else if (below < NEAR_PX && !hasNewest) this.changeSilently(() => this.#drawn.drawNewer());
    else this.#onMove(scrollTop < NEAR_PX);
  }

  #showJump(isFar) {
    const words = this.#missed === 1 ? "1 new message" : `${this.#missed} new messages`;
    $("jump-text").textContent = this.#missed > 0 ? words : "Newest messages";
    $("jump").hidden = this.#missed === 0 && !isFar;
  }

  /** Returns the item at the top of the view, and its position. */
  #topmost() {
    const edge = this.#log.getBoundingClientRect().top;
    for (const item of $("messages").children) {
      const { top, bottom } = item.getBoundingClientRect();
      if (bottom > edge) return { item, top };
    }
    return null;
  }
}

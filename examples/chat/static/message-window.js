// Where the reader is among the messages: what they look at stays in its place, whatever comes and goes around it.

import { DrawnMessages } from "./drawn-messages.js";
import { $ } from "./page.js";

// Draw, or fetch, what comes next when the reader is this close to the edge.
const NEAR_PX = 800;
const AT_END_PX = 60;
// A screen reader reads out what is new, and must not read what was only drawn again.
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

  /** `onMove` hears of each move of the reader, and whether the oldest message here is near. */
  constructor(messages, actions, onMove) {
    this.#messages = messages;
    this.#drawn = new DrawnMessages(messages, actions);
    this.#onMove = onMove;
    this.#log.onscroll = () => {
      // Where it lies in a new size says nothing of its reader; who was at the end is kept there below.
      if (this.#size === this.#currentSize) this.#moved();
    };
    $("jump").onclick = () => {
      this.toEnd();
      this.#log.focus();
    };
    // A keyboard that slides in, or a taller composer, must not hide the newest message.
    new ResizeObserver(() => {
      this.#size = this.#currentSize;
      this.#drawn.reachOver(this.#log.clientHeight + 4 * NEAR_PX);
      this.change(() => {});
    }).observe(this.#log);
  }

  /** Change something; who reads the newest message keeps it in view, who has scrolled up keeps their place. */
  change(act) {
    const held = this.isAtEnd ? null : this.#topmost();
    act();
    if (this.isAtEnd) this.#log.scrollTop = this.#log.scrollHeight;
    else if (held?.item.isConnected) this.#log.scrollTop += held.item.getBoundingClientRect().top - held.top;
    this.#moved();
  }

  /** The same, unheard. */
  changeSilently(act) {
    clearTimeout(this.#silence);
    this.#log.setAttribute("aria-live", "off");
    this.change(act);
    this.#silence = setTimeout(() => this.#log.setAttribute("aria-live", "polite"), SILENCE_MS);
  }

  /** A message has been put at `index`. */
  inserted(index) {
    const isLast = index === this.#messages.length - 1;
    if (isLast && !this.isAtEnd && !this.#messages.at(index).mine) this.#missed++;
    this.#drawn.inserted(index, this.isAtEnd);
  }

  removed(message, index) {
    this.#drawn.removed(message, index);
  }

  /** Something became of a message; it may stand elsewhere now. */
  changed(message, before, after) {
    if (before === after) return this.#drawn.changed(message, after);
    this.#drawn.removed(message, before);
    this.#drawn.inserted(after, this.isAtEnd);
  }

  /** Older messages have been put before all others, or, if negative, the oldest are forgotten. */
  shifted(count) {
    this.#drawn.shifted(count);
  }

  /** Start anew at the newest message. */
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

  /** The item at the top of the view, and where it stands. */
  #topmost() {
    const edge = this.#log.getBoundingClientRect().top;
    for (const item of $("messages").children) {
      const { top, bottom } = item.getBoundingClientRect();
      if (bottom > edge) return { item, top };
    }
    return null;
  }
}

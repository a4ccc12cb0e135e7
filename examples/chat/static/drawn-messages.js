// The messages that are in the document: with any scroll position at most DRAWN_MAX, about a
// thousand elements; the others are kept as values.

import { draw, joinHeading, redraw } from "./message-item.js";
import { $ } from "./page.js";

const DRAWN_MAX = 200;
const STEP = 50;
// No message has less height: a view so tall that DRAWN_MAX of them would not fill it gets more.
const LOWEST_PX = 40;

/** A range of the messages, from `#first` to before `#end`, as list items. */
export class DrawnMessages {
  #messages;
  #actions;
  #list = $("messages");
  #items = new Map();
  #first = 0;
  #end = 0;
  #max = DRAWN_MAX;

  constructor(messages, actions) {
    this.#messages = messages;
    this.#actions = actions;
  }

  get hasOldest() {
    return this.#first === 0;
  }

  get hasNewest() {
    return this.#end === this.#messages.length;
  }

  /** Raises the limit to the number of messages that fill this height. */
  reachOver(height) {
    this.#max = Math.max(DRAWN_MAX, Math.ceil(height / LOWEST_PX));
  }

  /** Notes an insertion at `index`; the oldest may be removed if the reader follows the newest. */
  inserted(index, isFollowed) {
    const isNext = index === this.#end && index === this.#messages.length - 1;
    if (index < this.#first) this.#shift(1);
    else if (index < this.#end || (isNext && (isFollowed || this.#surplus < 0))) this.#draw(index);
    this.#joinBoth(index);
    if (isFollowed) this.#dropOldest();
  }

  /** Notes the removal of the message at `index`. */
  removed(message, index) {
    if (index < this.#first) this.#shift(-1);
    else if (index < this.#end) this.#erase(message);
    this.#join(index);
  }

  /** Notes a change of the message at `index`. */
  changed(message, index) {
    if (!this.#items.has(message)) return;
    redraw(this.#items.get(message), message, this.#actions);
    this.#joinBoth(index);
  }

  /** Notes that older messages were prepended, or, if negative, that the oldest were dropped. */
  shifted(count) {
    this.#shift(count);
    this.#join(this.#first);
  }

  /** Starts again at the newest message. */
  reset() {
    this.#items.clear();
    this.#list.replaceChildren();
    this.#first = this.#end = this.#messages.length;
    this.drawOlder();
  }

  drawOlder() {
    const [from, first] = [Math.max(0, this.#first - STEP), this.#first];
    for (let index = first - 1; index >= from; index--) this.#place(index);
    this.#first = from;
    for (let index = from; index <= first; index++) this.#join(index);
    while (this.#surplus > 0) this.#erase(this.#messages.at(this.#end - 1));
  }

  drawNewer() {
    const to = Math.min(this.#messages.length, this.#end + STEP);
    while (this.#end < to) {
      this.#draw(this.#end);
      this.#join(this.#end - 1);
    }
    this.#dropOldest();
  }

  get #surplus() {
    return this.#end - this.#first - this.#max;
  }

  #dropOldest() {
    while (this.#surplus > 0) {
      this.#erase(this.#messages.at(this.#first));
      this.#shift(1);
    }
  }

  #draw(index) {
    this.#end++;
    this.#place(index);
  }

  #place(index) {
    const message = this.#messages.at(index);
    const item = draw(message, this.#actions);
    this.#items.set(message, item);
    this.#list.insertBefore(item, this.#items.get(this.#messages.at(index + 1)) ?? null);
  }

  #erase(message) {
    this.#items.get(message).remove();
    this.#items.delete(message);
    this.#end--;
  }

  #shift(count) {
    this.#first += count;
    this.#end += count;
  }

  /** Redraws the headings around `index`, which depend on the message above. */
  #joinBoth(index) {
    this.#join(index);
    this.#join(index + 1);
  }

  #join(index) {
    const here = this.#messages.at(index);
    const item = here && this.#items.get(here);
    if (item) joinHeading(item, here, this.#messages.at(index - 1));
  }
}

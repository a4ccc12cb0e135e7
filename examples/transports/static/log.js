// The messages of one pane: a list that follows the newest, unless the reader has scrolled up.

import { duration, element } from "./page.js";

const ITEMS_MAX = 100;
// A position closer to the end than this counts as the end.
const NEAR_PX = 24;

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export class Log {
  #list;
  #isFollowed = true;
  #size = "";

  constructor(list) {
    this.#list = list;
    list.onscroll = () => {
      // After a resize the position says nothing about the reader; the observer below follows the
      // end.
      if (this.#size !== sizeOf(list)) return;
      this.#isFollowed = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_PX;
    };
    // A new width changes the line breaks, and so the position of the end.
    new ResizeObserver(() => {
      this.#size = sizeOf(list);
      this.#follow();
    }).observe(list);
  }

  add({ id, text, at }, { delay, isAfterGap }) {
    const list = this.#list;
    const item = element("li", { className: isAfterGap ? "after-gap" : "" }, [
      element("time", { textContent: clockFormat.format(at), dateTime: new Date(at).toISOString() }),
      element("span", { className: "text", dir: "auto", textContent: text }),
      element("span", { className: "delay", textContent: delay === null ? "before" : `+${duration(delay)}` }),
    ]);
    item.dataset.id = id;
    list.append(item);
    while (list.childElementCount > ITEMS_MAX) list.firstElementChild.remove();
    this.#follow();
  }

  #follow() {
    if (this.#isFollowed) this.#list.scrollTop = this.#list.scrollHeight;
  }
}

function sizeOf({ clientWidth, clientHeight }) {
  return `${clientWidth}×${clientHeight}`;
}

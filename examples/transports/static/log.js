// The messages of one pane: a list that follows the newest, unless somebody reads further up.

import { duration, element } from "./page.js";

const ITEMS_MAX = 100;
// Closer to the end than this is at the end.
const NEAR_PX = 24;

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export class Log {
  #list;
  #isFollowed = true;
  #size = "";

  constructor(list) {
    this.#list = list;
    list.onscroll = () => {
      // Where it lies in a new size says nothing of its reader; it is followed below.
      if (this.#size !== sizeOf(list)) return;
      this.#isFollowed = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_PX;
    };
    // In another width the lines break elsewhere, and the end is somewhere else.
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

// The panel of the room: who is here, and the link with which others come.

import { flag } from "/flags.js";
import { $, announce, element } from "/page.js";

/** Who is here: one entry per connection, one line per name. */
export class People {
  #names = new Map();
  #you = null;

  reset() {
    this.#names.clear();
    this.#draw();
  }

  arrive(id, name, isYou = false) {
    this.#names.set(id, name);
    if (isYou) this.#you = name;
    this.#draw();
  }

  leave(id) {
    this.#names.delete(id);
    this.#draw();
  }

  #draw() {
    const counts = new Map();
    for (const name of this.#names.values()) counts.set(name, (counts.get(name) ?? 0) + 1);
    const names = [...counts.keys()].sort((a, b) => (b === this.#you) - (a === this.#you) || a.localeCompare(b));
    $("people").replaceChildren(...names.map((name) => this.#line(name, counts.get(name))));
    $("people-count").textContent = names.length;
  }

  #line(name, count) {
    const item = element("li", {}, [flag(name), element("bdi", { className: "author", textContent: name })]);
    item.dataset.name = name;
    item.dataset.count = count;
    if (name === this.#you) item.append(element("span", { className: "note", textContent: "you" }));
    if (count > 1) item.append(element("span", { className: "note", textContent: `${count} tabs` }));
    return item;
  }
}

/** Make the panel's buttons work; `room` says which room this is. */
export function startPanel(room) {
  $("copy-link").onclick = () => copyLink(room());
  $("people-toggle").onclick = () => {
    showPanel(true);
    $("panel-title").focus();
  };
  $("panel-close").onclick = () => {
    showPanel(false);
    $("people-toggle").focus();
  };
  $("panel").onkeydown = (event) => {
    if (event.key === "Escape") $("panel-close").click();
  };
}

/** Where the window is too narrow for it, the panel opens over the messages. */
export function showPanel(open) {
  $("deck").classList.toggle("panel-open", open);
  $("people-toggle").setAttribute("aria-expanded", String(open));
}

async function copyLink(room) {
  const link = new URL(`/?room=${encodeURIComponent(room)}`, location.href).href;
  try {
    await navigator.clipboard.writeText(link);
    $("copy-link").textContent = "Copied";
    announce("The link is copied.");
  } catch {
    $("copy-link").textContent = "Copy it from the address bar";
  }
  setTimeout(() => ($("copy-link").textContent = "Copy the room’s link"), 3000);
}

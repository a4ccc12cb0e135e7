// The list of people who are here: oneself first, then the others by name.

import { flag } from "./flags.js";
import { $, element } from "./page.js";

// The number of people that the list shows; all are counted.
const SHOWN_MAX = 500;

/** Shows these people: their `key` is a user's id, and their `meta` the name. */
export function showPeople(people, you) {
  const isYou = ({ key }) => Number(key) === you;
  const sorted = [...people].sort((a, b) => isYou(b) - isYou(a) || a.meta.localeCompare(b.meta));
  $("people").replaceChildren(...sorted.slice(0, SHOWN_MAX).map((person) => line(person, isYou(person))));
  $("people-count").textContent = sorted.length;
}

function line({ key, meta: name }, isYou) {
  const item = element("li", {}, [flag(name), element("bdi", { className: "author", textContent: name })]);
  item.dataset.id = key;
  item.dataset.name = name;
  if (isYou) item.append(element("span", { className: "note", textContent: "you" }));
  return item;
}

// The list of people who are here: oneself first, then the others by name.

import { flag } from "./flags.js";
import { $, element } from "./page.js";

export function showPeople(people, you) {
  const sorted = [...people].sort((a, b) => (b.id === you) - (a.id === you) || a.name.localeCompare(b.name));
  $("people").replaceChildren(...sorted.map((person) => line(person, you)));
  $("people-count").textContent = sorted.length;
}

function line({ id, name }, you) {
  const item = element("li", {}, [flag(name), element("bdi", { className: "author", textContent: name })]);
  item.dataset.id = id;
  item.dataset.name = name;
  if (id === you) item.append(element("span", { className: "note", textContent: "you" }));
  return item;
}

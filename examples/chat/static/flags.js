// The flag beside the name of a person or a room.

import { element } from "./page.js";

const CUTS = 10;
const DYES = 6;

export function flag(name) {
  const made = element("span", { className: flagOf(name) });
  made.setAttribute("aria-hidden", "true");
  return made;
}

/**
 * The classes of a name's flag: always the same for a name (FNV-1a, so that similar names differ).
 */
export function flagOf(name) {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193) >>> 0;
  hash = (hash ^ (hash >>> 15)) >>> 0;
  return `flag cut-${hash % CUTS} dye-${Math.floor(hash / CUTS) % DYES}`;
}

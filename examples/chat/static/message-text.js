// The text of a message: plain text with links for web addresses.

import { element } from "./page.js";

const ADDRESS = /https?:\/\/[^\s<>"]+/gi;
// A sentence may end right after a link.
const ENDINGS = ".,;:!?'’”»…*_";

/** Returns the nodes of a text: strings, and links for its http and https URLs. */
export function textNodes(text) {
  const nodes = [];
  let done = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = trimmed(found);
    const made = link(address);
    if (made === null) continue;
    nodes.push(text.slice(done, index), made);
    done = index + address.length;
  }
  nodes.push(text.slice(done));
  return nodes.filter((node) => node !== "");
}

function link(address) {
  if (!URL.canParse(address)) return null;
  const { href, protocol } = new URL(address);
  if (protocol !== "http:" && protocol !== "https:") return null;
  return element("a", { href, textContent: address, target: "_blank", rel: "noopener noreferrer nofollow" });
}

/** Returns a URL without the punctuation, and the closing brackets, of the sentence around it. */
function trimmed(address) {
  const unopened = { ")": surplus(address, ")", "("), "]": surplus(address, "]", "[") };
  let end = address.length;
  for (; ; end -= 1) {
    const last = address[end - 1];
    if (unopened[last] > 0) unopened[last] -= 1;
    else if (!ENDINGS.includes(last)) return address.slice(0, end);
  }
}

function surplus(address, closing, opening) {
  return address.split(closing).length - address.split(opening).length;
}

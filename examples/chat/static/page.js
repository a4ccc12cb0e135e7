// What every part of a page needs: its elements, a voice for who does not see them, and a memory.

export const $ = (id) => document.getElementById(id);

/** What this tab remembers; a person may have forbidden it. */
export const tabMemory = (() => {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
})();

/** An element with properties and children; text only ever enters as text. */
export function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A name inside a sentence, which may be read in the other direction. */
export function isolated(name) {
  return `\u2068${name}\u2069`;
}

/** Have a screen reader say it. */
export function announce(words) {
  $("announcement").textContent = words;
}

// What every part of a page needs: its elements, screen reader announcements, and tab storage.

export const $ = (id) => document.getElementById(id);

/** The session storage of this tab; null if the user has disabled it. */
export const tabMemory = (() => {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
})();

/** Creates an element with properties and children; text is only ever inserted as text. */
export function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Isolates a name inside a sentence, as it may have the other text direction. */
export function isolated(name) {
  return `\u2068${name}\u2069`;
}

/** Makes a screen reader announce a text. */
export function announce(words) {
  $("announcement").textContent = words;
}

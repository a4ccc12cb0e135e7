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

/** Have a screen reader say it. */
export function announce(words) {
  $("announcement").textContent = words;
}

/** Reasons come from the server as clauses; here they end a paragraph. */
export function sentence(words) {
  return /[.!?…]$/.test(words) ? words : `${words}.`;
}

// What every part of the page needs: its elements, a voice for who does not see them, and a memory.

export const $ = (id) => document.getElementById(id);

// What this browser, and what this tab remembers; a person may have forbidden both.
export const [browserMemory, tabMemory] = ["localStorage", "sessionStorage"].map((kind) => {
  try {
    return window[kind];
  } catch {
    return null;
  }
});

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

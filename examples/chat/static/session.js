// The end of a session: back to the log-in page, and from there to where one was.

import { tabMemory } from "./page.js";

// Whoever logs out here is on the way already.
let isLeaving = false;
addEventListener("submit", ({ target }) => {
  isLeaving = target.getAttribute("action") === "/logout";
});

/** Go to the log-in page, and return here after it. */
export function goToLogin() {
  if (isLeaving) return;
  location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
}

/** A socket that was refused does not say why: ask for this very page, which sends strangers to the log-in. */
export async function goToLoginIfLoggedOut() {
  try {
    if (isRedirect(await fetch(location.pathname, { redirect: "manual" }))) goToLogin();
  } catch {
    // The server cannot be reached: that is the connection's own trouble.
  }
}

/** Whether an answer to `redirect: "manual"` leads elsewhere, which is always the log-in page. */
export function isRedirect(response) {
  return response.type === "opaqueredirect";
}

/** Keep what somebody was writing until the same person is back on this page. */
export function keepDraft(user, text) {
  if (text !== "") tabMemory?.setItem("draft", JSON.stringify({ user, path: location.pathname, text }));
}

/** What was kept, once. */
export function takeDraft(user) {
  const draft = JSON.parse(tabMemory?.getItem("draft") ?? "null");
  tabMemory?.removeItem("draft");
  return draft?.user === user && draft.path === location.pathname ? draft.text : "";
}

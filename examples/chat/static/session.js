// The end of a session: redirects to the login page, and from there back.

import { tabMemory } from "./page.js";

// A logout on this page redirects already.
let isLeaving = false;
addEventListener("submit", ({ target }) => {
  isLeaving = target.getAttribute("action") === "/logout";
});

/** Redirects to the login page, and back here after it. */
export function goToLogin() {
  if (isLeaving) return;
  location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
}

/**
 * Requests this page to see why a handshake was refused: without a session it redirects to the
 * login.
 */
export async function goToLoginIfLoggedOut() {
  try {
    if (isRedirect(await fetch(location.pathname, { redirect: "manual" }))) goToLogin();
  } catch {
    // The server is unreachable, which the connection handles.
  }
}

/**
 * Whether a response to `redirect: "manual"` is a redirect, which always leads to the login page.
 */
export function isRedirect(response) {
  return response.type === "opaqueredirect";
}

/** Stores a draft until the same user is back on this page. */
export function keepDraft(user, text) {
  if (text !== "") tabMemory?.setItem("draft", JSON.stringify({ user, path: location.pathname, text }));
}

/** Returns and deletes the draft. */
export function takeDraft(user) {
  const draft = JSON.parse(tabMemory?.getItem("draft") ?? "null");
  tabMemory?.removeItem("draft");
  return draft?.user === user && draft.path === location.pathname ? draft.text : "";
}

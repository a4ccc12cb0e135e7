// The WebSocket of a page: the client of Seaway, with the login and the back/forward cache.

import { connect } from "./seaway.js";
import { goToLogin, goToLoginIfLoggedOut } from "./session.js";

const LOGGED_OUT = 4401;
const BACKOFF_MAX_MS = 15_000;

/** Connects to a path; `onState` gets the state of the client, now and at each change. */
export function openSocket(path, onState) {
  // Both consumers reply to the probe of the heartbeat.
  const socket = connect(path, { backoffCap: BACKOFF_MAX_MS, fallback: false, heartbeat: {} });
  let last = null;
  socket.onState((state) => {
    if (state.name === "closed" && state.close.code === LOGGED_OUT) return goToLogin();
    // A browser does not tell why a handshake failed.
    if (state.name === "waiting" && last === "connecting") goToLoginIfLoggedOut();
    last = state.name;
    onState(state);
  });
  // A page in the back/forward cache keeps no socket: others would see its user as present. It may
  // be restored.
  addEventListener("pagehide", () => socket.close());
  addEventListener("pageshow", () => socket.open());
  return socket;
}

import { LOST, type Close } from "./close.js";
import type { Data, Connection, ConnectionListeners, Target } from "./connection.js";

/** How many bytes the browser may hold for a slow network before messages wait in the queue. */
const BUFFER = 65_536;

/** How often a full buffer is looked at, in milliseconds; browsers have no event for it. */
const LOOK = 50;

/** Opens a WebSocket. A token is sent as the subprotocol after `bearer`. */
export function openWebSocket(target: Target, listeners: ConnectionListeners): Connection {
  const { url, protocols, token } = target;
  const bearer = token === undefined ? [] : ["bearer", token];
  const socket = new WebSocket(url, [...protocols, ...bearer]);
  socket.binaryType = "arraybuffer";
  let timer: ReturnType<typeof setTimeout> | undefined;

  const attach = () => {
    socket.onopen = () => listeners.opened();
    socket.onmessage = (event: MessageEvent) => listeners.received(event.data);
    socket.onclose = close;
    // In browsers it is closed by now, and `onclose` follows. Node.js 20 leaves one that cannot connect
    // as it is, and calls nothing else.
    socket.onerror = () => socket.readyState === 0 && close({ code: LOST, reason: "" });
  };
  const detach = () => {
    socket.onopen = socket.onmessage = socket.onclose = null;
    // The package `ws` throws an error that has no handler.
    socket.onerror = () => {};
  };
  const look = () => {
    timer = undefined;
    listeners.drained();
  };
  const close = ({ code, reason }: Close) => {
    clearTimeout(timer);
    detach();
    listeners.closed({ code: code || LOST, reason });
  };
  attach();

  return {
    transport: "websocket",
    hasRoom() {
      // Once the server has begun to close it, a message waits for the next connection.
      if (socket.readyState !== 1) return false;
      const hasRoom = socket.bufferedAmount < BUFFER;
      if (!hasRoom) timer ??= setTimeout(look, LOOK);
      return hasRoom;
    },
    send: (data: Data) => socket.send(data as string),
    end(code = 1000, reason = "") {
      // First, since Node.js calls `onerror` within `close` while it connects.
      detach();
      try {
        socket.close(code, reason);
      } catch (error) {
        // The browser does not allow the code or the reason: the socket stays open.
        attach();
        throw error;
      }
      clearTimeout(timer);
    },
  };
}

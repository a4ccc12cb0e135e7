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

  const detach = () => {
    clearTimeout(timer);
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
  };
  const look = () => {
    timer = undefined;
    listeners.drained();
  };
  socket.onopen = () => listeners.opened();
  socket.onmessage = (event: MessageEvent) => listeners.received(event.data);
  const close = ({ code, reason }: Close) => {
    detach();
    listeners.closed({ code: code || LOST, reason });
  };
  socket.onclose = close;
  // In browsers it is closed by now, and `onclose` follows. Node.js 20 leaves one that cannot connect
  // as it is, and calls nothing else.
  socket.onerror = () => socket.readyState === 0 && close({ code: LOST, reason: "" });

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
      // First, since a socket whose browser throws stays open.
      socket.close(code, reason);
      detach();
    },
  };
}

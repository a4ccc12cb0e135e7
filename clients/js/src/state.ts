import type { Close } from "./close.js";
import type { Transport } from "./connection.js";

/** The state of a socket. */
export type State =
  /** An attempt is under way. */
  | { readonly name: "connecting" }
  /** Messages can be sent and received. */
  | { readonly name: "open"; readonly transport: Transport }
  /** The connection was lost, or did not open; `until` is the time of the next attempt (ms since 1970). */
  | { readonly name: "waiting"; readonly until: number; readonly close: Close }
  /** No further attempt is made: by the server's decision, or by `close`. */
  | { readonly name: "closed"; readonly close: Close };

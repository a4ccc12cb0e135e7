/**
 * The browser client of Seaway: a WebSocket that reconnects by itself, with requests, topics and
 * presence.
 *
 * @module
 */
import type { Options } from "./options.js";
import type { AnySchema, Schema } from "./schema.js";
import { Socket } from "./socket.js";
export type { Close } from "./close.js";
export type { Data, Transport } from "./connection.js";
export type { Stop } from "./listeners.js";
export type { Options } from "./options.js";
export type { Presence, PresenceChange, Present } from "./presence.js";
export { RequestError, type RequestFailure } from "./requests.js";
export type { AnySchema, EventOf, ParamsOf, RequestName, RequestPart, Schema } from "./schema.js";
export type { Socket } from "./socket.js";
export type { State } from "./state.js";
export type { Position, Recovered, Topic } from "./topic.js";
/**
 * Connects to a consumer.
 *
 * ```ts
 * const socket = connect<Auction>("/ws/lots/7");
 * socket.on("lot.raised", (lot) => show(lot.cents));
 * const lot = await socket.request("bid", { cents: 995 });
 * ```
 */
export declare function connect<S extends Schema = AnySchema>(url: string | URL, options?: Options): Socket<S>;

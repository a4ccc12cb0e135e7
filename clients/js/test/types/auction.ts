// The types that `cargo xtask types` writes from examples/auction fit the client.

import type { Auction, Lot } from "../../../../examples/auction/static/auction.ts";
import { connect } from "../../build/index.js";

const socket = connect<Auction>("/ws");

socket.on("lot.raised", ({ cents, bidder }) => [cents.toFixed(), bidder?.length]);
// @ts-expect-error: there is no such event
socket.on("lot.razed", () => {});

const watched: Promise<[Lot, number]> = socket.request("watch", { lot: 7 });
void socket.request("watch", { lot: 7, since: socket.topic("lot.7").position });
const raised: Promise<Lot> = socket.request("bid", { lot: 7, cents: 995 });
// @ts-expect-error: the cents are missing
void socket.request("bid", { lot: 7 });
// @ts-expect-error: every message of this consumer is a request
socket.send({ type: "bid", lot: 7, cents: 995 });
void [watched, raised];

// Written by a test from the program's sources: see seaway::typescript.

export type Lot = { id: number, title: string, 
/**
 * The highest bid; 0 if there is none.
 */
cents: number, bidder: string | null, 
/**
 * Seconds since 1970.
 */
ends_at: number, is_ended: boolean, };

export type Position = { offset: number, epoch: string, };

export type Refusal = "no_such_lot" | "ended" | { "too_low": { cents: number, } } | "too_high";

/** What the consumer sends and takes. */
export interface Auction {
  events: { "type": "lot.opened" } & Lot | { "type": "lot.raised" } & Lot | { "type": "lot.ended" } & Lot;
  messages: never;
  requests: {
    watch: { params: { lot: number, since?: Position | null, }; ok: [Lot, number]; error: Refusal };
    bid: { params: { lot: number, cents: number, }; ok: Lot; error: Refusal };
  };
}

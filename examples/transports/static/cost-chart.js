// The chart of costs: request heads and payload of the last two minutes, as bytes per minute, in
// bars of ten seconds.

import { drawing, whole } from "./page.js";

const SLOT_MS = 10_000;
const SLOTS = 12;
const PER_MINUTE = 60_000 / SLOT_MS;
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [320, 112, 50, 312, 8, 92];

export class CostChart {
  // The newest is last; each has its number since 1970, so that the bars of all panes cover the
  // same ten seconds.
  #slots = [];
  #marks = drawing("g");
  #svg;

  constructor(figure) {
    this.#svg = drawing("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" }, [
      this.#marks,
      drawing("text", { x: LEFT, y: HEIGHT - 5 }, ["2 minutes ago"]),
      drawing("text", { x: RIGHT, y: HEIGHT - 5, "text-anchor": "end" }, ["now"]),
    ]);
    figure.append(this.#svg);
  }

  add(heads, payload, now = Date.now()) {
    const number = Math.floor(now / SLOT_MS);
    if (this.#slots.at(-1)?.number !== number) this.#slots.push({ number, heads: 0, payload: 0 });
    if (this.#slots.length > SLOTS) this.#slots.shift();
    this.#slots.at(-1).heads += heads * PER_MINUTE;
    this.#slots.at(-1).payload += payload * PER_MINUTE;
  }

  /** Returns the highest bar, in bytes per minute. */
  highest(now = Date.now()) {
    return Math.max(0, ...this.#shown(now).map(({ heads, payload }) => heads + payload));
  }

  /** Draws with `top` as the end of the scale, which is the same for all panes. */
  draw(top, now = Date.now()) {
    const last = Math.floor(now / SLOT_MS);
    const scale = (bytes) => (bytes / top) * (BOTTOM - TOP);
    const step = (RIGHT - LEFT) / SLOTS;
    const bars = this.#shown(now).flatMap(({ number, heads, payload }) => {
      // The last ten seconds are not over yet.
      const state = number === last ? " filling" : "";
      const [x, width] = [RIGHT - (last - number + 1) * step + 1.5, step - 3];
      return [
        drawing("rect", { class: `payload${state}`, x, width, y: BOTTOM - scale(payload), height: scale(payload) }),
        drawing("rect", { class: `heads${state}`, x, width, y: BOTTOM - scale(heads + payload), height: scale(heads) }),
      ];
    });
    const grid = [0, top / 2, top].flatMap((bytes) => {
      const y = BOTTOM - scale(bytes);
      return [
        drawing("line", { class: "grid", x1: LEFT, x2: RIGHT, y1: y, y2: y }),
        drawing("text", { x: LEFT - 6, y: y + 3.5, "text-anchor": "end" }, [whole(bytes)]),
      ];
    });
    this.#marks.replaceChildren(...grid, ...bars);
    this.#svg.setAttribute("aria-label", this.#words(now));
  }

  #words(now) {
    const whole10s = this.#shown(now).filter(({ number }) => number < Math.floor(now / SLOT_MS)).at(-1);
    if (!whole10s) return "Bytes per minute: no data yet";
    return `Bytes per minute: ${whole(whole10s.heads)} of request heads, ${whole(whole10s.payload)} of payload`;
  }

  #shown(now) {
    return this.#slots.filter(({ number }) => number > Math.floor(now / SLOT_MS) - SLOTS);
  }
}

/** Returns the end of a scale that includes `highest`: 1, 2 or 5 times a power of ten. */
export function topFor(highest) {
  const power = 10 ** Math.floor(Math.log10(Math.max(100, highest)));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= highest);
}

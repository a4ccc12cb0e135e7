// The chart of delays: a dot for each of the last messages. Its scale is fixed, so the four panes
// compare at a glance.

import { drawing, duration } from "./page.js";

const POINTS_MAX = 60;
// From one millisecond to a hundred seconds; other values are drawn at the edge.
const STEPS = ["≤1 ms", "10 ms", "100 ms", "1 s", "10 s", "≥100 s"];
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [320, 136, 50, 312, 8, 116];

export class DelayChart {
  #points = [];
  #marks = drawing("g");
  #svg;

  constructor(figure) {
    this.#svg = drawing("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" }, [...axes(), this.#marks]);
    figure.append(this.#svg);
    this.draw();
  }

  /** The median delay of the live messages, in milliseconds; null without any. */
  get median() {
    const sorted = this.#points.filter(({ isLate }) => !isLate).map(({ delay }) => delay);
    sorted.sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? null;
  }

  add(delay, isLate) {
    this.#points.push({ delay, isLate });
    if (this.#points.length > POINTS_MAX) this.#points.shift();
  }

  draw() {
    const median = this.median;
    const line = median === null ? [] : [across(heightOf(median), "median")];
    const missing = POINTS_MAX - this.#points.length;
    const dots = this.#points.map(({ delay, isLate }, index) =>
      drawing("circle", {
        class: isLate ? "dot late" : "dot",
        cx: LEFT + ((missing + index + 0.5) / POINTS_MAX) * (RIGHT - LEFT),
        cy: heightOf(delay),
        r: 2.4,
      }),
    );
    this.#marks.replaceChildren(...line, ...dots);
    this.#svg.setAttribute("aria-label", this.#words(median));
  }

  #words(median) {
    if (this.#points.length === 0) return "Delays: no message yet";
    const longest = Math.max(...this.#points.map(({ delay }) => delay));
    const typical = median === null ? "" : `median ${duration(median)}, `;
    return `Delays of the last ${this.#points.length} messages: ${typical}longest ${duration(longest)}`;
  }
}

/** The height on a logarithmic scale, as delays range from a millisecond to many seconds. */
function heightOf(delay) {
  const decades = Math.min(STEPS.length - 1, Math.log10(Math.max(1, delay)));
  return BOTTOM - (decades / (STEPS.length - 1)) * (BOTTOM - TOP);
}

function axes() {
  const steps = STEPS.flatMap((step, decade) => {
    const y = heightOf(10 ** decade);
    return [across(y, "grid"), drawing("text", { x: LEFT - 6, y: y + 3.5, "text-anchor": "end" }, [step])];
  });
  return [
    ...steps,
    drawing("text", { x: LEFT, y: HEIGHT - 5 }, ["← older messages"]),
    drawing("text", { x: RIGHT, y: HEIGHT - 5, "text-anchor": "end" }, ["newest"]),
  ];
}

function across(y, name) {
  return drawing("line", { class: name, x1: LEFT, x2: RIGHT, y1: y, y2: y });
}

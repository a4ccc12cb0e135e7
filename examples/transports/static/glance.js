// The summary table for narrow screens, where the panes are below each other.

import { $, duration, element, whole } from "./page.js";

export class Glance {
  #rows;

  constructor(panes) {
    this.#rows = panes.map(({ id, pane }) => {
      const cells = ["latency", "requests", "cost"].map(() => element("td"));
      const link = element("a", { href: `#${id}`, textContent: pane.name });
      $("glance").tBodies[0].append(element("tr", {}, [element("th", { scope: "row" }, [link]), ...cells]));
      return { pane, cells };
    });
  }

  draw() {
    for (const { pane, cells } of this.#rows) {
      const { latency, requests, cost } = pane.numbers();
      cells[0].textContent = latency === null ? "–" : duration(latency);
      cells[1].textContent = whole(requests);
      cells[2].textContent = cost === null ? "–" : whole(cost);
    }
  }
}

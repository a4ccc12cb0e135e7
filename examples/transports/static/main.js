// The page: four panes, each with its own transport, drawn on one scale.

import { startComposer } from "./composer.js";
import { topFor } from "./cost-chart.js";
import { Glance } from "./glance.js";
import { LongPolling } from "./long-polling.js";
import { $ } from "./page.js";
import { Pane } from "./pane.js";
import { Polling } from "./polling.js";
import { ServerSentEvents } from "./server-sent-events.js";
import { WebSocketTransport } from "./web-socket.js";

const DRAW_INTERVAL_MS = 250;

const intervalMs = () => Number($("interval").value) * 1000;

const transports = {
  poll: (feed) => new Polling(feed, intervalMs),
  wait: (feed) => new LongPolling(feed),
  sse: (feed) => new ServerSentEvents(feed),
  ws: (feed) => new WebSocketTransport(feed),
};

const panes = Object.entries(transports).map(([id, connect]) => ({ id, pane: new Pane($(id), connect) }));
const glance = new Glance(panes);

function draw() {
  const top = topFor(Math.max(...panes.map(({ pane }) => pane.costs.highest())));
  for (const { pane } of panes) pane.draw(top);
  glance.draw();
}

const hurry = () => panes.forEach(({ pane }) => pane.hurry());

$("interval").onchange = () => panes.find(({ id }) => id === "poll").pane.hurry();
addEventListener("online", hurry);
document.addEventListener("visibilitychange", () => document.hidden || hurry());
// The browser may keep the page in its back/forward cache; until it is shown again it has no
// connection.
addEventListener("pagehide", () => panes.forEach(({ pane }) => pane.leave()));
addEventListener("pageshow", ({ persisted }) => persisted && panes.forEach(({ pane }) => pane.comeBack()));

startComposer();
draw();
setInterval(draw, DRAW_INTERVAL_MS);

// The entry point of a room's page.

import { startComposer } from "./composer.js";
import { startElsewhere } from "./elsewhere.js";
import { nameDay } from "./message-item.js";
import { $ } from "./page.js";
import { startPanel } from "./panel.js";
import { startStatus } from "./status.js";
import { showUnread } from "./title.js";
import { Visit } from "./visit.js";

const DAYS_INTERVAL_MS = 60_000;

const { slug, room, userId, userName } = $("deck").dataset;
const you = { id: Number(userId), name: userName };

const visit = new Visit({ slug, name: room }, you);
startComposer(you.id, { say: (text) => visit.say(text), typing: () => visit.typing() });
startStatus(() => visit.hurry(), $("composer"));
startPanel();
startElsewhere(slug, you.id);
document.addEventListener("visibilitychange", () => document.hidden || showUnread(0));
setInterval(() => document.querySelectorAll("#messages .new-day").forEach(nameDay), DAYS_INTERVAL_MS);

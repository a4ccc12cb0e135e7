// The page of the chat: choose a room, talk in it, leave it. Everything starts here.

import { startComposer } from "/composer.js";
import { startJoin } from "/join.js";
import { $, browserMemory, tabMemory } from "/page.js";
import { showPanel, startPanel } from "/people.js";
import { clearUnread, showRoom } from "/title.js";
import { Visit } from "/visit.js";

let visit = null;

function enter(name, room) {
  browserMemory?.setItem("name", name);
  tabMemory?.setItem("joined", JSON.stringify({ name, room }));
  history.replaceState(null, "", `/?room=${encodeURIComponent(room)}`);
  $("room-name").textContent = room;
  $("pier").hidden = true;
  $("deck").hidden = false;
  visit = new Visit(name, room);
  showRoom(room);
  $("composer").focus();
}

function leave() {
  visit.end();
  visit = null;
  tabMemory?.removeItem("joined");
  showPanel(false);
  $("deck").hidden = true;
  $("pier").hidden = false;
  showRoom(null);
  $("room").focus();
}

function start() {
  startJoin(enter);
  startComposer((text) => visit.say(text));
  startPanel(() => visit.room);
  $("leave").onclick = leave;
  $("reconnect").onclick = () => visit.hurry();
  $("jump").onclick = () => visit.toEnd();
  addEventListener("online", () => visit?.hurry());
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    clearUnread();
    visit?.hurry();
  });

  const asked = new URLSearchParams(location.search).get("room") ?? "lobby";
  const joined = JSON.parse(tabMemory?.getItem("joined") ?? "null");
  $("name").value = browserMemory?.getItem("name") ?? "";
  $("room").value = asked;
  if (joined?.room === asked) return enter(joined.name, joined.room);
  $($("name").value === "" ? "name" : "room").focus();
}

start();

// The panel beside the room. In a narrow window it is a drawer over the messages.

import { $, announce } from "./page.js";

export function startPanel() {
  $("people-toggle").onclick = () => {
    if (isOpen()) return close();
    show(true);
    $("panel-title").focus();
  };
  $("panel-close").onclick = close;
  $("panel").onkeydown = (event) => {
    if (event.key === "Escape" && isOpen()) close();
  };
  // A click outside closes the panel.
  document.addEventListener("pointerdown", ({ target }) => {
    if (isOpen() && !$("panel").contains(target) && !$("people-toggle").contains(target)) show(false);
  });
  document.addEventListener("focusin", ({ target }) => {
    if (isOpen() && !$("panel").contains(target)) show(false);
  });
  $("copy-link").onclick = copyLink;
}

const isOpen = () => $("people-toggle").getAttribute("aria-expanded") === "true";

function close() {
  show(false);
  $("people-toggle").focus();
}

function show(open) {
  $("deck").classList.toggle("panel-open", open);
  $("people-toggle").setAttribute("aria-expanded", String(open));
}

async function copyLink() {
  const words = $("copy-link").textContent;
  try {
    await navigator.clipboard.writeText(location.origin + location.pathname);
    $("copy-link").textContent = "Copied";
    announce("The link is copied.");
  } catch {
    $("copy-link").textContent = "Copy it from the address bar";
  }
  $("copy-link").disabled = true;
  setTimeout(() => {
    $("copy-link").textContent = words;
    $("copy-link").disabled = false;
  }, 3_000);
}

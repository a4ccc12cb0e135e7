// The way in: the form that asks for a name and a room.

import { $ } from "/page.js";

const NAME_MAX = 30;

/** Make the form work; `enter` gets a good name and a good room. */
export function startJoin(enter) {
  $("join-form").onsubmit = (event) => submit(event, enter);
}

function submit(event, enter) {
  event.preventDefault();
  const [name, room] = [$("name").value.trim(), $("room").value.trim()];
  const badName = showProblem($("name"), nameProblem(name));
  const badRoom = showProblem($("room"), roomProblem(room));
  if (badName || badRoom) return (badName ? $("name") : $("room")).focus();
  enter(name, room);
}

function nameProblem(name) {
  if (name === "") return "Please tell the others who you are.";
  if ([...name].length > NAME_MAX) return `A name has at most ${NAME_MAX} characters.`;
  return /\p{Cc}/u.test(name) ? "A name is one line of text." : "";
}

function roomProblem(room) {
  if (room === "") return "Please name a room.";
  return /^[A-Za-z0-9\-_.]{1,40}$/.test(room)
    ? ""
    : "1 to 40 letters (A to Z), digits, dashes, dots or underscores.";
}

function showProblem(input, problem) {
  $(`${input.id}-problem`).textContent = problem;
  input.setAttribute("aria-invalid", problem === "" ? "false" : "true");
  return problem !== "";
}

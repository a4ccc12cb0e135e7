// Forms: each field says what is wrong with it before the server has to, and the first wrong one gets the focus.

import { $ } from "./page.js";

/** Let a form go only when all is well; `fields` are pairs of an input and a rule that gives its problem, or "". */
export function checkForm(form, fields) {
  // The browser's own bubbles are for those without scripts.
  form.noValidate = true;
  form.addEventListener("submit", (event) => {
    // What the server said was about what was sent before.
    $("problem")?.remove();
    const wrong = fields.filter(([input, problemOf]) => showProblem(input, problemOf(input.value)));
    if (wrong.length === 0) return;
    event.preventDefault();
    wrong[0][0].focus();
  });
}

/** What is wrong with the name of a person or of a room, once the server has trimmed it. */
export function nameProblem(name, max, missing) {
  if (name.trim() === "") return missing;
  if ([...name.trim()].length > max) return `A name has at most ${max} characters.`;
  return /\p{Cc}/u.test(name.trim()) ? "A name is one line of text." : "";
}

function showProblem(input, problem) {
  $(`${input.id}-problem`).textContent = problem;
  input.setAttribute("aria-invalid", String(problem !== ""));
  return problem !== "";
}

// Forms: each field is validated before it is sent, and the first invalid one gets the focus.

import { $ } from "./page.js";

/**
 * Submits a form only if it is valid; `fields` are pairs of an input and a rule that returns its
 * problem, or "".
 */
export function checkForm(form, fields) {
  // The browser's own validation is for users without scripts.
  form.noValidate = true;
  form.addEventListener("submit", (event) => {
    // The server's message was about the previous submission.
    $("problem")?.remove();
    const wrong = fields.filter(([input, problemOf]) => showProblem(input, problemOf(input.value)));
    if (wrong.length === 0) return;
    event.preventDefault();
    wrong[0][0].focus();
  });
}

/** Returns the problem of a user's or room's name, as the server trims it. */
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

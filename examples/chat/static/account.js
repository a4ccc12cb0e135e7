// The sign-up and login forms.

import { checkForm, nameProblem } from "./form.js";
import { $ } from "./page.js";

const NAME_MAX = 30;
const PASSWORD_MIN = 8;
const PASSWORD_MAX = 200;

const isNew = $("password").autocomplete === "new-password";

function passwordProblem(password) {
  if (password === "") return isNew ? "Please choose a password." : "Please enter your password.";
  // The rules for passwords apply on sign-up only.
  if (!isNew) return "";
  const length = [...password].length;
  if (length < PASSWORD_MIN) return `A password has at least ${PASSWORD_MIN} characters.`;
  return length > PASSWORD_MAX ? `A password has at most ${PASSWORD_MAX} characters.` : "";
}

checkForm($("account-form"), [
  [$("name"), (name) => nameProblem(name, NAME_MAX, "Please tell us your name.")],
  [$("password"), passwordProblem],
]);

// Before the first trial: declining to take part, and questions about the instructions.
import { byId, fill, make } from "./elements.js";

const decline = make("button", { type: "button", class: "lfi-link", id: "study-decline", hidden: true });
const check = make("fieldset", { class: "lfi-study-check", id: "study-check", hidden: true });
byId("study-form").append(decline);
byId("study-continue").before(check);
let act = () => {};
decline.addEventListener("click", () => act());

/**
 * @param {string} label empty where there is nothing to decline
 * @param {() => void} then
 */
export function offerToDecline(label, then) {
  decline.textContent = label;
  decline.hidden = !label;
  act = then;
}

/** @param {{ again: boolean, questions: { question: string, answers: string[] }[] } | null} asked */
export function showCheck(asked, said) {
  check.hidden = !asked;
  if (!asked) return fill(check);
  const group = ({ question, answers }, place) =>
    make("fieldset", {}, make("legend", {}, question), ...answers.map((answer, number) => choice(place, number + 1, answer)));
  const again = asked.again ? make("p", { class: "lfi-study-wrong", role: "status" }, said.check_again) : null;
  fill(check, make("legend", {}, said.check_title), again, ...asked.questions.map(group));
}

function choice(place, number, answer) {
  const input = make("input", { type: "radio", name: `check-${place}`, value: String(number), required: true });
  return make("label", { class: "lfi-check" }, input, " ", answer);
}

/** What was chosen, numbers from 1. */
export function givenToCheck() {
  return [...check.querySelectorAll("input:checked")].map((input) => Number(/** @type {HTMLInputElement} */ (input).value));
}

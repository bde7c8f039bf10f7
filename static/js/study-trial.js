// One trial: question, pictures, answers, comment, and the way back.

import { newKey } from "./study-answers.js";
import { byId, fill, make } from "./elements.js";
import { fetchAhead, holdBare, responseTime, showPictures, untilSeen } from "./study-pictures.js";

/** What the page says, by language: the texts, the scales and the answers to a pair. */
export const WORDS = JSON.parse(byId("study-words", HTMLTemplateElement).content.textContent ?? "");
let trial = null; // what is on the screen
let taking = false; // whether an answer would be taken now
let earliest = 0; // milliseconds before what is on the screen can have been seen
let told = 0; // when practice said something about an answer
let onAnswer = (given) => {}; // what becomes of an answer

/** The trial on the screen, null while there is none. */
export const shownTrial = () => trial;

/** Whether an answer would be taken now. */
export const takesAnswers = () => taking;

/** No trial is on the screen any more. */
export function leaveTrial() {
  trial = null;
}

function offered(state, language) {
  if (state.trial.kind === "pair") {
    const [left, none, right] = WORDS.pair[language];
    return [
      { value: "left", label: left, key: "←" },
      { value: "none", label: none, key: "0" },
      { value: "right", label: right, key: "→" },
    ];
  }
  return WORDS.scales[language][state.scale].map((label, index) => ({
    value: String(index + 1),
    label,
    key: String(index + 1),
  }));
}

/**
 * @param {any} state what the service says
 * @param {{ answer: (given: object) => void, fail: () => void }} then when there is an answer, or pictures do not come
 */
export async function showTrial(state, then) {
  const words = WORDS.page[state.language];
  trial = state.trial;
  taking = false;
  earliest = state.earliest_ms;
  onAnswer = then.answer;
  const choices = offered(state, state.language);
  byId("study-practice").hidden = state.stage !== "practice";
  byId("study-practice").textContent = words.practice;
  showProgress(state.progress, words);
  const asks = trial.kind === "pair" ? words.pair_question : words.rating_question;
  byId("study-question").textContent = asks.replace("{word}", trial.word);
  const buttons = choices.map((choice) =>
    make(
      "button",
      {
        type: "button",
        class: "lfi-study-answer",
        "data-value": choice.value,
        "aria-pressed": String(choice.value === trial.answer),
        disabled: true,
        onclick: () => give(choice.value),
      },
      make("kbd", { "aria-hidden": "true" }, choice.key),
      make("span", {}, choice.label),
    ),
  );
  byId("study-answers").dataset.kind = trial.kind;
  fill(byId("study-answers"), ...buttons);
  const chosen = choices.find((choice) => choice.value === trial.answer);
  byId("study-answered").hidden = !chosen;
  byId("study-answered").textContent = chosen ? words.answered.replace("{answer}", chosen.label) : "";
  byId("study-comment", HTMLTextAreaElement).value = trial.comment;
  byId("study-feedback").hidden = true;
  byId("study-back", HTMLButtonElement).disabled = !trial.previous;
  byId("study-forward").hidden = trial.answer == null;
  const keys = trial.kind === "pair" ? words.keys_pair : words.keys_rating;
  byId("study-keys-hint").textContent = keys.replace("{scale}", state.scale);
  holdBare(false);
  window.scrollTo(0, 0);
  byId("study-question").focus({ preventScroll: true });
  const mine = trial;
  try {
    await showPictures(trial, words);
  } catch {
    if (trial === mine) then.fail();
    return;
  }
  if (trial !== mine) return;
  fetchAhead(state.ahead);
  await untilSeen(state.earliest_ms);
  if (trial !== mine) return;
  for (const button of buttons) button.disabled = false;
  taking = true;
}

function showProgress(progress, words) {
  const bar = byId("study-bar", HTMLProgressElement);
  bar.max = progress.total;
  bar.value = progress.done;
  const minutes = Math.round(progress.minutes);
  const left = minutes < 1 ? words.minute : words.minutes.replace("{minutes}", minutes);
  const done = words.progress.replace("{done}", progress.done).replace("{total}", progress.total);
  byId("study-progress").textContent = `${done} · ${left}`;
  bar.setAttribute("aria-label", done);
}

function answerButtons() {
  return [...byId("study-answers").children].map((button) => /** @type {HTMLButtonElement} */ (button));
}

function give(value) {
  if (!taking) return; // the second click of a double one, or pictures that nobody can have seen yet
  taking = false;
  const given = {
    trial: trial.id,
    key: newKey(),
    revision: trial.revision,
    value,
    response_ms: responseTime(),
    comment: byId("study-comment", HTMLTextAreaElement).value,
  };
  for (const button of answerButtons()) {
    button.setAttribute("aria-pressed", String(button.dataset.value === value));
    button.disabled = true;
  }
  onAnswer(given);
}

export function showFeedback(feedback, words, then) {
  const box = byId("study-feedback");
  const prose = make("div", { class: "lfi-study-prose" });
  prose.innerHTML = feedback.html; // the study's own text, rendered by the service without raw HTML
  const next = make("button", { type: "button", class: "lfi-button lfi-primary", onclick: then }, words.next);
  fill(
    box,
    make("p", { class: feedback.right ? "lfi-study-right" : "lfi-study-wrong" },
      feedback.right ? words.right_answer : words.wrong_answer),
    prose,
    feedback.last ? make("p", {}, words.practice_done) : null,
    make("div", { class: "lfi-study-next" }, next, make("p", { class: "lfi-hint lfi-study-by-key" }, words.next_keys)),
  );
  box.hidden = false;
  told = performance.now();
  next.focus();
  box.scrollIntoView({ block: "nearest" });
}

// A number leaves what practice said, as it answers: the hand stays where it is. The second half of a double press
// does not.
function goOn() {
  if (performance.now() - told >= earliest) byId("study-feedback").querySelector("button")?.click();
}

// Single keys answer, unless the rater is writing or has switched them off (WCAG 2.1.4).
export function onKey(event) {
  if (event.target.closest?.("textarea, select, input[type=range]")) return;
  if (event.ctrlKey || event.altKey || event.metaKey || !byId("study-keys", HTMLInputElement).checked || !trial) return;
  if (event.key === " ") {
    if (event.target.closest?.("button, input")) return; // there it presses what has the focus
    event.preventDefault();
    if (!event.repeat) holdBare(true);
    return;
  }
  if (event.repeat) return;
  if (event.key === "Backspace") {
    event.preventDefault();
    byId("study-back").click();
    return;
  }
  if (!byId("study-feedback").hidden) {
    if (/^[0-9]$/.test(event.key)) goOn();
    return;
  }
  const pair = { ArrowLeft: "left", 0: "none", ArrowRight: "right" }; // ArrowDown scrolls
  const value = trial.kind === "pair" ? pair[event.key] : event.key;
  const button = answerButtons().find((each) => each.dataset.value === value);
  if (!button) return;
  event.preventDefault();
  button.click();
}

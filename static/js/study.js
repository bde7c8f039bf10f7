// The study page: what the service says where the rater is, on the screen.
import { byId, fill, make } from "./elements.js";
import { ROOT } from "./root.js";
import { insist, keep, keepsAny, kept, post, Refused, send } from "./study-answers.js";
import { givenToCheck, offerToDecline, showCheck } from "./study-entrance.js";
import { showExamples, showLegend } from "./study-examples.js";
import { holdBare, setOpacity } from "./study-pictures.js";
import { leaveTrial, onKey, showFeedback, shownTrial, showTrial, takesAnswers, WORDS } from "./study-trial.js";

document.dispatchEvent(new Event("lfi-theme")); // the shell may have brought the button after the theme was set
let state = null;
let language = navigator.language?.startsWith("de") ? "de" : "en";
/** @type {(() => Promise<any>) | null} */
let submit = null; // what the button under a text does

const words = () => WORDS.page[language];

/** @param {string} [text] */
function banner(text) {
  byId("study-banner").textContent = text ?? "";
  byId("study-banner").hidden = !text;
}

const waiting = () => banner(words().waiting);

function show(next) {
  state = next;
  language = state.language;
  document.documentElement.lang = language;
  document.title = state.title;
  label();
  const asking = state.trial !== null;
  byId("study").dataset.stage = state.stage;
  byId("study-trial").hidden = !asking;
  byId("study-text").hidden = asking;
  if (asking) showTrial(state, { answer: sendAnswer, fail: () => banner(words().failed) });
  else {
    leaveTrial();
    showText();
  }
}

// Everything that the page itself says, in the rater's language.
function label() {
  const said = words();
  byId("study-title").textContent = state.title;
  byId("study-preview").hidden = !state.preview;
  byId("study-preview").textContent = said.preview;
  Object.assign(byId("study-theme").dataset, { dark: said.dark, light: said.light });
  document.dispatchEvent(new Event("lfi-theme")); // its button has other words now
  byId("study-language-label").textContent = said.language;
  const select = byId("study-language", HTMLSelectElement);
  select.hidden = state.languages.length < 2;
  fill(select, ...state.languages.map((each) => make("option", { value: each }, WORDS.languages[each])));
  select.value = language;
  byId("study-bare").textContent = said.bare;
  byId("study-opacity-label").textContent = said.opacity;
  showLegend(byId("study-legend"), said);
  byId("study-comment-label").textContent = said.comment;
  byId("study-back").textContent = said.back;
  byId("study-forward").textContent = said.forward;
  byId("study-keys-label").textContent = said.keys;
}

function showText() {
  const said = words();
  const stage = state.stage;
  const pages = {
    consent: { title: said.consent_title, button: said.continue, act: () => insist("consent", { language }, waiting) },
    instructions: {
      title: said.instructions_title,
      button: state.practice ? said.start : said.start_trials,
      act: () => insist("begin", state.check ? { answers: givenToCheck(), attempt: state.check.attempt } : {}, waiting),
    },
    thanks: { title: said.thanks_title },
  };
  const page = pages[stage] ?? { title: said[`${stage}_title`] ?? said.failed };
  byId("study-text-title").textContent = page.title;
  // The study's own text, rendered by the service without raw HTML; or what the page says by itself.
  if (state.html) byId("study-text-html").innerHTML = state.html;
  else byId("study-text-html").textContent = said[stage] ?? "";
  byId("study-examples").hidden = stage !== "instructions";
  if (stage === "instructions") showExamples(said);
  byId("study-agree-line").hidden = stage !== "consent";
  byId("study-agree", HTMLInputElement).required = stage === "consent";
  byId("study-agree-text").textContent = said.agree;
  byId("study-continue").hidden = !page.button;
  byId("study-continue").textContent = page.button ?? "";
  submit = page.act ?? null;
  offerToDecline(stage === "consent" ? said.decline : "", () => lead(() => insist("decline", {}, waiting)));
  showCheck(state.check, said);
  const { code, redirect } = state.completion ?? {};
  byId("study-own-code").hidden = !state.code;
  byId("study-own-code").textContent = said.own_code.replace("{code}", state.code);
  byId("study-completion").hidden = !code;
  byId("study-code-label").textContent = said.code;
  byId("study-code").textContent = code ?? "";
  byId("study-copy").textContent = said.copy;
  byId("study-return").hidden = !redirect;
  if (redirect) byId("study-return", HTMLAnchorElement).href = redirect;
  byId("study-return").textContent = said.return;
  window.scrollTo(0, 0);
  byId("study-text-title").focus({ preventScroll: true });
}

// Do something that leads to another state; say so where it does not.
async function lead(step) {
  try {
    show(await step());
    banner();
  } catch (error) {
    if (error instanceof Refused && (error.status === 404 || error.status === 409)) await resume(words().elsewhere);
    else banner(error instanceof Refused ? words().failed : words().waiting);
  }
}

async function sendAnswer(given, again = true) {
  const before = state;
  keep(given);
  let after;
  try {
    after = await send(given, () => banner(words().offline));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const never = error.refused === given.key;
    const overtaken = never && (error.status === 404 || error.status === 409);
    await resume(overtaken ? words().elsewhere : never ? words().refused : words().kept);
    if (!never && error.status === 403 && again) await sendKept(false); // the rater entered anew, in another window
    return;
  }
  banner();
  if (after.feedback && before?.trial) showFeedback(after.feedback, words(), () => show(after));
  else show(after);
}

// What this rater answered before, and the service has not stored yet.
async function sendKept(again = true) {
  for (const given of kept()) await sendAnswer(given, again);
}

/** @param {string} [message] */
async function resume(message) {
  try {
    const next = await insist("session", {}, () => banner(keepsAny() ? words().offline : words().waiting));
    if (next.stage === "trial" && next.trial === null) throw new Error("no trial");
    show(next);
    banner(message);
  } catch (error) {
    const nobody = error instanceof Refused && (error.status === 403 || (error.status === 404 && !state));
    if (nobody) stranger();
    else banner(words().failed);
  }
}

function stranger() {
  const said = words();
  document.documentElement.lang = language;
  byId("study").dataset.stage = "stranger";
  byId("study-trial").hidden = true;
  byId("study-text").hidden = false;
  byId("study-text-title").textContent = said.stranger_title;
  const home = make("a", { class: "lfi-button", href: ROOT }, said.home);
  fill(byId("study-text-html"), make("p", {}, said.stranger), make("p", {}, home));
  fill(byId("study-title"), make("a", { href: ROOT }, "LFI Study"));
  banner(keepsAny() ? said.kept : undefined);
}

let submitting = false; // a double click submits once
byId("study-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!submit || submitting) return;
  submitting = true;
  try {
    await lead(submit);
  } finally {
    submitting = false;
  }
});
const languages = byId("study-language", HTMLSelectElement);
languages.addEventListener("change", () => {
  const chosen = languages.value;
  lead(() => post("language", { language: chosen }));
});
const opacity = byId("study-opacity", HTMLInputElement);
opacity.addEventListener("input", () => setOpacity(Number(opacity.value)));
byId("study-back").addEventListener("click", () => {
  const trial = shownTrial();
  if (trial?.previous && takesAnswers()) lead(() => post("look", { trial: trial.previous }));
});
byId("study-forward").addEventListener("click", () => {
  const trial = shownTrial();
  if (trial) lead(() => (trial.next ? post("look", { trial: trial.next }) : post("session")));
});
byId("study-copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(byId("study-code").textContent);
    byId("study-copy").textContent = words().copied;
  } catch {
    getSelection()?.selectAllChildren(byId("study-code"));
  }
});
const bare = byId("study-bare");
bare.addEventListener("pointerdown", () => holdBare(true));
for (const end of ["pointerup", "pointerleave", "pointercancel", "blur"]) bare.addEventListener(end, () => holdBare(false));
bare.addEventListener("keydown", (event) => {
  if (event.key === " " || event.key === "Enter") {
    event.preventDefault();
    holdBare(true);
  }
});
document.addEventListener("keyup", (event) => {
  if (event.key === " " || event.key === "Enter") holdBare(false);
});
document.addEventListener("keydown", onKey);

(async () => {
  banner(words().loading);
  await resume();
  if (state) await sendKept();
})();

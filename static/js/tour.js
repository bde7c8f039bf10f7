// The first visit: an offer to be shown around in three steps, which is made once.

import { byId, make } from "./elements.js";

const SEEN = "lfi-tour";
const STEPS = [
  { at: "lfi-drop", text: "Choose a picture here, or drop or paste one anywhere. The small ones below are samples." },
  { at: "lfi-field", text: "Type a word for something in the picture. The maps on screen are those of the highlighted word." },
  { at: "lfi-panels", text: "Each map says where one model looks for the word, all on one scale. Below them, “Play the layers” shows how it gets there." },
];

/** @param {{ onSecond: () => void }} given the second step needs a picture */
export function makeTour({ onSecond }) {
  const offer = byId("lfi-tour-offer");
  const root = byId("lfi");
  const text = make("p", { id: "lfi-tour-text" });
  const count = make("p", { class: "lfi-tour-count" });
  const next = make("button", { type: "button", class: "lfi-button lfi-primary" });
  const skip = make("button", { type: "button", class: "lfi-button" }, "Skip the tour");
  const card = make("div", { class: "lfi-tour", role: "dialog", "aria-labelledby": "lfi-tour-text", tabindex: -1, hidden: true }, count, text, make("p", { class: "lfi-tour-steps" }, next, skip));
  root.append(card);
  let step = -1;

  function remember() {
    offer.hidden = true;
    try {
      localStorage.setItem(SEEN, "done");
    } catch {} // private windows keep nothing: the offer is made again
  }

  function remembered() {
    try {
      return localStorage.getItem(SEEN) === "done";
    } catch {
      return false;
    }
  }

  function show(wanted) {
    root.querySelector(".lfi-toured")?.classList.remove("lfi-toured");
    step = wanted < STEPS.length ? wanted : -1;
    card.hidden = step < 0;
    if (step < 0) return;
    const { at, text: said } = STEPS[step];
    const target = byId(at);
    target.classList.add("lfi-toured");
    count.textContent = `${step + 1} of ${STEPS.length}`;
    text.textContent = said;
    next.textContent = step < STEPS.length - 1 ? "Next" : "Done";
    skip.hidden = step === STEPS.length - 1;
    target.scrollIntoView({ block: "nearest" });
    const [box, page] = [target.getBoundingClientRect(), root.getBoundingClientRect()];
    const left = Math.min(Math.max(box.left, 8), innerWidth - card.offsetWidth - 8);
    card.style.left = `${left - page.left}px`;
    // over the maps where they fill the window, below what is small
    const below = box.height > innerHeight / 3 ? box.top + 12 : box.bottom + 10;
    card.style.top = `${below - page.top}px`;
    card.focus({ preventScroll: true });
  }

  byId("lfi-tour-start").addEventListener("click", () => {
    remember();
    show(0);
  });
  byId("lfi-tour-skip").addEventListener("click", remember);
  next.addEventListener("click", () => {
    if (step === 0) onSecond();
    show(step + 1);
  });
  skip.addEventListener("click", () => show(STEPS.length));
  card.addEventListener("keydown", (event) => event.key === "Escape" && show(STEPS.length));
  offer.hidden = remembered();
}

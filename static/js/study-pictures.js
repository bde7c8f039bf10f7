// The pictures of a trial: a photograph with a map above it, at any strength; held away to see the photograph alone.

import { byId, fill, make } from "./elements.js";
import { ROOT } from "./root.js";

let shownAt = 0; // when the pictures of this trial stood on the screen
let away = 0; // how long the page was hidden since
let leftAt = 0;

document.addEventListener("visibilitychange", () => {
  if (document.hidden) leftAt = performance.now();
  else if (leftAt) {
    away += performance.now() - leftAt;
    leftAt = 0;
  }
});

function frame(trial, side, alt, caption) {
  const bare = make("img", { class: "lfi-study-bare", src: ROOT + trial.pictures.bare, alt });
  const map = make("img", { class: "lfi-study-map", src: ROOT + trial.pictures[side], alt: "" });
  const stack = make("div", { class: "lfi-study-stack" }, bare, map);
  return make("figure", {}, stack, caption ? make("figcaption", {}, caption) : null);
}

// Resolves when everything is decoded and painted; from then on the response time counts.
export async function showPictures(trial, words) {
  const said = (text) => text.replace("{word}", trial.word);
  const frames =
    trial.kind === "pair"
      ? [
          frame(trial, "left", said(words.picture_left), words.left),
          frame(trial, "right", said(words.picture_right), words.right),
        ]
      : [frame(trial, "left", said(words.picture_one))];
  const place = byId("study-pictures");
  place.dataset.kind = trial.kind;
  fill(place, ...frames);
  await Promise.all([...place.querySelectorAll("img")].map((picture) => picture.decode()));
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  shownAt = performance.now();
  away = 0;
  leftAt = document.hidden ? shownAt : 0;
}

export function responseTime() {
  const hidden = away + (leftAt ? performance.now() - leftAt : 0);
  return Math.max(0, Math.round(performance.now() - shownAt - hidden));
}

// Resolves when the pictures have been looked at for so long. The analysis leaves quicker answers out, and the second
// click of a double one would otherwise answer the next trial.
export async function untilSeen(milliseconds) {
  for (let left; (left = milliseconds - responseTime()) > 0; ) await new Promise((resolve) => setTimeout(resolve, left));
}

export function fetchAhead(addresses) {
  for (const address of addresses) new Image().src = ROOT + address;
}

export function setOpacity(percent) {
  byId("study-pictures").style.setProperty("--study-opacity", String(percent / 100));
  byId("study-opacity-value", HTMLOutputElement).value = `${percent} %`;
}

export function holdBare(held) {
  byId("study-pictures").toggleAttribute("data-bare", held);
  byId("study-bare").setAttribute("aria-pressed", String(held));
}

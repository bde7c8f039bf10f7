// What a highlight means: its colours in order, and a good, a partial and a bad one. Drawn by the service.

import { byId, fill, make } from "./elements.js";
import { ROOT } from "./root.js";

const addressOf = (name) => `${ROOT}study/examples/${name}`;

// From weak to strong, in one line; the same beside every trial.
export function showLegend(place, words) {
  const bar = make("img", { src: addressOf("colours"), alt: "", width: "240", height: "10" });
  fill(place, make("span", {}, words.weak), bar, make("span", {}, words.strong));
}

export function showExamples(words) {
  const figures = ["good", "partly", "bad"].map((name) => {
    const picture = make("img", { src: addressOf(name), alt: words[`example_${name}_alt`], width: "360", height: "240" });
    return make("figure", {}, picture, make("figcaption", {}, make("strong", {}, words[`example_${name}_title`]), " ", words[`example_${name}`]));
  });
  const legend = make("p", { class: "lfi-study-legend" });
  showLegend(legend, words);
  fill(
    byId("study-examples"),
    make("h2", {}, words.examples_title),
    make("div", { class: "lfi-study-three" }, ...figures),
    legend,
  );
}

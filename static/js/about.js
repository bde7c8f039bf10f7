// What the models are and what they were trained on: read before believing a map.

import { byId, fill, make, sentence } from "./elements.js";

export function describeModels(trio) {
  fill(byId("lfi-note-text"), ...trio.note.map((line) => make("p", {}, sentence(line))));
  fill(
    byId("lfi-cards"),
    ...trio.models.map((model) =>
      make(
        "article",
        { class: "lfi-card", "data-model": model.role, "aria-label": `About: ${model.name}` },
        make("h3", {}, make("span", { class: "lfi-dot", "aria-hidden": "true" }), model.name),
        model.title !== model.name ? make("p", { class: "lfi-card-title" }, model.title) : null,
        make("p", {}, model.summary),
        make("dl", { class: "lfi-facts" }, ...model.facts.flatMap(pair)),
        model.figures.length ? make("h4", { class: "lfi-minor" }, "Measured") : null,
        model.figures.length ? make("dl", { class: "lfi-facts lfi-measured" }, ...model.figures.flatMap(pair)) : null,
        model.limits.length ? make("h4", { class: "lfi-minor" }, "Limits") : null,
        ...model.limits.map((limit) => make("p", { class: "lfi-limit" }, sentence(limit))),
      ),
    ),
  );

  function pair([name, value]) {
    return [make("dt", {}, name), make("dd", {}, value)];
  }
}

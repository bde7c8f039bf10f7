// Film strips: one query's map through all layers, side by side on one scale, and how much of it moves per layer. First
// what the models show for the word, then all Interaction Queries of the student with the names they learned.

import { peakOf } from "./colour.js";
import { byId, fill, make, percent, short } from "./elements.js";
import { makeFrame, MAP_SIDE } from "./frame.js";
import { drawScale } from "./maps.js";

const FRAME_SIDE = 112;

// One row: who, a frame per layer, the drift. A click on a frame enlarges it below; `onLayer(index)` from there.
function makeStrip(attributes, onLayer) {
  const head = make("div", { class: "lfi-strip-head" });
  const frames = make("div", { class: "lfi-strip-frames", role: "img" });
  const total = make("p", { class: "lfi-strip-drift" });
  const detail = makeDetail(onLayer);
  const enlarge = make("button", { type: "button", class: "lfi-enlarge", hidden: true, onclick: () => detail.toggle(current) }, "Enlarge");
  const node = make("li", attributes, head, frames, make("div", {}, total, enlarge), detail.node);
  let cells = [];
  let current = 0;

  // As many empty frames as there will be layers, so nothing moves when maps come.
  function setCount(count) {
    if (cells.length === count) return;
    cells = Array.from({ length: count }, (_, layer) => {
      const frame = makeFrame(null);
      const note = make("p", { class: "lfi-strip-note", "aria-hidden": "true" });
      const cell = make("div", { class: "lfi-strip-cell", onclick: () => detail.toggle(layer) }, frame.node, note);
      return { frame, note, cell };
    });
    frames.style.setProperty("--lfi-layers", String(count));
    fill(frames, ...cells.map((each) => each.cell));
  }

  return {
    node,
    head,
    setCount,
    setPicture(picture) {
      for (const each of cells) each.frame.setPicture(picture, FRAME_SIDE);
      detail.setPicture(picture);
    },
    clear(label) {
      for (const each of cells) {
        each.frame.clear();
        each.note.textContent = "";
      }
      detail.clear();
      enlarge.hidden = true;
      frames.setAttribute("aria-label", `${label}: no maps yet`);
      total.textContent = "";
    },
    setMaps(label, maps, query, scale, look) {
      setCount(maps.layers.length);
      detail.setMaps(label, maps, query, scale, look);
      enlarge.hidden = false;
      enlarge.setAttribute("aria-label", `Enlarge a layer of ${label}`);
      const drift = maps.drift[query];
      cells.forEach((each, layer) => {
        each.frame.setMap(maps.at(layer, query), maps.grid, scale, look);
        const moved = layer > 0 ? percent(drift.steps[layer - 1]) : "";
        fill(each.note, String(layer + 1), make("span", { class: "lfi-number" }, moved));
        each.cell.title = `${maps.layers[layer]}${moved ? `: ${moved} of the attention moved since the layer before` : ""}`;
      });
      const [first, last] = [0, maps.layers.length - 1].map((layer) => peakOf(maps.at(layer, query), maps.grid).place);
      const mean = drift.mean === null ? "one layer alone" : `drift ${percent(drift.mean)} per layer`;
      const path = first === last ? `peak ${first} in the first and the last layer` : `peak from ${first} to ${last}`;
      frames.setAttribute("aria-label", `${label} through ${maps.layers.length} layers: ${path}; ${mean}`);
      if (drift.mean === null) total.textContent = "one layer";
      else fill(total, make("span", { class: "lfi-strip-mean" }, percent(drift.mean)), " drift per layer");
    },
    mark(layer) {
      current = layer;
      cells.forEach((each, index) => each.cell.classList.toggle("lfi-current", index === layer));
    },
  };
}

// One frame of a row, large, with its numbers.
function makeDetail(onLayer) {
  const frame = makeFrame("no map yet");
  const title = make("strong", {});
  const said = make("p", {});
  const button = (text, onclick) => make("button", { type: "button", class: "lfi-button", onclick }, text);
  const before = button("Layer before", () => toggle(layer - 1));
  const after = button("Layer after", () => toggle(layer + 1));
  const above = button("", () => onLayer(layer));
  const text = make(
    "div",
    { class: "lfi-detail-text" },
    make("p", {}, title),
    said,
    make("div", { class: "lfi-detail-steps" }, before, after),
    above,
    button("Close", () => toggle(layer)),
  );
  const node = make("div", { class: "lfi-detail", hidden: true }, frame.node, text);
  let picture = null;
  let shown = null; // { label, maps, query, scale, look }
  let layer = -1;

  function draw() {
    node.hidden = !shown || layer < 0;
    if (node.hidden) return;
    const { label, maps, query, scale, look } = shown;
    const map = maps.at(layer, query);
    const peak = peakOf(map, maps.grid);
    const moved = layer > 0 ? `; ${percent(maps.drift[query].steps[layer - 1])} of the attention moved since the layer before` : "";
    const numbers = `Peak ${short(peak.value)}× uniform, ${peak.place}${moved}.`;
    frame.setPicture(picture, MAP_SIDE);
    frame.setMap(map, maps.grid, scale, look, `${label}, layer ${layer + 1}: ${numbers}`);
    title.textContent = `${label}: layer ${layer + 1} of ${maps.layers.length}`;
    said.textContent = numbers;
    before.disabled = layer === 0;
    after.disabled = layer === maps.layers.length - 1;
    above.textContent = `Show layer ${layer + 1} above`;
  }

  function toggle(next) {
    layer = layer === next ? -1 : next;
    draw();
  }

  return {
    node,
    toggle,
    setPicture: (next) => (picture = next),
    setMaps(label, maps, query, scale, look) {
      shown = { label, maps, query, scale, look };
      if (layer >= maps.layers.length) layer = -1;
      draw();
    },
    clear() {
      shown = null;
      draw();
    },
  };
}

// `onPeek({ query })` while somebody points at a query, `onPeek(null)` after.
export function makeFilm({ answers, queries: expected, onLayer, onPeek }) {
  const scaleBar = byId("lfi-film-scale");
  const answerOf = (key) => answers.find((answer) => answer.key === key);
  let words = [];

  function wordStrip(key) {
    const answer = answerOf(key);
    const strip = makeStrip({ class: "lfi-strip", "data-model": answer.role, "data-answer": key }, (layer) => onLayer(key, layer));
    const who = make("p", { class: "lfi-strip-who" }, make("span", { class: "lfi-dot", "aria-hidden": "true" }), answer.name);
    const what = make("p", { class: "lfi-strip-what" });
    fill(strip.head, who, what);
    strip.setCount(answer.layers);
    strip.clear(answer.name);
    return { key, name: answer.name, strip, what };
  }

  const queries = Array.from({ length: expected }, (_, index) => {
    const peek = { onpointerenter: () => onPeek({ query: index }), onpointerleave: () => onPeek(null) };
    const strip = makeStrip({ class: "lfi-strip lfi-query", "data-query": index, ...peek }, (layer) => onLayer("lfi", layer));
    const title = make("p", { class: "lfi-query-title" }, `query ${index + 1}`);
    const named = make("p", { class: "lfi-query-name" });
    const answers = make("p", { class: "lfi-query-answers" });
    fill(strip.head, title, named, answers);
    strip.setCount(answerOf("lfi").layers);
    strip.clear(`query ${index + 1}`);
    return { strip, title, named, answers };
  });
  fill(byId("lfi-queries"), ...queries.map((each) => each.strip.node));
  let drawn = "";

  function drawWords({ picture, view, word, look }) {
    for (const each of words) {
      if (picture) each.strip.setPicture(picture);
      if (!view?.models[each.key] || word < 0) {
        each.strip.clear(each.name);
        each.what.textContent = "";
        continue;
      }
      const maps = view.models[each.key];
      const asked = view.addressed[word];
      const by = each.key === "lfi" && asked && view.queries ? `, ${view.queries.names[asked.query]}` : "";
      each.what.textContent = maps.kind + by;
      each.strip.setMaps(`${each.name}, ${view.words[word]}`, maps, word, view.film_scales[word], look);
    }
  }

  function drawQueries({ picture, view, word, look }) {
    queries.forEach((each, index) => {
      if (picture) each.strip.setPicture(picture);
      if (!view?.queries || word < 0) {
        each.strip.clear(each.title.textContent);
        each.named.textContent = "";
        each.answers.textContent = "";
        each.strip.node.classList.remove("lfi-answering");
        return;
      }
      const [name, nearness] = view.queries.named[index] ?? ["", 0];
      fill(each.named, `near “${name}” `, make("span", { class: "lfi-number" }, short(nearness)));
      const answered = view.addressed.filter((one) => one.query === index).map((one) => `“${one.word}”`);
      each.answers.textContent = answered.length ? `answers ${answered.join(", ")}` : "";
      each.strip.node.classList.toggle("lfi-answering", view.addressed[word]?.query === index);
      each.strip.setMaps(`${view.queries.names[index]}, near ${name}`, view.queries, index, view.film_scales[word], look);
    });
  }

  return {
    setColumns(columns) {
      words = columns.map(wordStrip);
      fill(byId("lfi-film-words"), ...words.map((each) => each.strip.node));
      drawn = "";
    },
    /** @param {import("./service.js").Scene} scene */
    draw(scene) {
      const { picture, view, word, position, look } = scene;
      const wanted = [picture?.token, view?.number, word, look.name].join(" ");
      if (wanted !== drawn) {
        drawn = wanted;
        drawWords(scene);
        drawQueries(scene);
        drawScale(scaleBar, word < 0 ? undefined : view?.film_scales[word], look.palette, "One colour scale for all frames");
      }
      const layers = view && word >= 0 ? view.positions[position].layers : {};
      for (const each of words) each.strip.mark(layers[each.key] ?? -1);
      for (const each of queries) each.strip.mark(layers.lfi ?? -1);
    },
  };
}

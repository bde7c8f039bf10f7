// The panels side by side on their one colour scale. A choice above each says what it shows: a model, or a post-hoc

import { gradientOf, peakOf } from "./colour.js";
import { byId, fill, first, make, percent, sentence, short } from "./elements.js";
import { makeFrame, MAP_SIDE } from "./frame.js";

// explanation of one.

const FACTS = ["Map", "Layer", "Read from", "Peak", "With teacher", "Your region", "Model"];

// A column that has no map yet or none at all; `onColumns(keys)` when somebody chooses another.
/** @param {{ answers: import("./service.js").Answerer[], columns: string[], onColumns: (keys: string[]) => void }} given */
export function makeMaps({ answers, columns, onColumns }) {
  let keys = [...columns];
  const answerOf = (key) => answers.find((answer) => answer.key === key);
  const panels = columns.map((key, index) => {
    const frame = makeFrame("no map yet");
    const dot = make("span", { class: "lfi-dot", "aria-hidden": "true" });
    const select = make("select", { "aria-label": `Column ${index + 1} shows`, class: "lfi-choice", onchange: () => choose(index, select.value) });
    const group = (label, those) => make("optgroup", { label }, ...those.map((each) => make("option", { value: each.key }, each.choice)));
    const explained = answers.filter((each) => each.explained);
    select.append(group("Models", answers.filter((each) => !each.explained)));
    if (explained.length) select.append(group("Explanations worked out afterwards", explained));
    if (index === 2) select.append(make("option", { value: "" }, "Nothing: two columns"));
    const teaching = make("div", { class: "lfi-teaching" });
    frame.node.append(teaching);
    const facts = make("dl", { class: "lfi-facts" });
    const absence = make("p", { class: "lfi-absence", hidden: true });
    const node = make("article", { class: "lfi-panel" }, make("h3", {}, dot, select), frame.node, absence, facts);
    return { frame, teaching, absence, facts, node, select, index, key, name: "" };
  });
  fill(byId("lfi-panels"), ...panels.map((panel) => panel.node));
  byId("lfi-third").onclick = () => onColumns([...keys, ...answers.map((each) => each.key).filter((key) => !keys.includes(key))].slice(0, 3));

  // The same thing twice is no comparison: what another column shows already, it swaps with this one.
  function choose(index, key) {
    const next = [...keys];
    const other = next.indexOf(key);
    if (other >= 0) next[other] = next[index];
    next[index] = key;
    onColumns(next.filter(Boolean));
  }

  function setColumns(next) {
    keys = [...next];
    byId("lfi-panels").dataset.columns = String(keys.length);
    byId("lfi-third").hidden = keys.length > 2 || answers.length < 3;
    for (const panel of panels) {
      const answer = answerOf(keys[panel.index]);
      panel.node.hidden = !answer;
      if (!answer) continue;
      panel.key = answer.key;
      panel.name = answer.name;
      panel.select.value = answer.key;
      Object.assign(panel.node.dataset, { model: answer.role, answer: answer.key });
      panel.node.setAttribute("aria-label", answer.choice);
      fill(panel.teaching, byId(`lfi-teach-${answer.role}`, HTMLTemplateElement).content.cloneNode(true));
    }
  }

  function factsOf(key, { view, word, position, region }) {
    const maps = view.models[key];
    const { layers, pairs } = view.positions[position];
    const layer = layers[key];
    const peak = peakOf(maps.at(layer, word), maps.grid);
    const asked = view.addressed[word];
    const source = key === "lfi" && asked && view.queries ? `${view.queries.names[asked.query]}, nearness ${short(asked.nearness)}` : maps.source;
    const outside = maps.outside[layer][word];
    const off = outside >= 0.005 ? `; ${percent(outside)} of attention off the picture` : "";
    const values = [
      maps.kind,
      maps.layers.length > 1 ? `${layer + 1} of ${maps.layers.length} (${maps.layers[layer]})` : maps.layers[0],
      source,
      `${short(peak.value)}× uniform, ${peak.place}${off}`,
      key === "teacher" ? "–" : agreementOf(pairOf(pairs, key, "teacher").words[word]),
      region ? insideOf(region.models[key]?.[layer][word]) : "–",
      maps.model,
    ];
    return FACTS.map((name, index) => [name, values[index]]);
  }

  function write(list, facts) {
    fill(list, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  }

  /** @param {import("./service.js").Scene} scene */
  function draw(scene) {
    const { picture, view, word, position, scale, look } = scene;
    for (const panel of panels) {
      panel.teaching.hidden = Boolean(picture);
      if (picture) panel.frame.setPicture(picture, MAP_SIDE);
      const maps = word < 0 ? null : view?.models[panel.key];
      const absence = maps?.absences?.[word] ?? "";
      panel.absence.hidden = !absence;
      panel.absence.textContent = sentence(absence);
      panel.node.classList.toggle("lfi-absent", Boolean(absence));
      if (!view || !maps || !scale) {
        panel.frame.clear(`${panel.name}: no map yet`);
        write(panel.facts, FACTS.map((name) => [name, "–"]));
        continue;
      }
      const facts = factsOf(panel.key, scene);
      const map = maps.at(view.positions[position].layers[panel.key], word);
      const peak = facts[FACTS.indexOf("Peak")][1];
      panel.frame.setMap(map, maps.grid, scale, look, `${panel.name}, where it looks for ${view.words[word]}: ${absence || peak}`);
      write(panel.facts, facts);
    }
    drawScale(byId("lfi-scale"), word < 0 ? undefined : scale, look.palette, "One colour scale for all maps");
  }

  setColumns(columns);
  return { draw, panels, setColumns };
}

// What the service said of two answers at one position of the slider, whichever comes first.
export function pairOf(pairs, one, two) {
  return pairs.find(({ first, second }) => (first === one && second === two) || (first === two && second === one));
}

function insideOf(found) {
  return found ? `${percent(found.energy)} inside, peak ${found.hit ? "inside" : "outside"}` : "–";
}

export function agreementOf({ correlation, shared }) {
  return `r ${correlation === null ? "–" : short(correlation)}, ${percent(shared)} shared`;
}

/**
 * A colour bar with its ticks.
 *
 * @param {HTMLElement} bar
 * @param {{ ticks: import("./service.js").Tick[] } | null | undefined} scale nothing where there are no maps
 * @param {Uint8Array} palette
 * @param {string} what it is the scale of
 */
export function drawScale(bar, scale, palette, what) {
  first(bar, ".lfi-scale-bar").style.backgroundImage = gradientOf(palette);
  bar.classList.toggle("lfi-idle", !scale);
  const ticks = first(bar, ".lfi-scale-ticks");
  if (!scale) return fill(ticks);
  const labels = scale.ticks.map((tick) => tick.label);
  bar.setAttribute("aria-label", `${what}, from ${labels[0]} to ${labels[labels.length - 1]} uniform attention`);
  const last = scale.ticks.length - 1;
  // where there is little room, a tick close to the last one goes
  const look = ({ at }, index) => ({ class: at > 0.72 && index < last ? "lfi-crowded" : null, style: `left: ${(100 * at).toFixed(2)}%` });
  fill(ticks, ...scale.ticks.map((tick, index) => make("span", look(tick, index), tick.label)));
}

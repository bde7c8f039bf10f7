// The panels side by side on their one colour scale. A choice above each says what it shows: a model, or a post-hoc
// explanation of one.

import { gradientOf, peakOf } from "./colour.js";
import { byId, fill, first, make, percent, sentence, short } from "./elements.js";
import { makeFrame, MAP_SIDE } from "./frame.js";
import { agreementOf, pairOf } from "./pairs.js";
import { makeReel } from "./reel.js";

const ALWAYS = ["Peak", "With teacher"];
const FIRST = ["Peak", "With teacher", "Nearness"]; // what a map says; the rest is behind "details"
const REST = ["Your region", "Map", "Layer", "Read from", "Model"];

/**
 * @param {object} given
 * @param {import("./service.js").Answerer[]} given.answers
 * @param {string[]} given.columns
 * @param {(keys: string[]) => void} given.onColumns somebody chooses another column
 * @param {(key: string, layer: number) => void} given.onLayer somebody chooses a layer of this column
 * @param {(model: string) => Promise<{ key: string, said: string } | null>} given.onRank looks for the explanation of
 *   this student that does best in the picture; null where something else is on screen by then
 */
export function makeMaps({ answers, columns, onColumns, onLayer, onRank }) {
  let keys = [...columns];
  /** @type {import("./service.js").Scene | null} */
  let drawn = null;
  let filmed = "";
  const NONE = { index: -1, key: "", about: "" };
  let picked = NONE; // the column that shows what does best, and the picture and word that it does best for
  const answerOf = (key) => answers.find((answer) => answer.key === key);
  const panels = columns.map((key, index) => {
    const frame = makeFrame("no map yet");
    const dot = make("span", { class: "lfi-dot", "aria-hidden": "true" });
    const select = make("select", { "aria-label": `Column ${index + 1} shows`, class: "lfi-choice", onchange: () => choose(index, select.value) });
    const group = (label, those) => make("optgroup", { label }, ...those.map((each) => make("option", { value: each.key }, each.choice)));
    const explained = answers.filter((each) => each.explained);
    select.append(group("Models", answers.filter((each) => !each.explained)));
    if (explained.length) select.append(group("Post-hoc explanations", explained));
    if (index === 2) select.append(make("option", { value: "" }, "Nothing: two columns"));
    const teaching = make("div", { class: "lfi-teaching" });
    frame.node.append(teaching);
    const hits = make("p", { class: "lfi-hits" });
    const facts = make("dl", { class: "lfi-facts" });
    const more = make("dl", { class: "lfi-facts" });
    const details = make("details", { class: "lfi-details" }, make("summary", {}, "details"), more);
    const ranked = make("p", { class: "lfi-ranked", role: "status" });
    const rank = make("button", { type: "button", class: "lfi-enlarge", hidden: true, onclick: () => pick(index) }, "Its best explanation here");
    const absence = make("p", { class: "lfi-absence", hidden: true });
    const reel = makeReel({ onLayer: (layer) => onLayer(keys[index], layer) });
    const node = make("article", { class: "lfi-panel" }, make("h3", {}, dot, select), hits, frame.node, reel.node, absence, facts, make("div", { class: "lfi-rank" }, rank, ranked), details);
    return { frame, teaching, hits, reel, absence, facts, more, rank, ranked, node, select, index, key, name: "" };
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

  // The explanation that does best here, and what the others do.
  async function pick(index) {
    const panel = panels[index];
    const asked = panel.key;
    panel.rank.disabled = true;
    const found = await onRank(asked.split(":")[0]);
    panel.rank.disabled = false;
    if (!found || panel.key !== asked) return;
    const { key, said } = found;
    if (key && key !== panel.key) choose(index, key);
    panel.ranked.textContent = said;
    if (key) picked = { index, key, about: aboutOf(drawn) };
  }

  function aboutOf(scene) {
    return [scene?.picture?.id, scene?.view?.words[scene.word]].join(" ");
  }

  // What is best for one picture and word is not said of another.
  function forget(scene) {
    if (picked === NONE || !scene.view || scene.word < 0 || aboutOf(scene) === picked.about) return;
    panels[picked.index].ranked.textContent = "";
    picked = NONE;
  }

  function setColumns(next) {
    keys = [...next];
    byId("lfi-panels").dataset.columns = String(keys.length);
    byId("lfi-third").hidden = keys.length > 2 || answers.length < 3;
    filmed = "";
    const deepest = Math.max(...keys.map((key) => answerOf(key)?.layers ?? 1));
    for (const panel of panels) {
      const answer = answerOf(keys[panel.index]);
      panel.node.hidden = !answer;
      panel.reel.setCount(answer?.layers ?? 0, deepest);
      if (!answer) continue;
      panel.key = answer.key;
      panel.name = answer.name;
      panel.select.value = answer.key;
      Object.assign(panel.node.dataset, { model: answer.role, answer: answer.key });
      panel.node.setAttribute("aria-label", answer.choice);
      panel.hits.textContent = answer.hits;
      panel.hits.title = answer.measured;
      panel.rank.hidden = answer.role !== "baseline" && !answer.explained;
      if (picked.index !== panel.index || picked.key !== answer.key) panel.ranked.textContent = "";
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
    const pair = key === "teacher" ? undefined : pairOf(pairs, key, "teacher");
    return {
      Peak: `${short(peak.value)}× uniform, ${peak.place}${off}`,
      "With teacher": pair ? agreementOf(pair.words[word]) : "–",
      Nearness: key === "lfi" && asked ? short(asked.nearness) : "–",
      "Your region": region ? insideOf(region.models[key]?.[layer][word]) : "–",
      Map: maps.kind,
      Layer: maps.layers.length > 1 ? `${layer + 1} of ${maps.layers.length} (${maps.layers[layer]})` : maps.layers[0],
      "Read from": source,
      Model: maps.model,
    };
  }

  // The few that matter, and a region's share while there is one; the rest behind "details".
  function write(panel, facts) {
    const first = [...FIRST, "Your region"].filter((name) => ALWAYS.includes(name) || facts[name] !== "–");
    const rows = (names) => names.flatMap((name) => [make("dt", {}, name), make("dd", {}, facts[name])]);
    fill(panel.facts, ...rows(first));
    fill(panel.more, ...rows(REST.filter((name) => !first.includes(name))));
  }

  // Anew only where something other than the layer differs.
  function drawReels({ picture, view, word, look }) {
    const wanted = [picture?.token, picture?.sample, view?.number, word, look.name, keys].join(" ");
    if (wanted === filmed) return;
    filmed = wanted;
    const there = view && picture && word >= 0 ? panels.filter((panel) => !panel.node.hidden && view.models[panel.key]) : [];
    if (picture?.preview) for (const panel of panels) panel.reel.setPicture(picture);
    const most = Math.max(0, ...there.flatMap((panel) => view.models[panel.key].drift[word].steps));
    for (const panel of panels) {
      if (!there.includes(panel)) panel.reel.clear();
      else {
        const ratio = (picture?.width ?? 1) / (picture?.height ?? 1);
        const best = view.positions[0].layers[panel.key];
        panel.reel.draw({ name: panel.name, ratio, maps: view.models[panel.key], word, scale: view.film_scales[word], look, most, best });
      }
    }
  }

  // On the way from the layer on screen to the next one; the next `draw` puts things in order.
  /** @param {number} share */
  function fade(share) {
    const [from, to] = drawn?.view ? [drawn.view.positions[drawn.position], drawn.view.positions[drawn.position + 1]] : [];
    if (!drawn?.view || !drawn.scale || !from || !to || drawn.word < 0) return;
    for (const panel of panels) {
      const maps = panel.node.hidden ? null : drawn.view.models[panel.key];
      if (!maps || from.layers[panel.key] === to.layers[panel.key]) continue;
      const [one, two] = [from, to].map((place) => maps.at(place.layers[panel.key], drawn?.word ?? 0));
      panel.frame.setMap(one.map((value, patch) => (1 - share) * value + share * two[patch]), maps.grid, drawn.scale, drawn.look);
    }
  }

  /** @param {import("./service.js").Scene} scene */
  function draw(scene) {
    const { picture, view, word, position, scale, look } = scene;
    drawn = scene;
    forget(scene);
    drawReels(scene);
    for (const panel of panels) {
      panel.teaching.hidden = Boolean(picture);
      if (picture) panel.frame.setPicture(picture, picture.width && picture.height && picture.width > 2 * picture.height ? 2 * MAP_SIDE : MAP_SIDE);
      const maps = word < 0 ? null : view?.models[panel.key];
      const absence = maps?.absences?.[word] ?? "";
      panel.absence.hidden = !absence;
      panel.absence.textContent = sentence(absence);
      panel.node.classList.toggle("lfi-absent", Boolean(absence));
      if (!view || !maps || !scale) {
        panel.frame.clear(`${panel.name}: no map yet`);
        write(panel, Object.fromEntries([...FIRST, ...REST].map((name) => [name, "–"])));
        continue;
      }
      const facts = factsOf(panel.key, scene);
      const layer = view.positions[position].layers[panel.key];
      const map = maps.at(layer, word);
      panel.reel.mark(layer);
      panel.frame.setMap(map, maps.grid, scale, look, `${panel.name}, where it looks for ${view.words[word]}: ${absence || facts.Peak}`);
      write(panel, facts);
    }
    drawScale(byId("lfi-scale"), word < 0 ? undefined : scale, look.palette, "One colour scale for all maps");
  }

  setColumns(columns);
  return { draw, fade, panels, setColumns };
}

function insideOf(found) {
  return found ? `${percent(found.energy)} inside, peak ${found.hit ? "inside" : "outside"}` : "–";
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

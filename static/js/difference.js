// One column minus another, on a scale of its own around zero.

import { byId, fill, make } from "./elements.js";
import { makeFrame, MAP_SIDE } from "./frame.js";
import { drawScale } from "./maps.js";
import { agreementOf, pairOf } from "./pairs.js";

/** @param {{ answers: import("./service.js").Answerer[], palette: Uint8Array }} given */
export function makeDifference({ answers, palette }) {
  const frame = makeFrame("no difference yet");
  fill(byId("lfi-difference-frame"), frame.node);
  const [first, second] = ["lfi-difference-first", "lfi-difference-second"].map((id) => byId(id, HTMLSelectElement));
  const bar = byId("lfi-difference-scale");
  const note = byId("lfi-difference-note");
  const answerOf = (key) => /** @type {import("./service.js").Answerer} */ (answers.find((answer) => answer.key === key));
  const nameOf = (key) => answerOf(key).name;
  /** @type {import("./service.js").Scene | null} */
  let scene = null;

  for (const [select, other] of [[first, second], [second, first]]) {
    select.onchange = () => {
      if (other.value === select.value) other.value = [...other.options].map((each) => each.value).find((key) => key !== select.value) ?? "";
      show();
    };
  }

  function show() {
    if (!scene) return;
    const { picture, view, word, position } = scene;
    if (picture) frame.setPicture(picture, MAP_SIDE);
    const [one, two] = [view?.models[first.value], view?.models[second.value]];
    if (!view || !one || !two || word < 0) {
      frame.clear("no difference yet");
      drawScale(bar, null, palette, "Difference scale");
      note.textContent = "How one map differs from the other, patch by patch: choose two columns to subtract.";
      return;
    }
    const { layers, pairs } = view.positions[position];
    const pair = pairOf(pairs, first.value, second.value);
    if (!pair) return;
    const { scale, ...agreed } = pair.words[word];
    const names = [nameOf(first.value), nameOf(second.value)];
    frame.setDifference(
      { map: one.at(layers[first.value], word), grid: one.grid },
      { map: two.at(layers[second.value], word), grid: two.grid },
      scale.limit,
      palette,
      `${names[0]} minus ${names[1]} for ${view.words[word]}: ${agreementOf(agreed)}`,
    );
    drawScale(bar, scale, palette, "Difference scale");
    fill(
      note,
      make("strong", {}, agreementOf(agreed)),
      `: purple where ${names[1]} looks more, brown where ${names[0]} does.`,
    );
  }

  return {
    setColumns(columns) {
      const options = () => columns.map((key) => make("option", { value: key }, answerOf(key).choice));
      const before = [first.value, second.value];
      const one = columns.includes("lfi") ? "lfi" : columns[0];
      const others = columns.filter((key) => key !== one);
      const usual = [one, others.find((key) => key !== "teacher") ?? others[0]];
      const kept = before.every((key) => columns.includes(key)) ? before : usual;
      fill(first, ...options());
      fill(second, ...options());
      [first.value, second.value] = kept;
    },
    /** @param {import("./service.js").Scene} next */
    draw(next) {
      scene = next;
      show();
    },
  };
}

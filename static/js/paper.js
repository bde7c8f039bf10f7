// A figure for a paper: which words and columns, how wide, with what beside the maps.

import { byId, fill, guarded, make } from "./elements.js";

const inputs = (id) => /** @type {HTMLInputElement[]} */ ([...byId(id).querySelectorAll("input")]);
const chosen = (id) => inputs(id).filter((each) => each.checked).map((each) => each.value);

/**
 * @param {object} given
 * @param {(question: Record<string, any>) => Promise<void>} given.take asks for the file and saves it
 * @param {(text: string, wrong?: boolean) => void} given.say
 */
export function makePaper({ take, say }) {
  const button = byId("lfi-paper-make", HTMLButtonElement);
  let drawn = "";

  const guard = guarded([button]);

  const choices = (id, pairs) => fill(byId(id), ...pairs.map(([value, text]) => {
    return make("label", { class: "lfi-check" }, make("input", { type: "checkbox", value, checked: true }), ` ${text}`);
  }));

  button.addEventListener("click", async () => {
    const [words, columns] = [chosen("lfi-paper-words"), chosen("lfi-paper-columns")];
    if (!words.length || !columns.length) return say("Choose at least one word and one column for the figure.", true);
    const ticked = (name) => byId(`lfi-paper-${name}`, HTMLInputElement).checked;
    const picked = (name) => byId(`lfi-paper-${name}`, HTMLSelectElement).value;
    const paper = {
      columns,
      format: picked("format"),
      width: Number(picked("width")),
      points: Number(picked("points")),
      captions: ticked("captions"),
      difference: ticked("difference") && columns.length > 1,
      film: ticked("film"),
    };
    await guard.during(button, () => take({ format: "paper", words, word: 0, paper }));
  });

  return {
    /** @param {{ words: string[], columns: { key: string, choice: string }[], there: boolean }} given */
    draw({ words, columns, there }) {
      guard.enable(there);
      const wanted = JSON.stringify([words, columns.map((each) => each.key)]);
      if (wanted === drawn) return;
      drawn = wanted;
      choices("lfi-paper-words", words.map((word) => [word, word]));
      choices("lfi-paper-columns", columns.map(({ key, choice }) => [key, choice]));
    },
  };
}

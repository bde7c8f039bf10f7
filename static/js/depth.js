// Which layer is on screen: the best of each column or one depth for all, by the slider or by playing them.

import { controls } from "./controls.js";
import { byId, fill } from "./elements.js";
import { agreementMarks } from "./marks.js";
import { makePlayer } from "./player.js";

/**
 * @param {object} given
 * @param {number | null} given.depth to begin with; null for the best layers
 * @param {() => void} given.onChange another layer is on screen
 * @param {(share: number) => void} given.onFade on the way to the next layer, 0 to 1
 * @param {(playing: boolean) => void} given.onPlay the layers begin or cease to play
 */
export function makeDepth({ depth: begun, onChange, onFade, onPlay }) {
  let best = begun === null;
  let depth = begun ?? 0;
  let steps = 1;

  function set(next) {
    best = false;
    depth = next;
    onChange();
  }

  function choose(step) {
    player.stop();
    step();
    onChange();
  }

  const player = makePlayer({ steps: () => steps, from: () => (best ? 0 : depth), onLayer: set, onFade: (_, share) => onFade(share), onChange: onPlay });
  // read before anything is drawn, which sets them
  controls.depth.addEventListener("input", () => {
    const wanted = Number(controls.depth.value);
    choose(() => ([best, depth] = [false, wanted]));
  });
  controls.best.addEventListener("change", () => {
    const wanted = controls.best.checked;
    choose(() => (best = wanted));
  });

  return {
    get best() {
      return best;
    },
    get depth() {
      return depth;
    },
    get playing() {
      return player.playing;
    },
    // The place in the view's list: the best layers first, then every depth.
    get position() {
      return best ? 0 : 1 + depth;
    },
    /** @param {number} next */
    show: (next) => choose(() => ([best, depth] = [false, next])),
    showBest: () => choose(() => (best = true)),
    /**
     * @param {object} given
     * @param {import("./service.js").View | null} given.view
     * @param {number} given.count of depths
     * @param {number} given.word -1 where there is no map
     * @param {string[]} given.columns
     * @param {import("./service.js").Answerer[]} given.answers
     */
    draw({ view, count, word, columns, answers }) {
      steps = count;
      depth = Math.min(depth, steps - 1);
      const slider = controls.depth;
      slider.max = String(steps - 1);
      slider.disabled = !view || steps < 2;
      slider.value = String(depth);
      const layers = view?.positions[0].layers ?? {};
      const named = columns.map((key) => `${answers.find((each) => each.key === key)?.name} ${layers[key] + 1}`);
      const which = view ? columns.map((key) => layers[key] + 1).join(" · ") : "";
      const label = best ? `best ${which}`.trim() : `${depth + 1} of ${steps}`;
      const value = byId("lfi-depth-value");
      value.textContent = label;
      value.title = best && view ? `The layers that did best on validation data: ${named.join(", ")}` : "";
      slider.setAttribute("aria-valuetext", best ? `best layer of each model${view ? `: ${named.join(", ")}` : ""}` : `depth ${label}`);
      const marks = view && word >= 0 ? agreementMarks(view, word, columns, answers) : null;
      fill(byId("lfi-depth-marks"), marks?.drawing);
      byId("lfi-depth-marks").setAttribute("aria-label", marks?.text ?? "Agreement with the teacher by layer: no maps yet");
      slider.classList.toggle("lfi-off", best);
      controls.best.checked = best;
      player.enable(word >= 0 && steps > 1);
    },
  };
}

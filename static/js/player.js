// Plays the layers: all columns move from layer to layer together, hold at each, and fade to the next.

import { byId } from "./elements.js";

const HOLD = 650; // milliseconds at a layer
const FADE = 350; // from one to the next; where motion is unwelcome it is spent holding
const END = 900; // more at the last layer, before it begins again

/**
 * @param {object} given
 * @param {() => number} given.steps how many layers there are to go through
 * @param {() => number} given.from where to begin
 * @param {(depth: number) => void} given.onLayer a layer is reached
 * @param {(depth: number, share: number) => void} given.onFade on the way from this layer to the next, 0 to 1
 * @param {(playing: boolean) => void} given.onChange it begins or ends
 */
export function makePlayer({ steps, from, onLayer, onFade, onChange }) {
  const button = byId("lfi-play", HTMLButtonElement);
  const label = button.textContent ?? "";
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let playing = false;
  let depth = 0;
  let since = 0; // when the current layer was reached
  let next = 0;

  function frame(now) {
    if (!playing) return;
    const last = depth >= steps() - 1;
    const away = now - since - HOLD - (last ? END : 0);
    if (away >= FADE || (last && away >= 0)) reach(last ? 0 : depth + 1, now);
    else if (away > 0 && !still.matches) onFade(depth, away / FADE);
    next = requestAnimationFrame(frame);
  }

  function reach(layer, now) {
    depth = layer;
    since = now;
    onLayer(depth);
  }

  function set(wanted) {
    if (playing === wanted) return;
    playing = wanted;
    cancelAnimationFrame(next);
    button.textContent = playing ? "❚❚ Pause" : label;
    button.toggleAttribute("data-playing", playing);
    onChange(playing);
    if (!playing) return onLayer(depth);
    const begun = from();
    reach(begun >= steps() - 1 ? 0 : begun, performance.now());
    next = requestAnimationFrame(frame);
  }

  button.addEventListener("click", () => set(!playing));
  document.addEventListener("visibilitychange", () => document.hidden && set(false));

  return {
    get playing() {
      return playing;
    },
    stop: () => set(false),
    /** @param {boolean} there whether there are layers to go through */
    enable(there) {
      button.disabled = !there;
      if (!there && playing) set(false);
    },
  };
}

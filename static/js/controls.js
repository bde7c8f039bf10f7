// The controls below the maps: how they are drawn.

import { byId } from "./elements.js";

export const controls = {
  trio: byId("lfi-trio", HTMLSelectElement),
  palette: byId("lfi-palette", HTMLSelectElement),
  opacity: byId("lfi-opacity", HTMLInputElement),
  depth: byId("lfi-depth", HTMLInputElement),
  best: byId("lfi-best", HTMLInputElement),
  allWords: byId("lfi-all-words", HTMLInputElement),
  allLayers: byId("lfi-all-layers", HTMLInputElement),
  patches: byId("lfi-patches", HTMLInputElement),
  contour: byId("lfi-contour", HTMLInputElement),
};

/**
 * @param {Record<string, Uint8Array>} palettes
 * @returns {import("./service.js").Look}
 */
export function lookOf(palettes) {
  const [smooth, contour] = [!controls.patches.checked, controls.contour.checked];
  const palette = controls.palette.value;
  return { name: [palette, smooth, contour].join(), palette: palettes[palette], smooth, contour };
}

export function setOpacity() {
  const value = Number(controls.opacity.value);
  byId("lfi").style.setProperty("--lfi-opacity", String(value / 100));
  byId("lfi-opacity-value").textContent = `${value} %`;
}

// What of the controls stands in a link.
export function looks() {
  const { palette, opacity, allWords, allLayers, patches, contour } = controls;
  return {
    palette: palette.value,
    opacity: opacity.value,
    allWords: allWords.checked,
    allLayers: allLayers.checked,
    patches: patches.checked,
    contour: contour.checked,
  };
}

/** @param {ReturnType<typeof looks>} given */
export function setLooks({ palette, opacity, allWords, allLayers, patches, contour }) {
  controls.palette.value = palette;
  controls.opacity.value = opacity;
  controls.allWords.checked = allWords;
  controls.allLayers.checked = allLayers;
  controls.patches.checked = patches;
  controls.contour.checked = contour;
  setOpacity();
}

/**
 * The one scale of all columns: of this word and layer, or of all words, all layers, or both.
 *
 * @param {import("./service.js").View} view
 * @param {number} word
 * @param {number} position
 * @param {{ allWords: { checked: boolean }, allLayers: { checked: boolean } }} wanted
 */
export function scaleOf(view, word, position, { allWords, allLayers }) {
  const place = view.positions[position];
  if (!allLayers.checked) return allWords.checked ? place.scale : place.word_scales[word];
  if (!allWords.checked) return view.film_scales[word];
  return view.film_scales.reduce((one, two) => (two.high > one.high ? two : one));
}

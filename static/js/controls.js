// The controls below the maps: how they are drawn.

import { byId } from "./elements.js";

export const controls = {
  trio: byId("lfi-trio", HTMLSelectElement),
  palette: byId("lfi-palette", HTMLSelectElement),
  opacity: byId("lfi-opacity", HTMLInputElement),
  depth: byId("lfi-depth", HTMLInputElement),
  best: byId("lfi-best", HTMLInputElement),
  allWords: byId("lfi-all-words", HTMLInputElement),
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

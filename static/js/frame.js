// A picture with a map over it: the picture grey, the colours, a ring at the peak, a line at half of it.

import { paint, paintDifference, peakOf } from "./colour.js";
import { make } from "./elements.js";
import { contourOf, outlineOf } from "./outline.js";

export const MAP_SIDE = 320; // pixels of a panel's canvas along the picture's longer side; CSS does the rest
const SVG = "http://www.w3.org/2000/svg";

// A square frame with a picture in it and a canvas exactly over the picture, so nothing moves when pictures change.
// Without a label the canvas is silent: what it belongs to speaks for it.
/** @param {string | null} label */
export function makeFrame(label) {
  const picture = make("img", { alt: "", class: "lfi-picture" });
  const speech = label === null ? { "aria-hidden": "true" } : { role: "img", "aria-label": label };
  const canvas = make("canvas", { class: "lfi-heat", ...speech, width: 8, height: 8 });
  const marks = makeMarks();
  const stack = make("div", { class: "lfi-stack", hidden: true }, picture, canvas, ...marks.nodes);
  const node = make("div", { class: "lfi-frame" }, stack);
  const say = (text) => text && canvas.setAttribute("aria-label", text);
  return {
    node,
    canvas,
    stack,
    setPicture(shown, side) {
      const ratio = shown.width / shown.height;
      stack.hidden = false;
      stack.style.aspectRatio = String(ratio);
      stack.style.width = ratio >= 1 ? "100%" : "auto";
      stack.style.height = ratio >= 1 ? "auto" : "100%";
      canvas.width = Math.max(1, Math.round(side * Math.min(ratio, 1)));
      canvas.height = Math.max(1, Math.round(side / Math.max(ratio, 1)));
      if (picture.src !== shown.preview) picture.src = shown.preview;
    },
    /**
     * @param {Float32Array} map times uniform
     * @param {[number, number]} grid
     * @param {import("./service.js").Scale} scale
     * @param {import("./service.js").Look} look
     * @param {string} [text] what it says to those who do not see it
     */
    setMap(map, grid, scale, look, text) {
      paint(canvas, map, grid, scale, look);
      marks.draw(map, grid, look);
      canvas.hidden = false;
      stack.classList.add("lfi-under"); // a map: the picture turns grey
      say(text);
    },
    setDifference(first, second, limit, palette, text) {
      paintDifference(canvas, first, second, limit, palette);
      canvas.hidden = false;
      stack.classList.add("lfi-under");
      say(text);
    },
    clear(text) {
      canvas.hidden = true;
      marks.clear();
      stack.classList.remove("lfi-under");
      say(text);
    },
  };
}


function makeMarks() {
  const line = document.createElementNS(SVG, "svg");
  line.setAttribute("class", "lfi-contour");
  line.setAttribute("preserveAspectRatio", "none");
  line.setAttribute("aria-hidden", "true");
  const paths = ["lfi-region-under", "lfi-region-line"].map((name) => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", name);
    return path;
  });
  line.append(...paths);
  const ring = make("div", { class: "lfi-peak", "aria-hidden": "true", hidden: true });

  return {
    nodes: [line, ring],
    draw(map, grid, { smooth, contour }) {
      const [rows, columns] = grid;
      const { centre, value } = peakOf(map, grid);
      ring.hidden = value === Math.min(...map); // an even map has no peak
      ring.style.left = `${100 * centre.x}%`;
      ring.style.top = `${100 * centre.y}%`;
      line.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
      const path = !contour || ring.hidden ? "" : smooth ? contourOf(map, grid) : outlineOf(map, rows, columns);
      for (const each of paths) each.setAttribute("d", path);
    },
    clear() {
      ring.hidden = true;
      for (const each of paths) each.setAttribute("d", "");
    },
  };
}

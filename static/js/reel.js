// The film under a map: a small frame per layer, and how much of the attention moves between them as a line.

import { paint } from "./colour.js";
import { make, percent } from "./elements.js";

const SIDE = 72; // pixels of a small frame
const SVG = "http://www.w3.org/2000/svg";
const [HEIGHT, PAD] = [22, 3];
const LEAST = 0.1; // share of attention at the line's top, where less than this moves: a calm film must look calm

/**
 * The drift from layer to layer as a line; x in layers, so that it fits under frames that are side by side.
 *
 * @param {number[]} steps share that moves, from each layer to the next
 * @param {number} most share at the top
 */
export function sparkline(steps, most) {
  const layers = steps.length + 1;
  const line = document.createElementNS(SVG, "svg");
  line.setAttribute("class", "lfi-spark");
  line.setAttribute("viewBox", `0 0 ${layers} ${HEIGHT}`);
  line.setAttribute("preserveAspectRatio", "none");
  line.setAttribute("aria-hidden", "true");
  const top = Math.max(most, LEAST);
  const y = (share) => (HEIGHT - PAD - (share / top) * (HEIGHT - 2 * PAD)).toFixed(2);
  const points = steps.map((share, step) => `${step + 1} ${y(share)}`);
  const path = (kind, d) => {
    const node = document.createElementNS(SVG, "path");
    node.setAttribute("class", kind);
    node.setAttribute("d", d);
    line.append(node);
  };
  path("lfi-spark-ground", `M0 ${HEIGHT - PAD}H${layers}`);
  if (!points.length) return line;
  path("lfi-spark-area", `M1 ${HEIGHT - PAD}L${points.join("L")}L${steps.length} ${HEIGHT - PAD}Z`);
  path("lfi-spark-line", `M${points.join("L")}`);
  for (const point of points) path("lfi-spark-point", `M${point}h0`);
  return line;
}

/** @param {{ onLayer: (layer: number) => void }} given somebody clicked a frame */
export function makeReel({ onLayer }) {
  const frames = make("div", { class: "lfi-reel-frames" });
  const spark = make("div", { class: "lfi-reel-spark" });
  const note = make("p", { class: "lfi-reel-note", "aria-hidden": "true" });
  const node = make("div", { class: "lfi-reel", role: "img", "aria-label": "no film yet" }, frames, spark, note);
  /** @type {{ cell: HTMLElement, picture: HTMLImageElement, canvas: HTMLCanvasElement }[]} */
  let cells = [];

  function makeCell(layer) {
    const picture = make("img", { alt: "" });
    const canvas = make("canvas", { "aria-hidden": "true", width: 8, height: 8, hidden: true });
    const cell = make("div", { class: "lfi-reel-cell", onclick: () => onLayer(layer) }, make("div", { class: "lfi-reel-frame" }, picture, canvas));
    return { cell, picture, canvas };
  }

  return {
    node,
    /**
     * Empty frames, so that nothing moves when there are maps.
     *
     * @param {number} count
     * @param {number} most of any column: frames of all columns are of one size
     */
    setCount(count, most) {
      node.style.setProperty("--lfi-frames", String(most));
      node.style.setProperty("--lfi-layers", String(count));
      if (cells.length !== count) cells = Array.from({ length: count }, (_, layer) => makeCell(layer));
      frames.replaceChildren(...cells.map((each) => each.cell));
    },
    clear() {
      for (const { cell, canvas } of cells) {
        canvas.hidden = true;
        cell.classList.remove("lfi-current");
      }
      spark.replaceChildren();
      note.textContent = "";
      node.setAttribute("aria-label", "no film yet");
    },
    /** @param {import("./service.js").Picture} shown */
    setPicture(shown) {
      for (const { picture } of cells) if (picture.src !== shown.preview) picture.src = shown.preview ?? "";
    },
    /**
     * @param {object} given
     * @param {string} given.name
     * @param {number} given.ratio of the picture's width to its height
     * @param {import("./service.js").Maps} given.maps
     * @param {number} given.word
     * @param {import("./service.js").Scale} given.scale of all frames
     * @param {import("./service.js").Look} given.look
     * @param {number} given.most drift at the top of the line, the same for all columns
     * @param {number} given.best the layer that was chosen on validation data
     */
    draw({ name, ratio, maps, word, scale, look, most, best }) {
      const count = maps.layers.length;
      cells.forEach(({ cell, canvas }, layer) => {
        canvas.width = Math.max(1, Math.round(SIDE * Math.min(ratio, 1)));
        canvas.height = Math.max(1, Math.round(SIDE / Math.max(ratio, 1)));
        canvas.hidden = false;
        paint(canvas, maps.at(layer, word), maps.grid, scale, look);
        cell.classList.toggle("lfi-best-layer", layer === best);
        cell.title = `${maps.layers[layer]}${layer === best ? ", the best on validation data" : ""}`;
      });
      const { steps, mean } = maps.drift[word];
      spark.replaceChildren(...(count > 1 ? [sparkline(steps, most)] : []));
      const moved = mean === null ? "one layer: nothing to play" : `${percent(mean)} of the attention moves per layer`;
      note.textContent = moved;
      const path = steps.length ? ` From layer to layer: ${steps.map(percent).join(", ")}.` : "";
      node.setAttribute("aria-label", `${name} through its layers, ${best + 1} is the best: ${moved}.${path}`);
    },
    /** @param {number} layer */
    mark(layer) {
      cells.forEach(({ cell }, index) => cell.classList.toggle("lfi-current", index === layer));
    },
  };
}

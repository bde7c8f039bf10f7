// "How to read this", written on the maps that are on screen: what the ring, the colours, the grey and r mean here.

import { peakOf } from "./colour.js";
import { byId, make, short } from "./elements.js";
import { pairOf } from "./pairs.js";

const SVG = "http://www.w3.org/2000/svg";

/** @param {{ panels: any[] }} given the panels of `makeMaps` */
export function makeGuide({ panels }) {
  const button = byId("lfi-guide", HTMLButtonElement);
  /** @type {import("./service.js").Scene | null} */
  let scene = null;
  let open = false;

  const notes = panels.map((panel) => {
    const line = document.createElementNS(SVG, "svg");
    line.setAttribute("class", "lfi-guide-line");
    line.setAttribute("preserveAspectRatio", "none");
    line.setAttribute("viewBox", "0 0 1 1");
    line.setAttribute("aria-hidden", "true");
    const text = make("p", { class: "lfi-guide-text" });
    const node = make("div", { class: "lfi-guide-note", hidden: true }, line, text);
    panel.frame.stack.append(node);
    return { panel, line, text, node };
  });

  // The centre of the patch that gets least.
  function weakest(map, [rows, columns]) {
    const least = map.indexOf(Math.min(...map));
    return { x: ((least % columns) + 0.5) / columns, y: (Math.floor(least / columns) + 0.5) / rows };
  }

  // What is written on one map, and where it points, in shares of the picture.
  function noteOf(index, maps, key, { view, word, position }) {
    const { layers, pairs } = view.positions[position];
    const map = maps.at(layers[key], word);
    const peak = peakOf(map, maps.grid);
    if (index === 0) return { at: peak.centre, text: `The ring marks the patch with the most attention: ${short(peak.value)} times an even share. The bar above explains the colours: each doubling is an equal step.` };
    if (index === 1) return { at: weakest(map, maps.grid), text: "Where the picture is grey, attention is even or less: 1× or below. So colour always means more than that." };
    const pair = pairOf(pairs, key, "teacher");
    const r = pair?.words[word].correlation;
    const alike = r == null ? "" : ` Here r is ${short(r)}: 1 would equal the teacher's map, 0 is unrelated to it.`;
    return { at: null, text: `All maps share one scale, so a pale map is one with hardly any preference.${alike}` };
  }

  function show() {
    button.setAttribute("aria-expanded", String(open));
    let number = 0;
    for (const { panel, line, text, node } of notes) {
      const maps = scene?.view && scene.word >= 0 && !panel.node.hidden ? scene.view.models[panel.key] : null;
      node.hidden = !open || !maps;
      if (!scene || !maps || node.hidden) continue;
      const { at, text: said } = noteOf(number++, maps, panel.key, scene);
      const above = at ? at.y > 0.5 : false; // the text keeps out of the way of what it speaks of
      node.dataset.at = above ? "top" : "bottom";
      text.textContent = said;
      line.replaceChildren();
      if (!at) continue;
      for (const name of ["lfi-region-under", "lfi-region-line"]) {
        const path = document.createElementNS(SVG, "path");
        path.setAttribute("class", name);
        path.setAttribute("d", `M.5 ${above ? 0.2 : 0.8}L${at.x} ${at.y}`);
        line.append(path);
      }
    }
  }

  button.onclick = () => {
    open = !open;
    show();
  };

  return {
    /** @param {import("./service.js").Scene} next */
    draw(next) {
      scene = next;
      button.disabled = !next.view || next.word < 0;
      show();
    },
  };
}

// Above the layer slider: how each column agrees with the teacher at every depth, so that none is looked for by hand.

import { short } from "./elements.js";
import { pairOf } from "./pairs.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 30;
const LOWEST = -0.25; // of r; less is drawn here

/**
 * @param {import("./service.js").View} view
 * @param {number} word
 * @param {string[]} columns
 * @param {import("./service.js").Answerer[]} answers
 * @returns {{ drawing: SVGSVGElement, text: string } | null} null where nothing is compared with the teacher
 */
export function agreementMarks(view, word, columns, answers) {
  const depths = view.positions.slice(1);
  const compared = columns.filter((key) => key !== "teacher");
  if (depths.length < 2 || !compared.length) return null;
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${depths.length - 1} ${HEIGHT}`);
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("aria-hidden", "true");
  const y = (r) => (3 + (1 - (Math.max(r, LOWEST) - LOWEST) / (1 - LOWEST)) * (HEIGHT - 6)).toFixed(2);
  const add = (name, d, role) => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", name);
    path.setAttribute("d", d);
    if (role) path.dataset.model = role;
    drawing.append(path);
  };
  add("lfi-mark-zero", `M0 ${y(0)}H${depths.length - 1}`, "");
  const said = compared.map((key) => {
    const answer = answers.find((each) => each.key === key);
    const values = depths.map((place) => pairOf(place.pairs, key, "teacher")?.words[word].correlation ?? null);
    const points = values.map((r, depth) => (r === null ? "" : `${depth} ${y(r)}`));
    const there = points.filter(Boolean);
    if (there.length) add("lfi-mark-line", `M${there.join("L")}`, answer?.role);
    points.forEach((point, depth) => {
      const best = depths[depth].layers[key] === view.positions[0].layers[key];
      if (point) add(best ? "lfi-mark lfi-mark-best" : "lfi-mark", `M${point}h0`, answer?.role);
    });
    return `${answer?.name}: ${values.map((r) => (r === null ? "–" : short(r))).join(", ")}`;
  });
  return { drawing, text: `Agreement with the teacher, r, by layer. ${said.join("; ")}.` };
}

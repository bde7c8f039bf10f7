// Point at a patch (mouse, finger or arrow keys) to read its numbers in every column and which queries look there; point
// at a word to see its region, the patches with at least half of its peak.

import { byId, fill, make, short } from "./elements.js";
import { outlineOf } from "./outline.js";

const SVG = "http://www.w3.org/2000/svg";
const LOOKING = 1; // times uniform: a query looks at a patch that gets more than its even share
const TEACH = "Point at a patch, or press the arrow keys on a map, to read its numbers and which queries look there. Point at a word to see its region.";

export function makeProbe({ panels }) {
  const out = byId("lfi-probe");
  /** @type {import("./service.js").Scene | null} */
  let scene = null;
  /** @type {{ x: number, y: number } | null} */
  let at = null; // in shares of the picture
  let pinned = false;
  /** @type {HTMLElement | null} */
  let read = null; // the patch's mark in the map that is pointed at
  const root = byId("lfi");
  /** @type {{ word: number } | { query: number } | null} */
  let peeked = null;

  const marks = panels.map((panel) => {
    const box = make("div", { class: "lfi-patch", hidden: true });
    const region = document.createElementNS(SVG, "svg");
    region.setAttribute("class", "lfi-region");
    region.setAttribute("preserveAspectRatio", "none");
    region.setAttribute("aria-hidden", "true");
    panel.frame.stack.append(region, box);
    panel.frame.stack.tabIndex = 0;
    panel.frame.stack.setAttribute("role", "group");
    listen(panel);
    return { panel, box, region };
  });

  // What a panel has on screen: the view, the maps of its model and the layers, or null.
  function shownIn(panel) {
    if (!scene?.view || scene.word < 0) return null;
    const { view, word, position } = scene;
    const maps = view.models[panel.key];
    return maps ? { view, word, maps, layers: view.positions[position].layers } : null;
  }

  /**
   * Row and column of the patch under the pointer on a grid.
   *
   * @param {[number, number]} grid
   */
  function patchOf([rows, columns]) {
    if (!at) return [0, 0];
    return [Math.min(Math.floor(at.y * rows), rows - 1), Math.min(Math.floor(at.x * columns), columns - 1)];
  }

  function listen(panel) {
    const { stack } = panel.frame;
    const place = (event) => {
      const bounds = stack.getBoundingClientRect();
      const within = (value) => Math.min(Math.max(value, 0), 0.999999);
      return { x: within((event.clientX - bounds.left) / bounds.width), y: within((event.clientY - bounds.top) / bounds.height) };
    };
    const here = () => (read = marks.find((each) => each.panel === panel)?.box ?? null);
    stack.addEventListener("pointermove", (event) => {
      if (pinned || event.pointerType !== "mouse") return;
      here();
      move(place(event));
    });
    stack.addEventListener("pointerleave", () => {
      if (!pinned && document.activeElement !== stack) move(null);
    });
    // A click or a tap holds the patch; another one on it lets go.
    stack.addEventListener("click", (event) => {
      here();
      const next = place(event);
      const grid = shownIn(panel)?.maps.grid;
      const before = pinned && grid && at ? patchOf(grid).join() : "";
      move(next);
      pinned = grid !== undefined && patchOf(grid).join() !== before;
      if (!pinned) move(null);
    });
    stack.addEventListener("keydown", (event) => {
      const shown = shownIn(panel);
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (event.key === "Escape") {
        pinned = false;
        move(null);
      } else if (step && shown) {
        event.preventDefault();
        const { maps, layers, word } = shown;
        const [rows, columns] = maps.grid;
        const map = maps.at(layers[panel.key], word);
        const peak = map.indexOf(Math.max(...map));
        let [row, column] = at ? patchOf(maps.grid) : [Math.floor(peak / columns), peak % columns];
        if (at) {
          row = Math.min(Math.max(row + step[0], 0), rows - 1);
          column = Math.min(Math.max(column + step[1], 0), columns - 1);
        }
        pinned = true;
        here();
        move({ x: (column + 0.5) / columns, y: (row + 0.5) / rows });
      }
    });
  }

  function move(next) {
    at = next;
    show();
  }

  function show() {
    for (const { panel, box, region } of marks) {
      const maps = shownIn(panel)?.maps;
      box.hidden = !at || !maps;
      if (at && maps) {
        const [rows, columns] = maps.grid;
        const [row, column] = patchOf(maps.grid);
        const sizes = { left: column / columns, top: row / rows, width: 1 / columns, height: 1 / rows };
        for (const [name, share] of Object.entries(sizes)) box.style[name] = `${100 * share}%`;
      }
      drawRegion(region, panel);
      panel.frame.stack.setAttribute("aria-label", `Patches of ${panel.name}: arrow keys read them`);
    }
    write();
  }

  // The map of what is pointed at elsewhere on the page, as this panel has it.
  function peekedIn(panel) {
    const shown = shownIn(panel);
    if (!shown || !peeked) return null;
    const { maps, layers, view } = shown;
    if ("word" in peeked && maps.absences?.[peeked.word]) return null; // it has no region of what is not there
    if ("word" in peeked) return { map: maps.at(layers[panel.key], peeked.word), grid: maps.grid };
    if (panel.key !== "lfi" || !view.queries) return null;
    return { map: view.queries.at(layers.lfi, peeked.query), grid: view.queries.grid };
  }

  function drawRegion(region, panel) {
    const found = peekedIn(panel);
    region.replaceChildren();
    if (!found) return;
    const { map, grid } = found;
    const [rows, columns] = grid;
    region.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
    const outline = outlineOf(map, rows, columns);
    for (const name of ["lfi-region-under", "lfi-region-line"]) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", name);
      path.setAttribute("d", outline);
      region.append(path);
    }
  }

  function write() {
    const all = panels.filter((panel) => shownIn(panel));
    const shown = all.length ? shownIn(all[0]) : null;
    out.toggleAttribute("data-reading", Boolean(at && shown));
    if (peeked && shown) {
      const { view } = shown;
      const what = "word" in peeked ? `“${view.words[peeked.word]}”` : view.queries?.names[peeked.query];
      return fill(out, make("p", {}, `Outlined: the region of ${what}, the patches with at least half of its peak.`));
    }
    if (!at || !shown) return fill(out, make("p", {}, TEACH));
    const { view, word, layers } = shown;
    const { queries } = view;
    const read = (maps, layer, query) => {
      const [row, column] = patchOf(maps.grid);
      return maps.at(layer, query)[row * maps.grid[1] + column];
    };
    const values = all.map((panel) =>
      make("span", { class: "lfi-probe-value", "data-model": panel.node.dataset.model },
        make("span", { class: "lfi-dot", "aria-hidden": "true" }),
        `${panel.name} ${short(read(view.models[panel.key], layers[panel.key], word))}×`),
    );
    const { grid } = shown.maps;
    const [row, column] = patchOf(grid);
    const looking = (queries?.named ?? [])
      .map(([near], query) => ({ name: queries?.names[query], near, value: read(queries, layers.lfi, query) }))
      .filter((each) => each.value > LOOKING)
      .sort((a, b) => b.value - a.value)
      .slice(0, 4)
      .map((each) => `${each.name} (near “${each.near}”) ${short(each.value)}×`);
    const there = looking.length ? `Queries that look here: ${looking.join(", ")}` : "No query looks here more than elsewhere";
    const tip = make(
      "div",
      { class: "lfi-tip" },
      make("p", { class: "lfi-probe-values" }, make("strong", {}, `Row ${row + 1}, column ${column + 1} of ${grid.join(" × ")}`), ...values),
      make("p", {}, `${there}.`),
    );
    fill(out, tip);
    putBeside(tip);
  }

  // Beside the patch that is pointed at, within the window; where there is no room for that, the style says where.
  function putBeside(tip) {
    if (!read || getComputedStyle(tip).position !== "absolute") return;
    const [patch, page] = [read.getBoundingClientRect(), root.getBoundingClientRect()];
    const [width, height] = [tip.offsetWidth, tip.offsetHeight];
    const right = patch.right + 10;
    const left = right + width > innerWidth - 8 ? Math.max(patch.left - width - 10, 8) : right;
    const top = Math.max(Math.min(patch.bottom + 10, innerHeight - height - 8), 8);
    tip.style.left = `${left - page.left}px`;
    tip.style.top = `${top - page.top}px`;
  }

  return {
    /** @param {import("./service.js").Scene} next */
    draw(next) {
      if (next.picture !== scene?.picture) [at, pinned, peeked] = [null, false, null];
      scene = next;
      if (peeked && "word" in peeked && peeked.word >= (scene.view?.words.length ?? 0)) peeked = null;
      show();
    },
    // `{ word }`, `{ query }` or null: what is pointed at elsewhere on the page.
    peek(what) {
      peeked = what;
      show();
    },
  };
}

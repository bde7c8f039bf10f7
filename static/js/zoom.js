// Zoom and pan in all maps at once: Ctrl and the wheel, two fingers, the buttons, or + − 0 on a map; drag to move.

import { byId } from "./elements.js";

const MOST = 8;
const STEP = 1.5;
const MOVED = 4; // pixels from which a press is a drag and no click

export function makeZoom() {
  const area = byId("lfi-panels");
  const [closer, away, whole] = ["lfi-zoom-in", "lfi-zoom-out", "lfi-zoom-whole"].map((id) => byId(id, HTMLButtonElement));
  const value = byId("lfi-zoom-value");
  let zoom = 1;
  let [x, y] = [0.5, 0.5]; // what is in the middle, in shares of the picture
  /** @type {Map<number, { x: number, y: number }>} */
  const fingers = new Map();
  let dragged = 0;

  function show() {
    const edge = 0.5 / zoom;
    [x, y] = [x, y].map((share) => Math.min(Math.max(share, edge), 1 - edge));
    for (const [name, number] of Object.entries({ zoom, x, y })) area.style.setProperty(`--lfi-${name}`, String(number));
    area.toggleAttribute("data-zoomed", zoom > 1);
    value.textContent = `${zoom.toFixed(1).replace(".0", "")}×`;
    [closer.disabled, away.disabled, whole.disabled] = [zoom >= MOST, zoom <= 1, zoom <= 1];
  }

  /**
   * @param {number} next
   * @param {{ x: number, y: number }} [at] stays where it is
   */
  function to(next, at) {
    next = Math.min(Math.max(next, 1), MOST);
    if (at) [x, y] = [at.x + ((x - at.x) * zoom) / next, at.y + ((y - at.y) * zoom) / next];
    zoom = next;
    show();
  }

  function stackOf(event) {
    return /** @type {HTMLElement | null} */ (event.target instanceof Element ? event.target.closest(".lfi-panel .lfi-stack") : null);
  }

  function shareOf(stack, { clientX, clientY }) {
    const box = stack.getBoundingClientRect();
    return { x: (clientX - box.left) / box.width, y: (clientY - box.top) / box.height };
  }

  area.addEventListener("wheel", (event) => {
    const stack = stackOf(event);
    if (!stack || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    to(zoom * Math.exp(-event.deltaY / 300), shareOf(stack, event));
  }, { passive: false });

  area.addEventListener("keydown", (event) => {
    if (!stackOf(event) || event.ctrlKey || event.metaKey) return;
    const next = { "+": zoom * STEP, "=": zoom * STEP, "-": zoom / STEP, "0": 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    to(next);
  });

  area.addEventListener("pointerdown", (event) => {
    if (stackOf(event)) fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (fingers.size === 1) dragged = 0;
  });
  window.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    const stack = area.querySelector(".lfi-panel:not([hidden]) .lfi-stack");
    if (!before || !stack) return;
    const now = { x: event.clientX, y: event.clientY };
    const spread = () => {
      const [one, two] = [...fingers.values()];
      return Math.hypot(one.x - two.x, one.y - two.y);
    };
    const apart = fingers.size === 2 ? spread() : 0;
    fingers.set(event.pointerId, now);
    dragged += Math.hypot(now.x - before.x, now.y - before.y);
    if (fingers.size === 2 && apart > 0) to((zoom * spread()) / apart);
    else if (zoom > 1) {
      const box = stack.getBoundingClientRect();
      [x, y] = [x - (now.x - before.x) / box.width, y - (now.y - before.y) / box.height];
      show();
    }
  });
  for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, (event) => fingers.delete(/** @type {PointerEvent} */ (event).pointerId));
  // What was a drag is no click on a patch.
  area.addEventListener("click", (event) => {
    if (zoom > 1 && dragged > MOVED && stackOf(event)) event.stopPropagation();
  }, { capture: true });

  closer.addEventListener("click", () => to(zoom * STEP));
  away.addEventListener("click", () => to(zoom / STEP));
  whole.addEventListener("click", () => to(1));
  show();

  return { reset: () => to(1) };
}

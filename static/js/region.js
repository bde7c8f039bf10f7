// A region that a visitor marks (box, brush, keys) or uploads, and how much of every map lies in it, as the service says.

import { contextOf } from "./colour.js";
import { byId, fill, first, make, percent, sentence } from "./elements.js";
import { makeFrame } from "./frame.js";
import { GONE } from "./service.js";

const REGION_SIDE = 128; // of the mask, in pixels along the longer side: patches are far coarser
const REGION_CELLS = 16; // of the keyboard's cursor
const REGION_COLOUR = [255, 214, 0];

export function makeRegion({ ask, onMeasured }) {
  const frame = makeFrame("no region yet");
  const { stack, canvas } = frame;
  fill(byId("lfi-region-frame"), frame.node);
  const note = byId("lfi-region-note");
  const clear = byId("lfi-region-clear", HTMLButtonElement);
  const cursor = make("div", { class: "lfi-patch", hidden: true });
  stack.append(cursor);
  stack.classList.add("lfi-marking");
  stack.tabIndex = 0;
  stack.setAttribute("role", "group");
  stack.setAttribute("aria-label", "Mark a region: arrow keys move, the space bar marks");
  let picture = null;
  let scene = null;
  let mask = null; // Uint8Array of 0 and 1, canvas.width x canvas.height
  let before = null; // the mask when a box was begun
  let start = null;
  let cell = [0, 0];
  let found = null; // { number, area, models } of one view
  let asked = 0;
  let askedFor = 0; // number of the view that the latest question was about
  let trouble = "";

  const tool = () => first(document, "[name=lfi-tool]:checked", HTMLInputElement).value;
  const marked = () => mask?.some(Boolean);
  const known = () => (found && found.number === scene?.view?.number ? found : null); // other words come before their shares
  let wanted; // the box of a link until there is a picture, null where it cannot be read

  function reset() {
    mask = new Uint8Array(canvas.width * canvas.height);
    found = null;
    trouble = "";
    asked++;
    paintMask();
  }

  function paintMask() {
    const context = contextOf(canvas);
    const image = context.createImageData(canvas.width, canvas.height);
    for (let pixel = 0; pixel < mask.length; pixel++) {
      if (mask[pixel]) image.data.set([...REGION_COLOUR, 255], 4 * pixel);
    }
    context.putImageData(image, 0, 0);
    canvas.hidden = false;
    canvas.setAttribute("aria-label", marked() ? "Your picture with the region you marked" : "Your picture, nothing marked");
    clear.disabled = !marked();
  }

  function fillBox([x0, y0], [x1, y1], value) {
    const [left, right] = [Math.min(x0, x1), Math.max(x0, x1)];
    const [top, bottom] = [Math.min(y0, y1), Math.max(y0, y1)];
    for (let y = Math.floor(top); y < Math.ceil(bottom); y++) mask.fill(value, y * canvas.width + Math.floor(left), y * canvas.width + Math.ceil(right));
  }

  // The region as a box in shares of the picture, where it is one.
  function boxOf() {
    if (!marked()) return null;
    const { width, height } = canvas;
    let [left, top, right, bottom] = [width, height, 0, 0];
    let count = 0;
    mask.forEach((value, pixel) => {
      if (!value) return;
      const [x, y] = [pixel % width, Math.floor(pixel / width)];
      [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x + 1), Math.max(bottom, y + 1)];
      count++;
    });
    return count === (right - left) * (bottom - top) ? [left / width, top / height, right / width, bottom / height] : null;
  }

  function markBox([left, top, right, bottom]) {
    const within = (share, size) => Math.round(share * size);
    /** @type {[number, number]} */
    const start = [Math.min(within(left, canvas.width), canvas.width - 1), Math.min(within(top, canvas.height), canvas.height - 1)];
    fillBox(start, [Math.max(within(right, canvas.width), start[0] + 1), Math.max(within(bottom, canvas.height), start[1] + 1)], 1);
    paintMask();
  }

  function dab([x, y], value) {
    const radius = 0.05 * REGION_SIDE;
    for (let row = Math.max(Math.floor(y - radius), 0); row < Math.min(y + radius, canvas.height); row++) {
      for (let column = Math.max(Math.floor(x - radius), 0); column < Math.min(x + radius, canvas.width); column++) {
        if ((column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= radius ** 2) mask[row * canvas.width + column] = value;
      }
    }
  }

  // Where the pointer is, in pixels of the mask.
  /** @returns {[number, number]} */
  function placeOf(event) {
    const bounds = canvas.getBoundingClientRect();
    const within = (share) => Math.min(Math.max(share, 0), 1);
    return [within((event.clientX - bounds.left) / bounds.width) * canvas.width, within((event.clientY - bounds.top) / bounds.height) * canvas.height];
  }

  function stroke(event) {
    const at = placeOf(event);
    if (tool() === "box") {
      mask.set(before);
      fillBox(start, at, 1);
    } else dab(at, tool() === "brush" ? 1 : 0);
    paintMask();
  }

  stack.addEventListener("pointerdown", (event) => {
    if (!picture || event.button !== 0) return;
    event.preventDefault();
    stack.setPointerCapture(event.pointerId);
    start = placeOf(event);
    before = mask.slice();
    stroke(event);
  });
  stack.addEventListener("pointermove", (event) => start && stroke(event));
  for (const end of ["pointerup", "pointercancel"]) {
    stack.addEventListener(end, () => {
      if (!start) return;
      start = null;
      measure();
    });
  }
  stack.addEventListener("keydown", (event) => {
    if (!picture) return;
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    const size = Math.max(canvas.width, canvas.height) / REGION_CELLS;
    const [columns, rows] = [Math.ceil(canvas.width / size), Math.ceil(canvas.height / size)];
    if (step) cell = [Math.min(Math.max(cell[0] + step[0], 0), columns - 1), Math.min(Math.max(cell[1] + step[1], 0), rows - 1)];
    else if (event.key === " " || event.key === "Enter") {
      /** @type {[number, number]} */
      const corner = [Math.round(cell[0] * size), Math.round(cell[1] * size)];
      const value = mask[corner[1] * canvas.width + corner[0]] ? 0 : 1;
      fillBox(corner, [Math.min(corner[0] + size, canvas.width), Math.min(corner[1] + size, canvas.height)], value);
      paintMask();
      measure();
    } else return;
    event.preventDefault();
    showCursor(size);
  });
  stack.addEventListener("blur", () => (cursor.hidden = true));

  function showCursor(size) {
    const share = (value, whole) => `${(100 * value) / whole}%`;
    cursor.hidden = false;
    cursor.style.left = share(cell[0] * size, canvas.width);
    cursor.style.top = share(cell[1] * size, canvas.height);
    cursor.style.width = share(size, canvas.width);
    cursor.style.height = share(size, canvas.height);
  }

  clear.addEventListener("click", () => {
    reset();
    onMeasured();
  });

  // An uploaded mask is laid over the whole picture; what is light (or opaque, where it has no colour) is inside.
  const upload = byId("lfi-region-file", HTMLInputElement);
  upload.addEventListener("change", async () => {
    const file = upload.files?.[0];
    upload.value = "";
    if (!file || !picture) return;
    try {
      const bitmap = await createImageBitmap(file);
      const ratio = bitmap.width / bitmap.height / (picture.width / picture.height);
      if (ratio < 0.95 || ratio > 1.05) throw new Error(`the mask is ${bitmap.width} × ${bitmap.height} pixels, the picture ${picture.width} × ${picture.height}; both need the same shape`);
      const sheet = make("canvas", { width: canvas.width, height: canvas.height });
      const context = contextOf(sheet);
      context.fillRect(0, 0, sheet.width, sheet.height);
      context.drawImage(bitmap, 0, 0, sheet.width, sheet.height);
      const { data } = context.getImageData(0, 0, sheet.width, sheet.height);
      reset();
      for (let pixel = 0; pixel < mask.length; pixel++) mask[pixel] = data[4 * pixel] + data[4 * pixel + 1] + data[4 * pixel + 2] > 382 ? 1 : 0;
      if (!marked()) throw new Error("the mask is dark everywhere; its light parts are the region");
      paintMask();
      measure();
    } catch (error) {
      trouble = error instanceof DOMException ? "the file is not an image this browser can read" : String(/** @type {Error} */ (error).message);
      write();
    }
  });

  // The mask as a PNG in base64: light is inside.
  function encoded() {
    const sheet = make("canvas", { width: canvas.width, height: canvas.height });
    const context = contextOf(sheet);
    const image = context.createImageData(canvas.width, canvas.height);
    for (let pixel = 0; pixel < mask.length; pixel++) image.data.set(mask[pixel] ? [255, 255, 255, 255] : [0, 0, 0, 255], 4 * pixel);
    context.putImageData(image, 0, 0);
    return sheet.toDataURL("image/png").split(",")[1];
  }

  async function measure() {
    trouble = "";
    const turn = ++asked;
    found = null;
    if (!marked() || !scene?.view || scene.word < 0) return onMeasured();
    const { number } = scene.view;
    askedFor = number;
    const answer = await ask(encoded(), scene.view);
    if (turn !== asked) return;
    if (!answer || answer.error) trouble = answer ? answer.error.message : GONE;
    else found = { number, ...answer.region };
    onMeasured();
  }

  function write() {
    const { view, word, position, answers } = scene ?? {};
    const measured = known();
    note.classList.toggle("lfi-wrong", Boolean(trouble));
    if (trouble) note.textContent = sentence(trouble);
    else if (!measured || !view || word < 0) {
      note.textContent = "Mark where the word is, by hand or with a mask, to see how much of each map lies inside and whether its peak does.";
    } else {
      const { layers } = view.positions[position];
      const rows = Object.entries(measured.models).flatMap(([key, model]) => {
        const one = model[layers[key]][word];
        const name = answers.find((answer) => answer.key === key).choice;
        return [make("span", {}, name), make("span", {}, percent(one.energy)), make("span", {}, `peak ${one.hit ? "inside" : "outside"}`)];
      });
      const head = make("p", {}, `Attention for “${view.words[word]}” inside your region:`);
      fill(note, head, make("div", { class: "lfi-inside" }, make("span", {}, "An even map"), make("span", {}, percent(measured.area)), make("span", {}, ""), ...rows));
    }
  }

  return {
    restore: (box) => (wanted = box),
    encoded,
    get box() {
      return boxOf();
    },
    get marked() {
      return Boolean(marked());
    },
    // What is known of the region for this scene: null while nothing is marked or the answer is under way.
    /** @param {import("./service.js").Scene} next */
    of(next) {
      scene = next;
      // a picture that is kept is still the same one, and so is its region
      if (next.picture?.preview && next.picture.id !== picture?.id) {
        picture = next.picture;
        frame.setPicture(picture, REGION_SIDE);
        reset();
        if (wanted) markBox(wanted);
        else if (wanted === null) trouble = "the region of this link cannot be read, so it was left out; four shares were expected, such as 0.5,0,1,0.5";
        wanted = undefined;
      }
      // other words or columns: the same region, asked again
      if (marked() && !start && next.view && next.word >= 0 && askedFor !== next.view.number) measure();
      write();
      return known();
    },
  };
}

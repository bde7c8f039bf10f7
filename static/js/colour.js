// Maps as colours: the same steps as lfi.rendering.overlays. Values (times uniform) are interpolated bicubically and held
// within the map's own; on the shared scale they become palette positions 0-255, an equal step for each doubling, and the
// opacity grows with those, from nothing at the scale's low end. The strongest opacity is CSS (--lfi-opacity): the slider
// costs nothing.

const GROWTH = 1.25; // of the opacity with the position on the scale
const OPACITIES = Array.from({ length: 256 }, (_, level) => Math.round(255 * (level / 255) ** GROWTH));
const SHARPNESS = -0.5; // of the cubic, as in Pillow

export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

// Maps of one model: layers x queries x height x width, with `at(layer, query)` as a view on one map.
export function readMaps(block) {
  const values = new Float32Array(bytesOf(block.values).buffer);
  const [height, width] = block.grid;
  const queries = block.names.length;
  return {
    ...block,
    height,
    width,
    at(layer, query) {
      const start = (layer * queries + query) * height * width;
      return values.subarray(start, start + height * width);
    },
  };
}

// Keys 1981, the cubic convolution.
function cubic(distance) {
  const x = Math.abs(distance);
  if (x < 1) return ((SHARPNESS + 2) * x - (SHARPNESS + 3)) * x * x + 1;
  return x < 2 ? SHARPNESS * (((x - 5) * x + 8) * x - 4) : 0;
}

// For each of `count` pixels the first patch that it is made of and the weights from there on.
function weightsOf(count, cells, smooth) {
  return Array.from({ length: count }, (_, index) => {
    const centre = ((index + 0.5) * cells) / count;
    if (!smooth) return { from: Math.floor(centre), weights: [1] };
    const from = Math.max(Math.floor(centre - 1.5), 0);
    const to = Math.min(Math.floor(centre + 2.5), cells);
    const raw = Array.from({ length: to - from }, (_, step) => cubic(from + step + 0.5 - centre));
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return { from, weights: raw.map((weight) => weight / sum) };
  });
}

/**
 * Patches as pixels: bicubic, never above or below the patches themselves.
 *
 * @param {ArrayLike<number>} patches row by row
 * @param {[number, number]} grid
 * @param {number} width
 * @param {number} height
 * @param {boolean} smooth false repeats each patch
 */
export function enlarged(patches, [rows, columns], width, height, smooth = true) {
  const across = weightsOf(width, columns, smooth);
  const wide = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    across.forEach(({ from, weights }, x) => {
      let sum = 0;
      for (let step = 0; step < weights.length; step++) sum += weights[step] * patches[row * columns + from + step];
      wide[row * width + x] = sum;
    });
  }
  const [least, most] = rangeOf(patches);
  const pixels = new Float32Array(width * height);
  weightsOf(height, rows, smooth).forEach(({ from, weights }, y) => {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let step = 0; step < weights.length; step++) sum += weights[step] * wide[(from + step) * width + x];
      pixels[y * width + x] = Math.min(Math.max(sum, least), most);
    }
  });
  return pixels;
}

/** @param {ArrayLike<number>} values */
function rangeOf(values) {
  let [least, most] = [Infinity, -Infinity];
  for (let index = 0; index < values.length; index++) [least, most] = [Math.min(least, values[index]), Math.max(most, values[index])];
  return [least, most];
}

/** @param {HTMLCanvasElement} canvas */
export function contextOf(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")); // null only where another kind was asked for before
}

// Every pixel in a colour of the palette (`entryAt(pixel)`, 0-255), as opaque as `opacityAt(pixel)` in 0-255 says.
function colourIn(canvas, palette, entryAt, opacityAt) {
  const context = contextOf(canvas);
  const image = context.createImageData(canvas.width, canvas.height);
  const bytes = image.data;
  for (let pixel = 0; pixel < canvas.width * canvas.height; pixel++) {
    const entry = entryAt(pixel);
    bytes[4 * pixel] = palette[3 * entry];
    bytes[4 * pixel + 1] = palette[3 * entry + 1];
    bytes[4 * pixel + 2] = palette[3 * entry + 2];
    bytes[4 * pixel + 3] = opacityAt(pixel, entry);
  }
  context.putImageData(image, 0, 0);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} map times uniform
 * @param {[number, number]} grid
 * @param {import("./service.js").Scale} scale
 * @param {import("./service.js").Look} look
 */
export function paint(canvas, map, grid, scale, { palette, smooth }) {
  const held = map.map((value) => Math.min(value, scale.high));
  const pixels = enlarged(held, grid, canvas.width, canvas.height, smooth);
  const steps = 255 / Math.log2(scale.high / scale.low);
  const level = (pixel) => Math.round(Math.min(Math.log2(Math.max(pixels[pixel] / scale.low, 1)) * steps, 255));
  colourIn(canvas, palette, level, (pixel, entry) => OPACITIES[entry]);
}

// The first map less the second (`{ map, grid }`), from -limit to limit: the same steps as lfi.rendering.difference.
export function paintDifference(canvas, first, second, limit, palette) {
  const [one, two] = [first, second].map(({ map, grid }) => enlarged(map, grid, canvas.width, canvas.height));
  const shares = one.map((value, pixel) => Math.min(Math.max((value - two[pixel]) / limit, -1), 1));
  colourIn(canvas, palette, (pixel) => Math.round(127.5 * (shares[pixel] + 1)), (pixel) => 255 * Math.abs(shares[pixel]));
}

export function gradientOf(palette) {
  const stops = Array.from({ length: 17 }, (_, step) => {
    const level = Math.round((step * 255) / 16);
    return `rgb(${palette[3 * level]} ${palette[3 * level + 1]} ${palette[3 * level + 2]})`;
  });
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

// The strongest patch, its value, its centre in shares of the picture, and where it lies in words for a reader without it.
export function peakOf(map, [rows, columns]) {
  let best = 0;
  for (let index = 1; index < map.length; index++) if (map[index] > map[best]) best = index;
  const third = (position, cells) => Math.min(Math.floor((3 * (position + 0.5)) / cells), 2);
  const down = ["top", "middle", "bottom"][third(Math.floor(best / columns), rows)];
  const across = ["left", "centre", "right"][third(best % columns, columns)];
  const place = down === "middle" && across === "centre" ? "centre" : `${down} ${across}`;
  const centre = { x: ((best % columns) + 0.5) / columns, y: (Math.floor(best / columns) + 0.5) / rows };
  return { value: map[best], centre, place };
}

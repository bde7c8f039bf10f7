// Maps as colours: the same steps as lfi.rendering.overlay. Values (times uniform) become palette positions 0-255 on
// the shared scale, positions are interpolated bilinearly, and opacity follows the position's square root, so that
// weak attention leaves the picture as it is. The strongest opacity is CSS (--lfi-opacity): the slider costs nothing.
// Positions stay fractional until the end: the square root is steep at 0, where whole ones would draw contours.

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

// Where each of `count` pixels falls between `cells` patches: left neighbour and share of the right one.
function placesBetween(count, cells) {
  return Array.from({ length: count }, (_, index) => {
    const at = Math.min(Math.max(((index + 0.5) * cells) / count - 0.5, 0), cells - 1);
    const low = Math.min(Math.floor(at), Math.max(cells - 2, 0));
    return [low, Math.min(low + 1, cells - 1), at - low];
  });
}

// Patches interpolated bilinearly to pixels.
function enlarged(patches, [rows, columns], width, height) {
  const pixels = new Float32Array(width * height);
  const across = placesBetween(width, columns);
  let index = 0;
  for (const [above, below, v] of placesBetween(height, rows)) {
    for (const [left, right, u] of across) {
      const top = patches[above * columns + left] * (1 - u) + patches[above * columns + right] * u;
      const bottom = patches[below * columns + left] * (1 - u) + patches[below * columns + right] * u;
      pixels[index++] = top * (1 - v) + bottom * v;
    }
  }
  return pixels;
}

/** @param {HTMLCanvasElement} canvas */
export function contextOf(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")); // null only where another kind was asked for before
}

// Every pixel in a colour of the palette (`entryAt(pixel)`, 0-255), as opaque as `opacityAt(pixel)` in [0, 1] says.
function colourIn(canvas, palette, entryAt, opacityAt) {
  const context = contextOf(canvas);
  const image = context.createImageData(canvas.width, canvas.height);
  const bytes = image.data;
  for (let pixel = 0; pixel < canvas.width * canvas.height; pixel++) {
    const entry = 3 * entryAt(pixel);
    bytes[4 * pixel] = palette[entry];
    bytes[4 * pixel + 1] = palette[entry + 1];
    bytes[4 * pixel + 2] = palette[entry + 2];
    bytes[4 * pixel + 3] = 255 * opacityAt(pixel);
  }
  context.putImageData(image, 0, 0);
}

export function paint(canvas, map, grid, scale, palette) {
  const span = scale.high - scale.low;
  const shares = Float32Array.from(map, (value) => Math.min(Math.max((value - scale.low) / span, 0), 1));
  const pixels = enlarged(shares, grid, canvas.width, canvas.height);
  colourIn(canvas, palette, (pixel) => Math.round(255 * pixels[pixel]), (pixel) => Math.sqrt(pixels[pixel]));
}

// The first map less the second (`{ map, grid }`), from -limit to limit: the same steps as lfi.rendering.difference.
export function paintDifference(canvas, first, second, limit, palette) {
  const [one, two] = [first, second].map(({ map, grid }) => enlarged(map, grid, canvas.width, canvas.height));
  const shares = one.map((value, pixel) => Math.min(Math.max((value - two[pixel]) / limit, -1), 1));
  colourIn(canvas, palette, (pixel) => Math.round(127.5 * (shares[pixel] + 1)), (pixel) => Math.abs(shares[pixel]));
}

export function gradientOf(palette) {
  const stops = Array.from({ length: 17 }, (_, step) => {
    const level = Math.round((step * 255) / 16);
    return `rgb(${palette[3 * level]} ${palette[3 * level + 1]} ${palette[3 * level + 2]})`;
  });
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

// The strongest patch, its value, and where it lies in words a reader without the picture can use.
export function peakOf(map, [rows, columns]) {
  let best = 0;
  for (let index = 1; index < map.length; index++) if (map[index] > map[best]) best = index;
  const third = (position, cells) => Math.min(Math.floor((3 * (position + 0.5)) / cells), 2);
  const down = ["top", "middle", "bottom"][third(Math.floor(best / columns), rows)];
  const across = ["left", "centre", "right"][third(best % columns, columns)];
  const place = down === "middle" && across === "centre" ? "centre" : `${down} ${across}`;
  return { value: map[best], place };
}

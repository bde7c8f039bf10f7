// The line around the patches, or the part of a smooth map, with at least half of its peak; as an SVG path.

import { enlarged } from "./colour.js";

const FINENESS = 96; // samples of a smooth map, along the longer side of its grid

/**
 * The edges between patches in the region and patches outside of it.
 *
 * @param {ArrayLike<number>} map row by row
 * @param {number} rows
 * @param {number} columns
 * @returns {string} a path in patches
 */
export function outlineOf(map, rows, columns) {
  const level = Math.max(...Array.from(map)) / 2;
  const inside = (row, column) => row >= 0 && row < rows && column >= 0 && column < columns && map[row * columns + column] >= level;
  let path = "";
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (!inside(row, column)) continue;
      if (!inside(row - 1, column)) path += `M${column} ${row}h1`;
      if (!inside(row + 1, column)) path += `M${column} ${row + 1}h1`;
      if (!inside(row, column - 1)) path += `M${column} ${row}v1`;
      if (!inside(row, column + 1)) path += `M${column + 1} ${row}v1`;
    }
  }
  return path;
}

/**
 * The same around a smooth map: marching squares between samples, open where the picture ends.
 *
 * @param {ArrayLike<number>} map row by row
 * @param {[number, number]} grid
 * @returns {string} a path in patches
 */
export function contourOf(map, grid) {
  const [rows, columns] = grid;
  const fine = Math.ceil(FINENESS / Math.max(rows, columns));
  const [height, width] = [rows * fine, columns * fine];
  const values = enlarged(map, grid, width, height);
  const level = Math.max(...Array.from(map)) / 2;
  const at = (x, y) => values[y * width + x];
  let path = "";
  for (let y = 0; y < height - 1; y++) {
    for (let x = 0; x < width - 1; x++) {
      const corners = [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]];
      const crossings = corners.flatMap((one, index) => {
        const two = corners[(index + 1) % 4];
        const [a, b] = [at(one[0], one[1]), at(two[0], two[1])];
        if (a >= level === b >= level) return [];
        const share = (level - a) / (b - a);
        const place = [0, 1].map((axis) => (one[axis] + share * (two[axis] - one[axis]) + 0.5) / fine);
        return [`${place[0].toFixed(2)} ${place[1].toFixed(2)}`];
      });
      for (let pair = 0; pair + 1 < crossings.length; pair += 2) path += `M${crossings[pair]}L${crossings[pair + 1]}`;
    }
  }
  return path;
}

"""Canvases composed of 2-4 photographs, with a caption that names them in reading order.

Photographs of one object each teach a model what a word looks like, but never where it is: whatever the words attend
to, the caption is predicted just as well. On a canvas the caption can only be told by looking from photograph to
photograph, and the true region of every word is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

LAYOUTS = ("side by side", "one above the other", "grid", "inset")
MOST = 4
"""Photographs on a canvas."""


@dataclass(frozen=True, eq=False)
class Canvases:
    """`n` canvases of up to `MOST` photographs each.

    Attributes:
        images: uint8 `[n, size, size, 3]`.
        rows: int64 `[n, 4]`: which photograph lies where, in reading order; -1 where there is none.
        regions: int64 `[n, 4, 4]`: left, top, right, bottom in pixels, right and bottom open; the visible region of an
            image that an inset covers in part is its whole box less the inset's.
    """

    images: np.ndarray
    rows: np.ndarray
    regions: np.ndarray


def compose(photographs: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> Canvases:
    """Canvases from photographs.

    Args:
        photographs: uint8 `[m, size, size, 3]`; size a multiple of 4.
        rows: int64 `[n, 4]`: four photographs to use for every canvas, as many of them as its layout has room for.
    """
    count, size = len(rows), photographs.shape[1]
    half = size // 2
    images = np.empty((count, size, size, 3), np.uint8)
    placed = np.full((count, MOST), -1, np.int64)
    regions = np.zeros((count, MOST, 4), np.int64)
    layouts = rng.choice(len(LAYOUTS), count, p=(0.2, 0.2, 0.35, 0.25))
    for canvas in range(count):
        layout, own = LAYOUTS[layouts[canvas]], rows[canvas]
        shift = int(rng.integers(0, half + 1))
        cells: list[tuple[int, int, int, int]]
        if layout == "side by side":
            cells = [(0, 0, half, size), (half, 0, size, size)]
            for (left, top, right, bottom), row in zip(cells, own, strict=False):
                images[canvas, top:bottom, left:right] = photographs[row][:, shift : shift + half]
        elif layout == "one above the other":
            cells = [(0, 0, size, half), (0, half, size, size)]
            for (left, top, right, bottom), row in zip(cells, own, strict=False):
                images[canvas, top:bottom, left:right] = photographs[row][shift : shift + half]
        elif layout == "grid":
            corners = [(0, 0), (half, 0), (0, half), (half, half)]
            cells = [(left, top, left + half, top + half) for left, top in corners]
            if rng.random() < 0.5:  # one corner stays empty, so that not every place holds something
                cells.pop(int(rng.integers(MOST)))
                images[canvas] = rng.integers(0, 256, 3)
            for (left, top, right, bottom), row in zip(cells, own, strict=False):
                images[canvas, top:bottom, left:right] = halved(photographs[row])
        else:
            left, top = (int(value) for value in rng.integers(0, half + 1, 2))
            inset = (left, top, left + half, top + half)
            images[canvas] = photographs[own[0]]
            images[canvas, top : top + half, left : left + half] = halved(photographs[own[1]])
            cells = [(0, 0, size, size), inset]
        used = len(cells)
        placed[canvas, :used] = own[:used]
        regions[canvas, :used] = cells
    return Canvases(images, placed, regions)


def paste(photographs: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> Canvases:
    """Photographs on which one to three others lie, a quarter to half as wide, none on another.

    Args: as for `compose`; the first of every four is the one below.
    """
    count, size = len(rows), photographs.shape[1]
    images = photographs[rows[:, 0]].copy()
    placed = np.full((count, MOST), -1, np.int64)
    placed[:, 0] = rows[:, 0]
    regions = np.zeros((count, MOST, 4), np.int64)
    regions[:, 0] = (0, 0, size, size)
    for canvas in range(count):
        taken = np.zeros((size, size), bool)
        for place in range(1, 1 + int(rng.integers(1, MOST))):
            for _ in range(8):
                side = int(rng.integers(size // 4, size // 2 + 2))
                left, top = (int(value) for value in rng.integers(0, size - side + 1, 2))
                if not taken[top : top + side, left : left + side].any():
                    break
            else:
                continue
            taken[top : top + side, left : left + side] = True
            row = rows[canvas, place]
            small = Image.fromarray(photographs[row]).resize((side, side), Image.Resampling.BICUBIC)
            images[canvas, top : top + side, left : left + side] = np.asarray(small)
            placed[canvas, place], regions[canvas, place] = row, (left, top, left + side, top + side)
    return Canvases(images, placed, regions)


def halved(image: np.ndarray) -> np.ndarray:
    """An image at half its size, every pixel the mean of four."""
    size = image.shape[0] // 2
    return image.reshape(size, 2, size, 2, 3).mean((1, 3), dtype=np.float32).astype(np.uint8)

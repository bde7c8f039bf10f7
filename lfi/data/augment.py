"""Crops and flips that move a teacher's maps with the image.

A map is a density over the image. The map of a crop is that density integrated over the crop's cells, exactly, with
every cell of the grid taken as even; it is the same separable operator for any number of maps. What a teacher would
attend to if it saw the crop alone is close to that, not equal: `tests/lfi/data/test_augment.py` states how close.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Views:
    """One view of each of `n` images.

    Attributes:
        boxes: float32 `[n, 4]`: left, top, right, bottom of the crop, in shares of the image.
        flipped: bool `[n]`: mirrored left to right after cropping.
    """

    boxes: Tensor
    flipped: Tensor

    @classmethod
    def draw(
        cls,
        count: int,
        rng: np.random.Generator,
        scale: float = 0.6,
        ratio: float = 4 / 3,
        flip: float = 0.5,
    ) -> Views:
        """Random crops of `scale` to all of the area, aspect `1 / ratio` to `ratio`, resized to the whole; and flips.

        After the random resized crop of Szegedy et al. 2015 (arXiv 1409.4842), section 6.
        """
        area = rng.uniform(scale, 1, count)
        aspect = np.exp(rng.uniform(-1, 1, count) * math.log(ratio))
        width, height = np.minimum(np.sqrt(area * aspect), 1), np.minimum(np.sqrt(area / aspect), 1)
        left, top = rng.random(count) * (1 - width), rng.random(count) * (1 - height)
        boxes = np.stack([left, top, left + width, top + height], 1)
        return cls(torch.from_numpy(boxes.astype(np.float32)), torch.from_numpy(rng.random(count) < flip))

    def images(self, images: Tensor) -> Tensor:
        """Float images `[n, channel, height, width]` cropped, resized back (bilinear) and flipped."""
        left, top, right, bottom = self.boxes.to(images).unbind(1)
        sign = torch.where(self.flipped.to(images.device), -1.0, 1.0).to(images)
        zero = torch.zeros_like(left)
        across = torch.stack([sign * (right - left), zero, left + right - 1], 1)
        down = torch.stack([zero, bottom - top, top + bottom - 1], 1)
        grid = F.affine_grid(torch.stack([across, down], 1), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)

    def maps(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Maps of the crops.

        Args:
            maps: `[n, ..., height, width]`, each summing to 1.

        Returns:
            The same shape, each summing to 1 again; and the share of each map that the crop holds, `[n, ...]`. Where a
            crop holds nothing of a map, the map is even.
        """
        height, width = maps.shape[-2:]
        down, across = self.operators(height, width, maps)
        middle = (len(maps), *[1] * (maps.ndim - 3))
        seen = down.view(*middle, height, height) @ maps @ across.view(*middle, width, width).transpose(-1, -2)
        held = seen.sum((-2, -1))
        even = torch.full_like(seen, 1 / (height * width))
        whole = torch.where(held[..., None, None] > 1e-6, seen / held.clamp_min(1e-6)[..., None, None], even)
        return whole, held

    def operators(self, height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """What share of the mass of row (column) `j` falls into row (column) `i` of the view: `[n, i, j]` each."""
        boxes = self.boxes.to(like)
        across = _overlap(boxes[:, 0], boxes[:, 2], width)
        flipped = self.flipped.to(like.device)[:, None, None]
        return _overlap(boxes[:, 1], boxes[:, 3], height), torch.where(flipped, across.flip(1), across)


def _overlap(low: Tensor, high: Tensor, cells: int) -> Tensor:
    """Share of cell `j` of `[0, 1]` that lies in cell `i` of `[low, high]`, `[n, i, j]`."""
    edges = torch.arange(cells + 1, device=low.device, dtype=low.dtype) / cells
    own = low[:, None] + (high - low)[:, None] * edges
    first = torch.maximum(own[:, :-1, None], edges[None, None, :-1])
    last = torch.minimum(own[:, 1:, None], edges[None, None, 1:])
    return (last - first).clamp_min(0) * cells

"""How well a map follows its image when that is shifted by a little: what a person would call the same picture.

Related to max-sensitivity (Yeh et al. 2019, arXiv 1901.09392), with shifts in place of noise, as those are what grids
of patches are sensitive to.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluation.metrics.correlation import correlation
from evaluation.metrics.grids import resize
from evaluation.metrics.metric import Metric


def shift_stability(explain: Callable[[Tensor], Tensor], images: Tensor, pixels: int = 2) -> Tensor:
    """Mean correlation, over shifts to all four sides, of the shifted image's map with the image's map, shifted.

    Args:
        explain: images `[n, 3, height, width]` to maps `[n, rows, columns]`.
        images: normalised; what a shift uncovers is mirrored.
        pixels: how far; less than half the image.

    Returns:
        float32 `[n]` in [-1, 1], over the pixels that both show; NaN where a map is constant.
    """
    size = (images.shape[-2], images.shape[-1])
    still = resize(explain(images), size)
    wide = F.pad(images, [pixels] * 4, mode="reflect")
    found = []
    for down, right in ((pixels, 0), (-pixels, 0), (0, pixels), (0, -pixels)):
        top, left = pixels - down, pixels - right
        moved = resize(explain(wide[..., top : top + size[0], left : left + size[1]]), size)
        found.append(correlation(_overlap(moved, down, right), _overlap(still, -down, -right)))
    return torch.stack(found).mean(0)


def _overlap(maps: Tensor, down: int, right: int) -> Tensor:
    """Without the rows and columns that a shift by `pixels` pixels uncovers."""
    rows = slice(max(down, 0), maps.shape[-2] + min(down, 0))
    columns = slice(max(right, 0), maps.shape[-1] + min(right, 0))
    return maps[:, rows, columns]


METRIC = Metric("stability under shifts", "robustness", "Pearson's r", "higher", shift_stability, bounds=(-1.0, 1.0))

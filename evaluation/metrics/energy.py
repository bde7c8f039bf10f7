"""Energy-based pointing game: the share of the map that lies in the mask. Wang et al. 2020 (arXiv 1910.01279).

A uniform map has the mask's area.
"""

from __future__ import annotations

from torch import Tensor

from evaluation.metrics.grids import coverage, undefined
from evaluation.metrics.metric import Metric


def energy_in_mask(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of the map's mass in the mask.

    Args:
        maps: `[n, rows, columns]`, each summing to 1.
        masks: `[n, height, width]`.

    Returns:
        float32 `[n]` in [0, 1], NaN for an empty mask.
    """
    inside = (maps * coverage(masks, (maps.shape[-2], maps.shape[-1]))).flatten(1).sum(1)
    return undefined(inside, ~masks.flatten(1).any(1))


METRIC = Metric("energy in mask", "localisation", "share of map", "higher", energy_in_mask)

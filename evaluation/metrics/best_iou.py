"""Intersection over union of mask and map, the map cut at whichever threshold suits this mask best.

An upper bound of what a segmentation from this map could reach, as no threshold has to be guessed. A uniform map has
the mask's area: its only cut is the whole image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from evaluation.metrics.grids import resize, undefined
from evaluation.metrics.metric import Metric


def best_iou(maps: Tensor, masks: Tensor) -> Tensor:
    """Largest IoU over all thresholds.

    Args:
        maps: `[n, rows, columns]`; interpolated to the mask's resolution.
        masks: bool `[n, height, width]`.

    Returns:
        float32 `[n]` in [0, 1], NaN for an empty mask.
    """
    values, order = resize(maps, (masks.shape[-2], masks.shape[-1])).flatten(1).sort(1, descending=True)
    inside = masks.flatten(1).float().gather(1, order).cumsum(1)
    taken = torch.arange(1, values.shape[1] + 1, device=values.device)
    iou = inside / (masks.flatten(1).sum(1, keepdim=True) + taken - inside)
    # A threshold takes equal values together.
    last = torch.ones_like(values, dtype=torch.bool)
    last[:, :-1] = values[:, 1:] < values[:, :-1]
    best = iou.masked_fill(~last, 0).amax(1)
    return undefined(best, ~masks.flatten(1).any(1))


METRIC = Metric("IoU at the best threshold", "localisation", "IoU", "higher", best_iou)

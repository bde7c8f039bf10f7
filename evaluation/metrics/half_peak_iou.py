"""Intersection over union of mask and map, the map cut at half of its peak: one rule for all images.

As `best_iou` without knowing the mask. A uniform map has the mask's area.
"""

from __future__ import annotations

from torch import Tensor

from evaluation.metrics.grids import resize, undefined
from evaluation.metrics.metric import Metric


def half_peak_iou(maps: Tensor, masks: Tensor, threshold: float = 0.5) -> Tensor:
    """IoU of the mask and the pixels that have at least `threshold` of the map's largest value.

    Args:
        maps: `[n, rows, columns]`; interpolated to the mask's resolution.
        masks: bool `[n, height, width]`.

    Returns:
        float32 `[n]` in [0, 1], NaN for an empty mask.
    """
    large = resize(maps, (masks.shape[-2], masks.shape[-1])).flatten(1)
    region, wanted = large >= threshold * large.amax(1, keepdim=True), masks.flatten(1).bool()
    iou = (region & wanted).sum(1) / (region | wanted).sum(1)
    return undefined(iou.float(), ~wanted.any(1))


METRIC = Metric("IoU at half of the peak", "localisation", "IoU", "higher", half_peak_iou)

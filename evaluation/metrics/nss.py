"""Normalised scanpath saliency: the map in standard deviations, at the fixations. Peters et al. 2005.

0 is chance; a constant map has no standard deviation and no score.
"""

from __future__ import annotations

from torch import Tensor

from evaluation.metrics.grids import resize, undefined
from evaluation.metrics.metric import Metric


def nss(maps: Tensor, fixations: Tensor) -> Tensor:
    """Mean z-score of the map over all fixations.

    Args:
        maps: `[n, rows, columns]`; interpolated to the image's resolution.
        fixations: how often every pixel was fixated, `[n, height, width]`.

    Returns:
        float32 `[n]`, NaN without a fixation and for a constant map.
    """
    large = resize(maps, (fixations.shape[-2], fixations.shape[-1])).flatten(1).double()
    large = large / large.amax(1, keepdim=True)
    spread, count = large.std(1, correction=0), fixations.flatten(1).double()
    scores = (large - large.mean(1, keepdim=True)) / spread[:, None]
    mean = (scores * count).sum(1) / count.sum(1)
    return undefined(mean.float(), (count.sum(1) == 0) | (spread < 1e-9))


METRIC = Metric("NSS", "gaze", "standard deviations", "higher", nss, (-float("inf"), float("inf")))

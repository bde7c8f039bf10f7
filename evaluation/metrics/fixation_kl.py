"""Kullback-Leibler divergence of the map from where people looked. Bylinskii et al. 2019 (arXiv 1604.03605).

Fixations are few, so they are counted per patch and spread by a Gaussian of one patch before they are compared.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from evaluation.metrics.grids import coverage, undefined
from evaluation.metrics.metric import Metric

_SMALLEST = 1e-7


def fixation_kl(maps: Tensor, fixations: Tensor) -> Tensor:
    """KL(where people looked || map) in nats, on the map's grid.

    Args:
        maps: `[n, rows, columns]`, each summing to 1.
        fixations: how often every pixel was fixated, `[n, height, width]`.

    Returns:
        float32 `[n]`, at least 0, NaN without a fixation.
    """
    grid = (maps.shape[-2], maps.shape[-1])
    looked = gaussian_blur(coverage(fixations, grid)[:, None], [5, 5], [1.0, 1.0])[:, 0].double()
    looked = looked / looked.sum((1, 2), keepdim=True)
    predicted = maps.double().clamp_min(_SMALLEST)
    predicted = predicted / predicted.sum((1, 2), keepdim=True)
    each = torch.special.xlogy(looked, looked) - torch.special.xlogy(looked, predicted)
    return undefined(each.sum((1, 2)).float(), fixations.flatten(1).sum(1) == 0)


METRIC = Metric("KL to fixations", "gaze", "nats", "lower", fixation_kl, (0.0, float("inf")))

"""Area under the ROC curve of map values as a score for pixels, for masks and for fixated pixels alike."""

from __future__ import annotations

import torch
from scipy.stats import rankdata
from torch import Tensor

from evaluation.metrics.grids import resize, undefined


def roc_auc(maps: Tensor, masks: Tensor) -> Tensor:
    """How often a pixel inside has a larger value than one outside; equal values count half.

    Args:
        maps: `[n, rows, columns]`; interpolated to the mask's resolution.
        masks: `[n, height, width]`; what is not 0 is inside.

    Returns:
        float32 `[n]` in [0, 1]; a uniform map has .5; NaN where everything or nothing is inside.
    """
    large = resize(maps, (masks.shape[-2], masks.shape[-1])).flatten(1)
    inside = masks.flatten(1) > 0
    ranks = torch.from_numpy(rankdata(large.numpy(), axis=1))
    many, few = (~inside).sum(1).double(), inside.sum(1).double()
    wins = ranks.masked_fill(~inside, 0).sum(1) - few * (few + 1) / 2
    return undefined((wins / (many * few)).float(), (many == 0) | (few == 0))

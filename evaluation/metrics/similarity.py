"""Agreement of two maps as distributions: the mass that they share. Bylinskii et al. 2019 (arXiv 1604.03605).

1 for equal maps, 0 for maps that never look at the same patch. It is one less the total variation distance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from evaluation.metrics.metric import Metric


def similarity(maps: Tensor, others: Tensor) -> Tensor:
    """Sum of the smaller of both over all patches.

    Args:
        maps, others: `[n, rows, columns]` on one grid, each summing to 1.

    Returns:
        float32 `[n]` in [0, 1].
    """
    return torch.minimum(maps, others).flatten(1).sum(1).float()


METRIC = Metric("shared mass", "agreement", "share of map", "higher", similarity)

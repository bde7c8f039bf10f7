"""Pearson's correlation of two maps over their patches. A constant map correlates with nothing."""

from __future__ import annotations

from torch import Tensor

from evaluation.metrics.grids import undefined
from evaluation.metrics.metric import Metric


def correlation(maps: Tensor, others: Tensor) -> Tensor:
    """Pearson's r.

    Args:
        maps, others: `[n, rows, columns]` on one grid.

    Returns:
        float32 `[n]` in [-1, 1], NaN where one of both is constant.
    """
    one, two = maps.flatten(1).double(), others.flatten(1).double()
    one, two = one - one.mean(1, keepdim=True), two - two.mean(1, keepdim=True)
    norms = one.norm(dim=1) * two.norm(dim=1)
    return undefined(((one * two).sum(1) / norms).float(), norms < 1e-12)


METRIC = Metric("correlation", "agreement", "Pearson's r", "higher", correlation, (-1.0, 1.0))

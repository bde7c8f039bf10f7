"""The rank of the right class."""

from __future__ import annotations

from torch import Tensor

from lfi.accuracy import among_best


def within_best(scores: Tensor, labels: Tensor, k: int) -> Tensor:
    """Whether the right class is among the `k` best, as `among_best` has it.

    Args:
        scores: probabilities or logits `[n, class]`.
        labels: int64 `[n]`.

    Returns:
        float32 `[n]` of 0 and 1, NaN where there are no more than `k` classes to tell apart.
    """
    hit = among_best(scores, labels, k).float()
    return hit if scores.shape[1] > k else hit.fill_(float("nan"))

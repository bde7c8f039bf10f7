"""The rank of the right class."""

from __future__ import annotations

from torch import Tensor


def within_best(scores: Tensor, labels: Tensor, k: int) -> Tensor:
    """Whether fewer than `k` other classes score as high as the right one: equal scores count against it.

    Args:
        scores: probabilities or logits `[n, class]`.
        labels: int64 `[n]`.

    Returns:
        float32 `[n]` of 0 and 1, NaN where there are no more than `k` classes to tell apart.
    """
    own = scores.gather(1, labels[:, None])
    hit = ((scores >= own).sum(1) <= k).float()
    return hit if scores.shape[1] > k else hit.fill_(float("nan"))

"""When an answer counts as right: one rule for training, benchmarks and tables."""

from __future__ import annotations

from torch import Tensor


def among_best(scores: Tensor, right: Tensor, k: int) -> Tensor:
    """Whether fewer than `k` others score as high as the right one.

    Equal scores count against it, and so do scores that are no numbers: a model that tells nothing apart, or that has
    broken down, is right about nothing.

    Args:
        scores: `[n, m]`, such as logits or cosines.
        right: int64 `[n]`, the right column of each row; -1 where there is none.

    Returns:
        bool `[n]`.
    """
    own = scores.gather(1, right.clamp_min(0)[:, None])
    return ((~(scores < own)).sum(1) <= k) & own[:, 0].isfinite() & (right >= 0)

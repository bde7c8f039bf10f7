"""The curve of a model's score while an image is taken apart, or put together, patch by patch in a map's order."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Score = Callable[[Tensor], Tensor]
"""What a model says of images `[n, 3, height, width]`: float `[n]`, such as the probability of a class."""


@torch.no_grad()
def curve(maps: Tensor, start: Tensor, end: Tensor, score: Score, steps: int) -> Tensor:
    """Scores while `start` turns into `end`, the map's largest patch first.

    Args:
        maps: `[n, rows, columns]`; patches of equal value turn in reading order.
        start, end: `[n, 3, height, width]`.
        steps: how many times patches turn, as many each time as come out even; at most one a patch.

    Returns:
        float32 `[n, steps + 1]`, from `start` to `end`.
    """
    patches = maps[0].numel()
    steps = min(steps, patches)
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(patches, device=maps.device).expand_as(order))
    size = (start.shape[-2], start.shape[-1])
    place = F.interpolate(rank.float().view(len(maps), 1, *maps.shape[1:]), size, mode="nearest")
    scores = [score(start)]
    for step in range(1, steps + 1):
        scores.append(score(torch.where(place < round(patches * step / steps), end, start)))
    return torch.stack(scores, 1).float()


def area(scores: Tensor) -> Tensor:
    """Area under curves `[n, points]` over [0, 1] by the trapezoidal rule, `[n]`."""
    return torch.trapezoid(scores, dx=1 / (scores.shape[1] - 1), dim=1)

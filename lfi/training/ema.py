"""Exponential moving average of the weights (Polyak & Juditsky 1992; as used since, with a decay that warms up)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The moving average of a module's trainable parameters; buffers are the module's own.

    Args:
        decay: share of the old average that a step keeps; in step `n` at most `n / (n + 9)`, so that the random
            weights of the beginning are soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float):
        self.decay = decay
        self.parameters = {name: each for name, each in module.named_parameters() if each.requires_grad}
        self.weights: dict[str, Tensor] = {name: each.detach().clone() for name, each in self.parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` steps."""
        share = 1 - min(self.decay, step / (step + 9))
        torch._foreach_lerp_(list(self.weights.values()), [each.detach() for each in self.parameters.values()], share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the module has the averaged weights."""
        before = {name: each.detach().clone() for name, each in self.parameters.items()}
        self.keep()
        try:
            yield
        finally:
            _copy(before, self.parameters)

    def keep(self) -> None:
        """Give the averaged weights to the module for good."""
        _copy(self.weights, self.parameters)


@torch.no_grad()
def _copy(source: dict[str, Tensor], target: dict[str, nn.Parameter]) -> None:
    for name, each in target.items():
        each.copy_(source[name])

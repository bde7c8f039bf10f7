"""How alike two maps are, and how well one lies in a region that somebody marked."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import isnan

from torch import Tensor

from evaluation.metrics import METRICS, UndefinedWarning
from lfi.maps import InteractionMaps


@dataclass(frozen=True)
class Agreement:
    """Two models' maps of one word.

    Attributes:
        correlation: Pearson's r over the patches; None where one of both maps is even.
        shared: share of attention that lies on the same patches, in [0, 1].
    """

    correlation: float | None
    shared: float


def agreement(maps: InteractionMaps, others: InteractionMaps) -> list[Agreement]:
    """For every query how two batches of one, of one layer each, agree; on the coarser of their grids."""
    grid = (min(maps.grid[0], others.grid[0]), min(maps.grid[1], others.grid[1]))
    one, two = (each.resized(grid).weights[0, 0] for each in (maps, others))
    correlations, shared = (_values(name, one, two) for name in ("correlation", "shared mass"))
    return [Agreement(r, part or 0.0) for r, part in zip(correlations, shared, strict=True)]


@dataclass(frozen=True)
class Inside:
    """How one map lies in a marked region: the share of it inside, and whether its peak is."""

    energy: float
    hit: bool


def inside(maps: InteractionMaps, region: Tensor) -> list[list[Inside]]:
    """`[layer][query]` for a batch of one.

    Args:
        region: bool `[height, width]` over the whole picture, not empty.
    """
    layers, queries = maps.weights.shape[1:3]
    every = maps.weights[0].flatten(0, 1)
    regions = region.expand(len(every), *region.shape)
    energies, hits = (METRICS[name](every, regions).tolist() for name in ("energy in mask", "pointing game"))
    found = [Inside(energy, hit > 0) for energy, hit in zip(energies, hits, strict=True)]
    return [found[layer * queries : (layer + 1) * queries] for layer in range(layers)]


def _values(metric: str, *inputs: Tensor) -> list[float | None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedWarning)
        return [None if isnan(value) else value for value in METRICS[metric](*inputs).tolist()]

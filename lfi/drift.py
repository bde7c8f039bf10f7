"""Drift: how far a query's map moves from layer to layer.

LFI's queries keep pointing at "their" part of the picture through all layers; this puts a number on it. The drift of
a step is the total variation distance between two successive layers' maps: the share of the query's attention that
lies on other patches than one layer before. 0 means that the map stands still, 1 that no patch is looked at twice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lfi.maps import InteractionMaps


def drift(maps: InteractionMaps) -> Tensor:
    """Drift of every step from one layer to the next, float32 `[batch, layer - 1, query]` in [0, 1]."""
    before, after = maps.weights[:, :-1], maps.weights[:, 1:]
    return (after - before).abs().sum((-2, -1)).div(2).clamp(0, 1)


def mean_drift(maps: InteractionMaps) -> Tensor:
    """Mean drift over all steps, float32 `[batch, query]`; NaN where there is one layer alone, which cannot drift."""
    return drift(maps).mean(1) if len(maps.layers) > 1 else torch.full(maps.outside[:, 0].shape, float("nan"))

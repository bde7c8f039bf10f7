"""One scale for every map of a comparison, in multiples of uniform attention.

A weight times the number of patches says how many times more a patch gets than it would if attention were
spread evenly. That unit is the same on a 7 x 7 and on a 14 x 14 grid, so maps of different models can share a
colour scale, and "1x" has a meaning: no preference.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from lfi.maps import InteractionMaps

NO_PREFERENCE = 1.0
"""What every patch of an even map gets, in times uniform; at most this much is not drawn at all."""

SMALLEST_TOP = 2.0
"""The scale never ends below this many times uniform: a nearly even map must look even, not stretched."""

_CLIPPED_SHARE = 0.005


class Tick(NamedTuple):
    """A labelled position on the colour bar; `value` in times uniform attention."""

    value: float
    label: str


@dataclass(frozen=True)
class Scale:
    """What the bottom and the top of a palette stand for.

    Attributes:
        low: value of the first colour, in times uniform attention; anything below is drawn like it.
        high: value of the last colour; anything above is drawn in the last colour.
        clipped: whether some value lies above `high`; the bar then says so.

    Raises:
        ValueError: a bound is not finite, or `high` is not above `low`.
    """

    low: float
    high: float
    clipped: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.high > self.low):
            raise ValueError(
                f"the scale runs from {self.low} to {self.high}; two finite, increasing bounds were expected"
            )

    def share(self, weights: Tensor | np.ndarray) -> np.ndarray:
        """Position of one raw map `[h, w]` between the bounds, float32 in [0, 1]."""
        share = (times_uniform(weights) - self.low) / (self.high - self.low)
        return np.clip(share, 0, 1).astype(np.float32)

    def levels(self, weights: Tensor | np.ndarray) -> np.ndarray:
        """Palette positions uint8 `[h, w]` of one raw map `[h, w]`."""
        return (self.share(weights) * 255 + 0.5).astype(np.uint8)

    def ticks(self, most: int = 6) -> tuple[Tick, ...]:
        """At most `most` labelled positions: both ends, round numbers, 1x where there is room."""
        span = self.high - self.low
        step = _round_step(span / max(most - 1, 1))
        gap = span / most / 1.5
        chosen = [self.low, self.high]
        inner = [step * n for n in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        for value in [1.0, *inner]:
            inside = self.low < value < self.high
            if inside and len(chosen) < most and all(abs(value - other) >= gap for other in chosen):
                chosen.append(value)
        top = self.high if self.clipped else None
        return tuple(Tick(value, ("≥ " if value == top else "") + f"{value:.3g}×") for value in sorted(chosen))


def times_uniform(weights: Tensor | np.ndarray) -> np.ndarray:
    """One raw map `[h, w]` that sums to 1, as float32 multiples of uniform attention (1 / (h * w)).

    Raises:
        ValueError: the map does not have exactly two axes.
    """
    raw = weights.detach().float().cpu().numpy() if isinstance(weights, Tensor) else np.asarray(weights, np.float32)
    if raw.ndim != 2:
        raise ValueError(f"a map has shape {raw.shape}; [height, width] was expected")
    return raw * raw.size


def shared_scale(maps: Iterable[InteractionMaps]) -> Scale:
    """The scale on which all of these maps can be compared: from 1x to the strongest attention among them.

    A single attention sink must not darken everything else, so of each model up to one value in 200 may lie
    above the top; under 200 values none does. Every model counts alike, however fine its grid.

    Raises:
        ValueError: there are no maps.
    """
    found = ((each.weights.detach().cpu().numpy(), math.prod(each.grid)) for each in maps)
    return scale_of(weights.ravel() * patches for weights, patches in found)


def scale_of(models: Iterable[np.ndarray]) -> Scale:
    """As `shared_scale`, of the values that each model's maps have, in times uniform attention.

    Raises:
        ValueError: there are no maps.
    """
    tops, peaks = [], []
    for values in models:
        if values.size:
            rank = math.ceil((values.size - 1) * (1 - _CLIPPED_SHARE))
            tops.append(float(np.partition(values, rank)[rank]))
            peaks.append(float(values.max()))
    if not tops:
        raise ValueError("a scale needs at least one map")
    high = max(SMALLEST_TOP, *tops)
    return Scale(NO_PREFERENCE, high, clipped=max(peaks) > high)


def _round_step(rough: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * lead for lead in (1, 2, 5, 10) if power * lead >= rough * (1 - 1e-9))

"""One scale for every map of a comparison, in multiples of uniform attention.

A weight times the number of patches says how many times more a patch gets than it would if attention were
spread evenly. That unit is the same on a 7 x 7 and on a 14 x 14 grid, so maps of different models can share a
colour scale, and "1x" has a meaning: no preference. Equal steps of colour are equal factors: beside a map that peaks
at 28x, one that peaks at 4x is still seen.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
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
    """What the bottom and the top of a palette stand for; in between, each doubling is an equal step.

    Attributes:
        low: value of the first colour, in times uniform attention; anything below is drawn like it.
        high: value of the last colour; anything above is drawn in the last colour.
        clipped: whether some value lies above `high`; the bar then says so.

    Raises:
        ValueError: a bound is not positive or not finite, or `high` is not above `low`.
    """

    low: float
    high: float
    clipped: bool = False

    def __post_init__(self) -> None:
        if not (self.low > 0 and math.isfinite(self.high) and self.high > self.low):
            raise ValueError(
                f"the scale runs from {self.low} to {self.high}; two positive, finite, increasing bounds were expected"
            )

    @property
    def doublings(self) -> float:
        """How often the bottom doubles up to the top."""
        return math.log2(self.high / self.low)

    @property
    def facts(self) -> dict[str, float | str]:
        """What an answer or a figure says of it."""
        return {"low": self.low, "high": self.high, "unit": "times uniform attention", "spacing": "logarithmic"}

    def share(self, values: ArrayLike) -> np.ndarray:
        """Positions of values, in times uniform attention, between the bounds: float32 in [0, 1]."""
        share = np.array(values, np.float32)  # and on in place: images are large
        np.clip(share, self.low, self.high, out=share)
        np.divide(share, np.float32(self.low), out=share)
        np.log2(share, out=share)
        return np.divide(share, np.float32(self.doublings), out=share)

    def levels(self, values: np.ndarray) -> np.ndarray:
        """Palette positions uint8 of values in times uniform attention."""
        share = self.share(values)
        share *= 255
        share += 0.5
        return share.astype(np.uint8)

    def ticks(self, most: int = 6) -> tuple[Tick, ...]:
        """At most `most` labelled positions: both ends, powers of two between, and 1.5x and 3x on a short scale."""
        rough = self.doublings / (most - 1)
        powers = [2.0**power for power in range(math.floor(math.log2(self.low)), math.ceil(math.log2(self.high)))]
        inner = sorted(powers + [1.5 * each for each in powers]) if rough <= 0.5 else powers[:: math.ceil(rough)]
        gap = self.doublings / most / (1 if self.clipped else 1.5)  # the last label is longer where it says "≥"
        first, last = self.low * 2 ** (self.doublings / most / 2), self.high / 2**gap
        chosen = [self.low, *(each for each in inner if first <= each <= last), self.high]
        top = self.high if self.clipped else None
        return tuple(Tick(value, ("≥ " if value == top else "") + f"{value:.3g}×") for value in chosen)


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


def found_scale(maps: Iterable[tuple[Hashable, np.ndarray, bool]]) -> Scale:
    """As `shared_scale`, of maps of which those of absent words have no say, unless no model finds any word.

    Args:
        maps: whose it is (a model or its column), one of its raw maps `[h, w]`, and whether the word is absent for it.

    Raises:
        ValueError: there are no maps.
    """
    every = list(maps)
    found = [each for each in every if not each[2]] or every
    return scale_of(
        np.concatenate([times_uniform(weights).ravel() for own, weights, _ in found if own == model])
        for model in dict.fromkeys(model for model, *_ in found)
    )


def query_scale(maps: Mapping[str, InteractionMaps], absent: Collection[str] = ()) -> Scale:
    """As `shared_scale`, of one query's maps by model: models that say it is absent have no say, unless all do."""
    found = [each for model, each in maps.items() if model not in absent]
    return shared_scale(found or maps.values())


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

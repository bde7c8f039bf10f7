"""An estimate with its interval; infinite bounds are kept, for they are what sparse data say."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A value and its interval at the plan's confidence; NaN where there is none, `inf` where there is no bound."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def __str__(self) -> str:
        if math.isnan(self.low):
            return _digits(self.value)
        return f"{_digits(self.value)} [{_digits(self.low)}, {_digits(self.high)}]"


def percent(confidence: float) -> str:
    """A confidence in per cent, to two places, and more where it would look like certainty: 95%, 97.5%, 99.999%."""
    places = 2 if confidence <= 0.5 else max(2, math.ceil(-math.log10(1 - confidence)) - 1)
    return f"{100 * confidence:.{places}f}".rstrip("0").rstrip(".") + "%"


def _digits(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"

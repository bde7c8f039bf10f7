"""The two-way bootstrap: raters and items are resampled, independently and with replacement.

Ratings of one rater resemble each other, and so do ratings of one item; both were sampled. An item is here whatever was
sampled: a picture, where several words were asked about it. Each rating weighs as much as its rater times its item were
drawn (the pigeonhole bootstrap: Owen 2007, doi:10.1214/07-AOAS122). It errs on the
wide side, the more so the fewer ratings a rater and an item have: it counts the noise of single ratings three times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

_CHUNK = 500


def two_way_weights(raters: int, items: int, draws: int, rng: Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """How often each rater `[draw, rater]` and item `[draw, item]` is drawn, in chunks of draws."""
    for start in range(0, draws, _CHUNK):
        size = min(_CHUNK, draws - start)
        yield (
            rng.multinomial(raters, np.full(raters, 1 / raters), size).astype(float),
            rng.multinomial(items, np.full(items, 1 / items), size).astype(float),
        )


def two_way_totals(values: np.ndarray, draws: int, rng: Generator) -> np.ndarray:
    """Resampled totals, `[draw, ...]`, of `values` `[..., rater, item]`, all in the same draws."""
    *leading, raters, items = values.shape
    flat = values.reshape(-1, raters * items).T
    parts = []
    for drawn_raters, drawn_items in two_way_weights(raters, items, draws, rng):
        weights = (drawn_raters[:, :, None] * drawn_items[:, None, :]).reshape(len(drawn_raters), -1)
        parts.append(weights @ flat)
    return np.concatenate(parts).reshape(draws, *leading)


def bounds(draws: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of draws, over the first axis, none of them thrown away.

    Infinite draws (x / 0) count as what they are; a draw that is undefined (0 / 0) counts against both bounds.
    """
    tail = (1 - confidence) / 2
    low = np.quantile(np.where(np.isnan(draws), -math.inf, draws), tail, axis=0, method="lower")
    high = np.quantile(np.where(np.isnan(draws), math.inf, draws), 1 - tail, axis=0, method="higher")
    return low, high


def interval(draws: np.ndarray, confidence: float) -> tuple[float, float]:
    """`bounds` of draws of one quantity."""
    low, high = bounds(draws, confidence)
    return float(low), float(high)


def divide(above: np.ndarray | float, below: np.ndarray | float) -> np.ndarray:
    """A ratio in which x / 0 is infinite and 0 / 0 undefined (NaN)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(np.asarray(above, float), below)

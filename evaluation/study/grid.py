"""Whether intervals hold with few raters: a grid of raters, leanings, ceilings and drop-outs that depend on severity.

Another model than that of `evaluation.study.raters`, so that the widening is not judged by the raters it was made for:
probit, with severity, leaning by rater and condition, ease, and fit by item and condition, all normal. Then
P(consistent) over all raters and items is exactly what was asked for, and the true ratio is the claim's, 2.7: every
study whose lower bound exceeds it makes a false claim.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from evaluation.study.widening import percentiles, widened

TRUTH = 2.7
RATERS = (5, 8, 12, 20)
LEANINGS = (0.5, 0.8, 1.2)
SHARES = {"middle": (0.54, 0.2), "ceiling": (0.945, 0.35), "floor": (0.135, 0.05)}
"""P(consistent) of numerator and denominator."""
LEAVING = {"nobody leaves": 0, "severe raters leave early": -1, "mild raters leave early": 1}
ITEMS = 100
_SEVERITY, _EASE, _FIT = 0.5, 0.5, 0.3
_BATCH = 50


@dataclass(frozen=True)
class Cell:
    """One point of the grid, every rater rating every item in both conditions unless they leave."""

    raters: int
    leaning: float
    shares: str
    leaving: str

    @property
    def name(self) -> str:
        """As records call it."""
        return f"{self.raters} raters, leaning sd {self.leaning:g}, {self.shares}, {self.leaving}"


def cells() -> list[Cell]:
    """The whole grid."""
    return [Cell(*each) for each in itertools.product(RATERS, LEANINGS, SHARES, LEAVING)]


def simulate(cell: Cell, studies: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Hits and counts of both conditions, `[condition, study, rater, item]`.

    Four in ten raters leave, after 10 to 90 % of their ratings, the severe (or mild) ones more often.
    """
    shape = (studies, cell.raters, ITEMS)
    spread = np.sqrt(1 + _SEVERITY**2 + cell.leaning**2 + _EASE**2 + _FIT**2)
    mildness, ease = rng.normal(0, _SEVERITY, shape[:2]), rng.normal(0, _EASE, (studies, ITEMS))
    direction = LEAVING[cell.leaving]
    leaves = rng.random(shape[:2]) < ndtr(-0.5 + 1.5 * direction * mildness / _SEVERITY)
    stays = np.where(leaves & (direction != 0), rng.uniform(0.1, 0.9, shape[:2]), 1.0)
    hits, counts = [], []
    for share in SHARES[cell.shares]:
        of_rater = mildness + rng.normal(0, cell.leaning, shape[:2])
        of_item = ease + rng.normal(0, _FIT, (studies, ITEMS))
        felt = spread * ndtri(share) + of_rater[..., None] + of_item[:, None]
        given = rng.random(shape) < stays[..., None]
        hits.append((rng.random(shape) < ndtr(felt)) & given)
        counts.append(given)
    return np.array(hits, float), np.array(counts, float)


def intervals(cell: Cell, studies: int, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals `[study, 2]`: as the analysis makes them, and of the bootstrap's percentiles alone."""
    rng = np.random.default_rng((seed, cell.raters, round(100 * cell.leaning), *map(ord, cell.shares + cell.leaving)))
    parts = [_of_batch(cell, size, draws, rng) for size in _sizes(studies)]
    return np.concatenate([one for one, _ in parts]), np.concatenate([other for _, other in parts])


def _of_batch(cell: Cell, size: int, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    (above, below), (of_above, of_below) = simulate(cell, size, rng)
    arms = np.stack([above, of_above, below, of_below])
    plain = percentiles(arms, 0.95, draws, rng)
    return np.stack(widened(arms, plain, 0.95), axis=-1), np.stack(plain, axis=-1)


def _sizes(studies: int) -> Iterator[int]:
    for start in range(0, studies, _BATCH):
        yield min(_BATCH, studies - start)

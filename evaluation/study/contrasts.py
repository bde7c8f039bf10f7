"""Wilcoxon's signed-rank test of one condition against the others, on rater means and on picture means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from evaluation.study.pictures import items_of, pictures_of
from evaluation.study.plan import AnalysisPlan
from evaluation.study.ratings import CONDITIONS

_PLACES = 10
"""To which differences are rounded: means of levels are fractions, and float noise would break their ties."""


@dataclass(frozen=True)
class Contrast:
    """The plan's numerator against another condition.

    Attributes:
        other: the other condition.
        unit: rater or picture, whose means are paired.
        pairs: units with ratings of both.
        difference: median difference of mean levels, each scale stretched to 0-1.
        p: of the two-sided signed-rank test (exact for few pairs without ties, else normal; zeros are dropped).
        p_holm: p after Holm's correction over all contrasts and both units.
        rank_biserial: (favourable - unfavourable) / all ranks, -1 to 1.
    """

    other: str
    unit: str
    pairs: int
    difference: float
    p: float
    p_holm: float
    rank_biserial: float


def wilcoxon_contrasts(ratings: pd.DataFrame, plan: AnalysisPlan) -> list[Contrast]:
    """The numerator against every other condition; both units belong to one family of tests.

    A picture's difference is the mean of its items': each item is paired with itself, and pictures alone are
    independent.
    """
    scale = ratings["scale"].astype(float)
    levels = (ratings["value"].astype(float) - 1) / (scale - 1)
    rated = ratings.assign(level=levels, item=items_of(ratings), picture=pictures_of(ratings))
    found = []
    for other in (name for name in CONDITIONS if name != plan.numerator and (rated["condition"] == name).any()):
        for unit, paired in (("rater", ["rater"]), ("picture", ["picture", "item"])):
            means = rated.pivot_table(index=paired, columns="condition", values="level", aggfunc="mean")
            if plan.numerator not in means:
                continue
            differences = (means[plan.numerator] - means[other]).dropna().groupby(unit).mean().to_numpy()
            if len(differences):
                found.append((other, unit, differences.round(_PLACES)))
    tests = [_signed_rank(differences) for _, _, differences in found]
    return [
        Contrast(other, unit, len(differences), float(np.median(differences)), p, corrected, effect)
        for (other, unit, differences), (p, effect), corrected in zip(
            found, tests, holm([p for p, _ in tests]), strict=True
        )
    ]


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction (1979), in the order given."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def _signed_rank(differences: np.ndarray) -> tuple[float, float]:
    """p and rank-biserial correlation; 1 and 0 where nothing differs."""
    apart = differences[differences != 0]
    if not len(apart):
        return 1.0, 0.0
    ranks = stats.rankdata(np.abs(apart))
    return float(stats.wilcoxon(apart).pvalue), float((np.sign(apart) * ranks).sum() / ranks.sum())

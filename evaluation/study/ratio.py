"""The primary analysis: how much more often one condition's maps are rated consistent than another's.

The interval is that of the two-way bootstrap over raters and pictures (`evaluation.study.pictures`), widened where they
are few (`evaluation.study.widening`). Percentiles of a ratio are those of its logarithm, so it is one on the log scale.
Where an arm has too few consistent ratings to be resampled, or nothing else, exact bounds widen it further.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import stats

from evaluation.study.bootstrap import bounds, divide, interval, two_way_totals, two_way_weights
from evaluation.study.estimate import Estimate
from evaluation.study.pictures import items_of, pictures_of, summed
from evaluation.study.plan import AnalysisPlan
from evaluation.study.ratings import CONDITIONS
from evaluation.study.widening import effective, ratio_interval, stretch, stretched
from lfi.errors import DataError

SPARSE = 5
"""An arm whose consistent ratings come from fewer raters or pictures than this is too sparse to resample alone."""


@dataclass(frozen=True, eq=False)
class Arm:
    """The ratings of one condition as counts `[rater, item]`; hits are consistent ratings.

    Attributes:
        pictures: int `[item]`, the number of each item's picture; None where every item has its own.
    """

    hits: np.ndarray
    counts: np.ndarray
    pictures: np.ndarray | None = None

    @property
    def share(self) -> float:
        """P(consistent)."""
        return float(self.hits.sum() / self.counts.sum())

    @cached_property
    def by_picture(self) -> Arm:
        """The same counts, `[rater, picture]`."""
        if self.pictures is None:
            return self
        return Arm(summed(self.hits, self.pictures), summed(self.counts, self.pictures))


@dataclass(frozen=True)
class Ratio:
    """The ratio of P(consistent) of two conditions.

    Attributes:
        estimate: 0, infinite or NaN (0 / 0) where the counts say so.
        sparse: why exact bounds were needed, or nothing.
        even: the same with every item weighing the same, however many ratings it got.
        alike: the same with every rater weighing the same; the interval holds that ratio's interval, too.
        raters: who rated either condition, the fewer of the two.
    """

    estimate: Estimate
    sparse: str
    even: Estimate
    alike: float
    raters: int


def arms(ratings: pd.DataFrame) -> dict[str, Arm]:
    """Counts per condition, the same raters and items in the same order; rows that are not ratings are left out.

    Raises:
        DataError: there are no ratings.
    """
    rows = ratings[ratings["kind"] == "rating"]
    if rows.empty:
        raise DataError("no ratings are left to analyse; pairs alone give no P(consistent)")
    raters, items = pd.factorize(rows["rater"], sort=True)[0], items_of(rows)
    shape = (raters.max() + 1, items.max() + 1)
    pictures = np.zeros(shape[1], int)
    pictures[items] = pictures_of(rows)
    found = {}
    for name in CONDITIONS:
        chosen = (rows["condition"] == name).to_numpy(bool)
        if chosen.any():
            hits, counts = np.zeros(shape), np.zeros(shape)
            np.add.at(counts, (raters[chosen], items[chosen]), 1.0)
            np.add.at(hits, (raters[chosen], items[chosen]), rows["consistent"][chosen].to_numpy(float))
            found[name] = Arm(hits, counts, pictures)
    return found


def consistent_shares(found: dict[str, Arm], plan: AnalysisPlan) -> dict[str, Estimate]:
    """P(consistent) per condition with two-way bootstrap intervals; at 0 and 1 the exact bound."""
    return {name: _share(arm.by_picture, plan) for name, arm in found.items()}


def consistency_ratio(found: dict[str, Arm], plan: AnalysisPlan, numerator: str = "", denominator: str = "") -> Ratio:
    """The ratio of two conditions, those of the plan unless told.

    Raises:
        DataError: a condition has no ratings.
    """
    names = (numerator or plan.numerator, denominator or plan.denominator)
    for name in names:
        if name not in found:
            others = f"there are some of {', '.join(found)}" if found else "all ratings were left out"
            raise DataError(f"no ratings of {name} are left to analyse; {others}")
    above, below = (found[name].by_picture for name in names)
    low, high = map(
        float,
        ratio_interval(
            (above.hits, above.counts),
            (below.hits, below.counts),
            plan.confidence,
            plan.draws,
            np.random.default_rng(plan.seed),
        ),
    )
    estimate, sparse = with_exact_bounds((low, high), dict(zip(names, (above, below), strict=True)), plan)
    return Ratio(
        estimate,
        sparse,
        _even(found[names[0]], found[names[1]], plan),
        float(divide(*(_share_of_raters(arm) for arm in (above, below)))),
        min(int((arm.counts.sum(1) > 0).sum()) for arm in (above, below)),
    )


def with_exact_bounds(
    resampled: tuple[float, float], compared: Mapping[str, Arm], plan: AnalysisPlan
) -> tuple[Estimate, str]:
    """The ratio with its interval, widened to exact bounds where an arm is too sparse to be resampled, and why.

    Args:
        resampled: bounds by `ratio_interval`.
        compared: numerator and denominator, by picture.
        plan: gives the confidence, the draws and the seed.
    """
    above, below = compared.values()
    value, (low, high) = float(divide(above.share, below.share)), resampled
    sparse = [reason for name, arm in compared.items() for reason in _too_sparse(name, arm)]
    if sparse:
        lowest, highest = _exact_bounds(above, below, plan)
        low, high = min(max(low, 0.0), lowest), max(high, highest)
        if value == 0 or not np.isfinite(value):  # nothing else knows anything where one arm has no consistent rating
            low, high = lowest, highest
    return Estimate(value, low, high), "; ".join(sparse)


def even_draws(above: Arm, below: Arm, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Resampled ratios, `[draw]`, of shares in which every item weighs the same."""
    raters, pictures = above.by_picture.hits.shape
    found = []
    for drawn_raters, drawn_pictures in two_way_weights(raters, pictures, draws, rng):
        drawn_items = drawn_pictures if above.pictures is None else drawn_pictures[:, above.pictures]
        hits = [drawn_raters @ arm.hits for arm in (above, below)]
        counts = [drawn_raters @ arm.counts for arm in (above, below)]
        usable = drawn_items * (counts[0] > 0) * (counts[1] > 0)
        means = [np.divide(h, n, out=np.zeros_like(h), where=n > 0) for h, n in zip(hits, counts, strict=True)]
        found.append(divide(*((usable * mean).sum(1) for mean in means)))
    return np.concatenate(found)


def units(arm: Arm) -> float:
    """The fewer of raters, as many as they count, and of pictures that were rated.

    Args:
        arm: by picture.
    """
    return min(float(effective(arm.counts)), float((arm.counts.sum(0) > 0).sum()))


def _too_sparse(name: str, arm: Arm) -> list[str]:
    """Why the bootstrap of an arm knows too little of it: few consistent ratings, or no others."""
    raters, pictures = (int((arm.hits.sum(axis) > 0).sum()) for axis in (1, 0))
    if min(raters, pictures) < SPARSE:
        return [
            f"consistent ratings of {name} come from {raters} rater{'s' * (raters != 1)} "
            f"and {pictures} picture{'s' * (pictures != 1)}"
        ]
    return [f"every rating of {name} is consistent"] if arm.share == 1 else []


def _even(above: Arm, below: Arm, plan: AnalysisPlan) -> Estimate:
    value = _even_ratio(above, below)
    drawn = bounds(even_draws(above, below, plan.draws, np.random.default_rng(plan.seed)), plan.confidence)
    factor = stretch(min(units(above.by_picture), units(below.by_picture)), plan.confidence)
    return Estimate(value, *map(float, stretched(value, *drawn, factor, "log")))


def _share_of_raters(arm: Arm) -> float:
    """Mean over raters of their own share of consistent ratings."""
    counts = arm.counts.sum(1)
    return float((arm.hits.sum(1)[counts > 0] / counts[counts > 0]).mean())


def _share(arm: Arm, plan: AnalysisPlan) -> Estimate:
    totals = two_way_totals(np.stack([arm.hits, arm.counts]), plan.draws, np.random.default_rng(plan.seed))
    drawn = interval(divide(totals[:, 0], totals[:, 1]), plan.confidence)
    low, high = map(float, stretched(arm.share, *drawn, stretch(units(arm), plan.confidence), "logit"))
    if arm.share == 0:
        high = at_most(arm, plan.confidence)
    if arm.share == 1:
        low = 1 - at_most(Arm(arm.counts - arm.hits, arm.counts), plan.confidence)
    return Estimate(arm.share, max(low, 0.0), min(high, 1.0))


def _even_ratio(above: Arm, below: Arm) -> float:
    both = (above.counts.sum(0) > 0) & (below.counts.sum(0) > 0)
    return float(divide(*((arm.hits.sum(0)[both] / arm.counts.sum(0)[both]).sum() for arm in (above, below))))


def at_most(arm: Arm, confidence: float) -> float:
    """Clopper-Pearson's upper bound on the share of raters, and of pictures, with any hit; the larger of the two.

    A rating is a hit no more often than its rater has any hit, so this bounds P(hit), too, and takes nothing but whole
    raters (or pictures) to be independent. With no hits from 30 raters on 40 pictures it is .12.

    Args:
        arm: by picture.
    """
    bounds = []
    for axis in (0, 1):
        rated = arm.counts.sum(axis) > 0
        some, all_ = int((arm.hits.sum(axis)[rated] > 0).sum()), int(rated.sum())
        bounds.append(1.0 if some == all_ else float(stats.beta.ppf((1 + confidence) / 2, some + 1, all_ - some)))
    return max(bounds)


def _exact_bounds(above: Arm, below: Arm, plan: AnalysisPlan) -> tuple[float, float]:
    """Bounds of a ratio with a sparse arm: each arm's own bounds at half the error, put together (Bonferroni)."""
    halved = replace(plan, confidence=(1 + plan.confidence) / 2)
    top, bottom = (_share(arm, halved) for arm in (above, below))
    most, bottom_most = (at_most(arm, halved.confidence) for arm in (above, below))
    low, high = divide(top.low, max(bottom.high, bottom_most)), divide(max(top.high, most), bottom.low)
    return float(low), float(high)

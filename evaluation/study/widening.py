"""How much wider an interval has to be when raters or items are few.

A bootstrap of n units spreads by sqrt((n - 1) / n) too little, and percentiles take the spread for known, as if n were
large: of 5 raters, "95 %" intervals hold the truth in 80 to 90 % of studies. So the ratio's interval is never narrower
than Student's t with the jackknife over raters and over items. It holds that of the ratio in which every rater weighs
the same, too: if severe raters leave early, the ratings that are left are those of mild ones. Other intervals are
stretched around their estimates by `stretch`.

The sizes were chosen by coverage, over the grid of `evaluation.study.grid` (`results/study.json`): n - 2 degrees of
freedom and not n - 1, because shares of raters who lean towards a condition are skewed, and few raters do not show it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special, stats

from evaluation.study.bootstrap import bounds, divide, two_way_totals

_LOST = 2
"""How many degrees of freedom fewer than units; see above."""
_MARGIN = 1.1
"""Of the jackknife's reach. Without it "at least 2.7" was false in up to 3.5 % of studies of 8 to 20 raters who lean
much where the baseline is hardly ever consistent: the few raters who like it are easily missed."""
CLAIM_FROM = 5
"""With fewer raters of either condition no claim is made: nothing was measured there that holds."""
_SCALES: dict[str, tuple[Callable, Callable]] = {
    "log": (np.log, np.exp),
    "logit": (special.logit, special.expit),
    "linear": (np.asarray, np.asarray),
}


def effective(counts: np.ndarray) -> np.ndarray:
    """As how many raters, all with as many ratings, the raters count (Kish 1965): `(sum n)^2 / sum n^2`.

    Args:
        counts: `[..., rater, item]`.
    """
    ratings = counts.sum(-1)
    return divide(ratings.sum(-1) ** 2, (ratings**2).sum(-1))


def stretch(units: np.ndarray | float, confidence: float) -> np.ndarray:
    """By how much a percentile interval over so many units is stretched; infinite for two units or fewer."""
    left = np.asarray(units, float) - _LOST
    usable = np.maximum(left, 1e-3)
    factor = stats.t.ppf((1 + confidence) / 2, usable) / stats.norm.ppf((1 + confidence) / 2)
    return np.where(left > 0, factor * np.sqrt((usable + _LOST) / usable), np.inf)


def stretched(
    value: np.ndarray | float, low: np.ndarray | float, high: np.ndarray | float, factor: np.ndarray | float, scale: str
) -> tuple[np.ndarray, np.ndarray]:
    """The interval, `factor` times as wide around the value; bounds that are at the end of the scale stay there.

    Args:
        scale: log, logit or linear.
    """
    forth, back = _SCALES[scale]
    lowest, highest = back(np.float64(-np.inf)), back(np.float64(np.inf))
    found = []
    with np.errstate(all="ignore"):
        middle = forth(np.asarray(value, float))
        for bound, furthest in ((low, lowest), (high, highest)):
            end = np.clip(np.asarray(bound, float), lowest, highest)
            moved = back(middle + factor * (forth(end) - middle))
            usable = np.isfinite(middle) & np.isfinite(forth(end))
            found.append(np.where(np.isinf(factor), furthest, np.where(usable, moved, end)))
    return found[0], found[1]


def ratio_interval(
    above: tuple[np.ndarray, np.ndarray],
    below: tuple[np.ndarray, np.ndarray],
    confidence: float,
    draws: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the ratio of two shares, `[...]`; of many studies of one size at once where there are leading axes.

    Args:
        above, below: hits and counts `[..., rater, item]` of numerator and denominator, the same raters and items.
    """
    arms = np.stack([*above, *below])
    return widened(arms, percentiles(arms, confidence, draws, rng), confidence)


def percentiles(
    arms: np.ndarray, confidence: float, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the ratio by the two-way bootstrap alone.

    Args:
        arms: `[4, ..., rater, item]`: hits and counts of the numerator, hits and counts of the denominator.
    """
    totals = two_way_totals(arms, draws, rng)  # [draw, quantity, ...]
    low, high = bounds(divide(divide(totals[:, 0], totals[:, 1]), divide(totals[:, 2], totals[:, 3])), confidence)
    return np.maximum(low, 0), high


def widened(
    arms: np.ndarray, interval: tuple[np.ndarray, np.ndarray], confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """The interval, no narrower than the jackknife's, for pooled ratings and for raters who weigh the same."""
    ratings = arms[1::2].sum(-1)  # [arm, ..., rater]
    alike = arms / np.repeat(np.where(ratings > 0, ratings, 1), 2, axis=0)[..., None]
    raters = effective(arms[1] + arms[3])
    low, high = interval
    for each in [arms] if np.allclose(ratings, ratings[..., :1]) else [arms, alike]:
        ends = _jackknife(each, raters, arms.shape[-1], confidence)
        low, high = np.minimum(low, ends[0]), np.maximum(high, ends[1])
    return low, high


def _jackknife(arms: np.ndarray, raters: np.ndarray, items: int, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Student's t of the logarithm, its variance the sum of the jackknife's over raters and over items.

    Degrees of freedom by Satterthwaite (1946). Without a bound where the ratio without some unit is 0, infinite or
    undefined.
    """
    value = _ratio(arms.sum((-1, -2)))
    variances = []
    with np.errstate(all="ignore"):
        for axis, units in ((-1, raters), (-2, np.asarray(float(items)))):
            sums = arms.sum(axis)
            apart = np.log(_ratio(sums.sum(-1, keepdims=True) - sums)) - np.log(value)[..., None]
            left = np.maximum(units - _LOST, 1e-3)
            variances.append((np.where(units > _LOST, (units - 1) / left * (apart**2).sum(-1), np.inf), left))
        (of_raters, left_raters), (of_items, left_items) = variances
        both = of_raters + of_items
        freedom = both**2 / (of_raters**2 / left_raters + of_items**2 / left_items)
        freedom = np.where(np.isfinite(freedom), np.maximum(freedom, 1), 1)
        reach = _MARGIN * stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(both)
        low, high = value * np.exp(-reach), value * np.exp(reach)
    return np.where(np.isnan(low), 0.0, low), np.where(np.isnan(high), np.inf, high)


def _ratio(sums: np.ndarray) -> np.ndarray:
    """The ratio of two shares, of hits and counts of both along the first axis."""
    return divide(divide(sums[0], sums[1]), divide(sums[2], sums[3]))

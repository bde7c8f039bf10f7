"""How far raters agree: Krippendorff's ordinal alpha, and how reliable an item's mean rating is: ICC(2, k)."""

from __future__ import annotations

from dataclasses import dataclass

import evalica
import numpy as np
import pandas as pd
from scipy import linalg, optimize

from evaluation.study.bootstrap import bounds
from evaluation.study.estimate import Estimate
from evaluation.study.pictures import items_of, pictures_of
from evaluation.study.widening import stretch, stretched

ALPHA_DRAWS = 1000


@dataclass(frozen=True)
class Reliability:
    """Of an item's mean over `raters` ratings, and of one rating: Shrout and Fleiss's ICC(2, k) and ICC(2, 1)."""

    mean: float
    single: float
    raters: float


def level_matrix(ratings: pd.DataFrame) -> pd.DataFrame:
    """Levels, float `[rater, item]`, NaN where there is none; the mean where a rater has several.

    Args:
        ratings: `study`, `rater`, `item`, `image` and `value` of `evaluation.study.ratings`.

    Returns:
        Its columns are numbered by `picture` and `item`.
    """
    levels = ratings.assign(level=ratings["value"].astype(float), picture=pictures_of(ratings), item=items_of(ratings))
    return levels.pivot_table(index="rater", columns=["picture", "item"], values="level", aggfunc="mean")


def ordinal_alpha(levels: pd.DataFrame, confidence: float = 0.95, draws: int = ALPHA_DRAWS, seed: int = 0) -> Estimate:
    """Krippendorff's alpha with ordinal distances, 1 for perfect agreement, 0 for chance.

    The interval resamples pictures, widened for few: raters drawn twice would agree with themselves. If all raters
    agree on every item, as many pictures as Clopper and Pearson allow may still be agreed on by chance alone. NaN where
    no item has two ratings, or all ratings are the same (there is no disagreement to compare with).

    Args:
        levels: `[rater, item]`, NaN where missing; without a level `picture` of the columns, every item has its own.
    """
    rated = levels.loc[:, (levels.notna().sum() > 1).to_numpy()]
    shown = rated.columns.get_level_values("picture") if "picture" in rated.columns.names else np.arange(rated.shape[1])
    items = [np.flatnonzero(shown == picture) for picture in np.unique(shown)]
    values = rated.to_numpy(float)
    value, count = _alpha(values), len(items)
    if np.isnan(value) or count < 2:
        return Estimate(value)
    rng = np.random.default_rng(seed)
    resampled = (np.concatenate([items[each] for each in rng.integers(count, size=count)]) for _ in range(draws))
    drawn = np.array([_alpha(values[:, columns]) for columns in resampled])
    usable = drawn[~np.isnan(drawn)]
    if not len(usable):
        return Estimate(value)
    low, high = map(float, stretched(value, *bounds(usable, confidence), stretch(count, confidence), "linear"))
    if value == 1:
        low = ((1 - confidence) / 2) ** (1 / count)
    return Estimate(value, low, min(high, 1.0))


def reliability(levels: pd.DataFrame) -> Reliability:
    """ICC(2, k) and ICC(2, 1), two-way random effects, absolute agreement (Shrout and Fleiss 1979).

    From variance components by restricted maximum likelihood, so that raters need not have rated everything; without
    gaps this is the analysis of variance of the paper. `k` is the mean number of ratings of an item.
    """
    rated = levels.to_numpy(float)
    rater, item = np.nonzero(~np.isnan(rated))
    values, items = rated[rater, item], len(np.unique(item))
    k = len(values) / max(items, 1)
    if items < 2 or len(np.unique(rater)) < 2 or k <= 1 or np.ptp(values) == 0:
        return Reliability(float("nan"), float("nan"), k)
    of_raters, of_items, noise = variance_components(values, rater, item)
    error = of_raters + noise
    return Reliability(of_items / (of_items + error / k), of_items / (of_items + error), k)


def variance_components(values: np.ndarray, rater: np.ndarray, item: np.ndarray) -> tuple[float, float, float]:
    """Variances of raters, items and noise by restricted maximum likelihood, `value = mean + rater + item + noise`.

    Args:
        values: `[rating]`.
        rater, item: int `[rating]`, whose and of what.
    """
    raters = int(rater.max()) + 1
    count, levels = len(values), raters + int(item.max()) + 1
    design = np.zeros((count, levels))
    design[np.arange(count), rater] = design[np.arange(count), raters + item] = 1
    centred = values - values.mean()
    cross, sides = design.T @ design, design.T @ np.column_stack([np.ones(count), centred])
    totals = np.array([[count, 0.0], [0.0, centred @ centred]])

    def fit(log_ratios: np.ndarray) -> tuple[float, float]:
        """Criterion (-2 log restricted likelihood, less constants) and the noise's variance."""
        root = np.sqrt(np.exp(log_ratios))[(np.arange(levels) >= raters).astype(int)]
        factor = linalg.cholesky(np.eye(levels) + root[:, None] * cross * root, lower=True)
        white = linalg.solve_triangular(factor, root[:, None] * sides, lower=True)
        (ones, both), (_, squares) = totals - white.T @ white
        residual = max(squares - both**2 / ones, 1e-12 * count)
        noise = residual / (count - 1)
        return (count - 1) * np.log(noise) + 2 * np.log(np.diag(factor)).sum() + np.log(ones), noise

    best = optimize.minimize(lambda at: fit(at)[0], [-1.0, -1.0], method="L-BFGS-B", bounds=[(-20, 12)] * 2)
    noise = fit(best.x)[1]
    of_raters, of_items = noise * np.exp(best.x)
    return float(of_raters), float(of_items), float(noise)


def _alpha(rated: np.ndarray) -> float:
    if not rated.size or np.nanmin(rated) == np.nanmax(rated):
        return float("nan")
    return float(evalica.alpha(pd.DataFrame(rated), "ordinal").alpha)

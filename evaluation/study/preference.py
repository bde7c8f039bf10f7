"""Pairs: win rates, and the Bradley-Terry model with ties and a liking for one side (Davidson and Beaver 1977).

With strengths s, a side effect g and a tie parameter n, a pair's outcomes have the odds

    left : right : no difference  =  exp(s_left + g / 2) : exp(s_right - g / 2) : n * exp((s_left + s_right) / 2)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from evaluation.study.bootstrap import bounds, divide, two_way_totals
from evaluation.study.estimate import Estimate
from evaluation.study.pictures import pictures_of
from evaluation.study.plan import AnalysisPlan
from evaluation.study.ratings import CHOICES, CONDITIONS
from evaluation.study.ratio import SPARSE, Arm, at_most, units
from evaluation.study.widening import stretch, stretched
from lfi.errors import DataError

_RIDGE = 1e-4
"""A normal prior of sd 100 logits. It is nothing to data, and a strength that was never beaten stays finite in the fit;
what grows when the ridge shrinks is infinite and is given as such."""


@dataclass(frozen=True)
class Contest:
    """Two conditions in pairs: how often each was preferred, and the first one's win rate, a tie being half a win."""

    first: str
    second: str
    wins: int
    losses: int
    ties: int
    win_rate: Estimate


@dataclass(frozen=True)
class BradleyTerry:
    """Strengths in logits against the reference (the plan's denominator where it was shown); positive side: left.

    Infinite where a condition, or a side, always won; the other bound is exact then.
    """

    reference: str
    strengths: dict[str, Estimate]
    side: Estimate
    tie: Estimate


@dataclass(frozen=True)
class Fit:
    """Maximum likelihood estimates: strengths in logits `[..., competitor]`, the first being 0."""

    strengths: np.ndarray
    side: np.ndarray
    tie: np.ndarray


def contests(pairs: pd.DataFrame, plan: AnalysisPlan) -> list[Contest]:
    """Every two conditions that met, with intervals of the win rate: two-way bootstrap, widened, exact where sparse."""
    found = []
    for place, first in enumerate(_conditions(pairs, plan)):
        for second in _conditions(pairs, plan)[place + 1 :]:
            met = pairs[pairs["left"].isin((first, second)) & pairs["right"].isin((first, second))]
            if met.empty:
                continue
            winner = met["left"].where(met["value"] == "left", met["right"])
            ties = (met["value"] == "none").to_numpy(bool)
            wins, losses = ((winner == name).to_numpy(bool) & ~ties for name in (first, second))
            rate = _win_rate(_spread(met, np.stack([wins, losses, np.ones(len(met))])), plan)
            found.append(Contest(first, second, int(wins.sum()), int(losses.sum()), int(ties.sum()), rate))
    return found


def bradley_terry(pairs: pd.DataFrame, plan: AnalysisPlan, draws: int = 1000) -> BradleyTerry:
    """Strengths of the conditions with two-way bootstrap intervals, widened for few raters.

    Raises:
        DataError: there are no pairs, or some conditions never met the others, not even through third ones.
    """
    if pairs.empty:
        raise DataError("no pairs are left to analyse")
    names = _conditions(pairs, plan)[::-1]
    left, right = (pd.Categorical(pairs[side], categories=names).codes.astype(int) for side in ("left", "right"))
    choice = pd.Categorical(pairs["value"], categories=CHOICES).codes.astype(int)
    meetings, cell = np.unique(np.column_stack([left, right]), axis=0, return_inverse=True)
    index = cell.ravel() * len(CHOICES) + choice
    kinds = len(meetings) * len(CHOICES)
    counts = np.bincount(index, minlength=kinds).reshape(-1, len(CHOICES))
    spread = _spread(pairs, np.eye(kinds)[index].T)
    totals = two_way_totals(spread, draws, np.random.default_rng(plan.seed)).reshape(draws, -1, len(CHOICES))
    fit, drawn = _unbounded(meetings, counts), _unbounded(meetings, totals)
    of_choice = _spread(pairs, np.eye(len(CHOICES))[choice].T)
    factor = stretch(units(Arm(of_choice[0], of_choice.sum(0))), plan.confidence)

    def estimate(value: np.ndarray, values: np.ndarray, scale: str, exact: tuple[float, float]) -> Estimate:
        low, high = map(float, stretched(value, *bounds(values, plan.confidence), factor, scale))
        return Estimate(float(value), min(low, exact[0]), max(high, exact[1]))

    met = {(each.first, each.second): each for each in contests(pairs, plan)}
    return BradleyTerry(
        reference=names[0],
        strengths={
            name: estimate(
                fit.strengths[at], drawn.strengths[:, at], "linear", _exact_strength(met.get((name, names[0])))
            )
            if at
            else Estimate(0.0)
            for at, name in enumerate(names)
        },
        side=estimate(fit.side, drawn.side, "linear", _exact_side(of_choice, plan)),
        tie=estimate(fit.tie, drawn.tie, "log", _exact_tie(of_choice, plan)),
    )


def _win_rate(spread: np.ndarray, plan: AnalysisPlan) -> Estimate:
    """A tie is half a win. Exact bounds where too few wins or losses are there to be resampled.

    Args:
        spread: `[wins, losses or all pairs, rater, picture]`.
    """
    wins, losses, pairs = spread
    value = float((wins + (pairs - wins - losses) / 2).sum() / pairs.sum())
    totals = two_way_totals(spread, plan.draws, np.random.default_rng(plan.seed))
    drawn = bounds(divide(0.5 * (totals[:, 0] - totals[:, 1] + totals[:, 2]), totals[:, 2]), plan.confidence)
    factor = stretch(units(Arm(wins, pairs)), plan.confidence)
    low, high = map(float, stretched(value, *drawn, factor, "logit"))
    if _sparse(losses):
        low = min(low, value - at_most(Arm(losses, pairs), plan.confidence) + float(losses.sum() / pairs.sum()))
    if _sparse(wins):
        high = max(high, value + at_most(Arm(wins, pairs), plan.confidence) - float(wins.sum() / pairs.sum()))
    return Estimate(value, max(low, 0.0), min(high, 1.0))


def _unbounded(meetings: np.ndarray, counts: np.ndarray) -> Fit:
    """The fit, infinite where nothing but the ridge holds it: where a hundredth of the ridge moves it far."""
    fit, freer = davidson(meetings, counts), davidson(meetings, counts, ridge=_RIDGE / 100)

    def freed(value: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.where(np.abs(other - value) > 1, np.copysign(np.inf, value), value)

    with np.errstate(divide="ignore"):
        tie = np.exp(freed(np.log(fit.tie), np.log(freer.tie)))
    return Fit(freed(fit.strengths, freer.strengths), freed(fit.side, freer.side), tie)


def _sparse(hits: np.ndarray) -> bool:
    """Whether they come from too few raters, or pictures, to be resampled alone."""
    return min(int((hits.sum(axis) > 0).sum()) for axis in (0, 1)) < SPARSE


def _exact_strength(contest: Contest | None) -> tuple[float, float]:
    """What the win rate's interval says of a strength, where it is exact; everything where the two never met.

    Without ties the strength is the logit of the win rate; ties bring the win rate nearer to a half.
    """
    if contest is None:
        return -np.inf, np.inf
    if contest.wins and contest.losses:
        return np.inf, -np.inf  # widens nothing
    return float(special.logit(contest.win_rate.low)), float(special.logit(contest.win_rate.high))


def _exact_side(of_choice: np.ndarray, plan: AnalysisPlan) -> tuple[float, float]:
    """Bounds on the side effect where one side was hardly ever chosen."""
    left, right, _ = of_choice
    decided = left + right
    if not decided.sum():
        return -np.inf, np.inf
    low, high = np.inf, -np.inf
    if _sparse(right):
        low = float(special.logit(1 - at_most(Arm(right, decided), plan.confidence)))
    if _sparse(left):
        high = float(special.logit(at_most(Arm(left, decided), plan.confidence)))
    return low, high


def _exact_tie(of_choice: np.ndarray, plan: AnalysisPlan) -> tuple[float, float]:
    """Bounds on the tie parameter n where hardly any or nearly all pairs are ties.

    Of equal strengths, P(tie) = n / (n + 2).
    """
    pairs, ties = of_choice.sum(0), of_choice[2]
    low, high = np.inf, -np.inf
    if _sparse(ties):
        share = at_most(Arm(ties, pairs), plan.confidence)
        high = float(divide(2 * share, 1 - share))
    if _sparse(pairs - ties):
        share = 1 - at_most(Arm(pairs - ties, pairs), plan.confidence)
        low = float(divide(2 * share, 1 - share))
    return low, high


def davidson(meetings: np.ndarray, counts: np.ndarray, side: bool = True, ridge: float = _RIDGE) -> Fit:
    """Fit the model to counts by Newton's method; the likelihood is concave.

    Args:
        meetings: int `[meeting, 2]`, the competitor on the left and the one on the right, from 0.
        counts: `[..., meeting, 3]`: left preferred, right preferred, no difference.
        side: fit a side effect; otherwise it is 0.
        ridge: of the prior.

    Raises:
        DataError: some competitors never met the others.
    """
    competitors = int(meetings.max()) + 1
    graph = coo_array((np.ones(len(meetings)), (meetings[:, 0], meetings[:, 1])), shape=(competitors, competitors))
    if connected_components(graph, directed=False)[0] > 1:
        raise DataError("some conditions were never compared with the others, so their strengths cannot be compared")
    features = np.zeros((len(meetings), 3, competitors + 2))  # strengths, side, tie
    for row, (one, other) in enumerate(meetings):
        for outcome, (of_left, of_right) in enumerate(((1, 0), (0, 1), (0.5, 0.5))):
            features[row, outcome, one] += of_left
            features[row, outcome, other] += of_right
    features[:, :2, -2] = (0.5, -0.5) if side else 0
    features[:, 2, -1] = 1
    features = features[:, :, 1:]  # the first competitor's strength is 0

    at = np.zeros((*counts.shape[:-2], features.shape[2]))
    totals = counts.sum(-1)
    for _ in range(100):
        scores = np.einsum("mop,...p->...mo", features, at)
        chances = np.exp(scores - scores.max(-1, keepdims=True))
        chances /= chances.sum(-1, keepdims=True)
        slope = np.einsum("...mo,mop->...p", counts - totals[..., None] * chances, features) - ridge * at
        mean = np.einsum("...mo,mop->...mp", chances, features)
        bend = np.einsum("...m,...mo,mop,moq->...pq", totals, chances, features, features)
        bend -= np.einsum("...m,...mp,...mq->...pq", totals, mean, mean)
        step = np.linalg.solve(bend + ridge * np.eye(at.shape[-1]), slope[..., None])[..., 0]
        step /= np.maximum(1.0, np.abs(step).max(-1, keepdims=True))  # far steps overshoot
        at = at + step
        if np.abs(step).max() < 1e-9:
            break
    strengths = np.concatenate([np.zeros((*at.shape[:-1], 1)), at[..., : competitors - 1]], axis=-1)
    return Fit(strengths, at[..., -2], np.exp(at[..., -1]))


def _conditions(pairs: pd.DataFrame, plan: AnalysisPlan) -> list[str]:
    """Conditions shown in pairs: the plan's numerator first, its denominator last."""
    shown = [name for name in CONDITIONS if (pairs["left"] == name).any() or (pairs["right"] == name).any()]
    return sorted(shown, key=lambda name: (name != plan.numerator) + (name == plan.denominator))


def _spread(rows: pd.DataFrame, values: np.ndarray) -> np.ndarray:
    """`values` `[quantity, row]` summed per rater and picture, `[quantity, rater, picture]`."""
    raters, pictures = pd.factorize(rows["rater"], sort=True)[0], pictures_of(rows)
    spread = np.zeros((len(values), raters.max() + 1, pictures.max() + 1))
    for out, row in zip(spread, values, strict=True):
        np.add.at(out, (raters, pictures), row)
    return spread

"""Pairs: win rates, and the Bradley-Terry model with ties and a liking for one side (Davidson and Beaver 1977).

With strengths s, a side effect g and a tie parameter n, a pair's outcomes have the odds

    left : right : no difference  =  exp(s_left + g / 2) : exp(s_right - g / 2) : n * exp((s_left + s_right) / 2)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from evaluation.study.bootstrap import divide, interval, two_way_totals
from evaluation.study.estimate import Estimate
from evaluation.study.plan import AnalysisPlan
from evaluation.study.ratings import CHOICES, CONDITIONS
from lfi.errors import DataError

_RIDGE = 1e-4  # a normal prior of sd 100 logits: nothing to data, but a strength that was never beaten stays finite


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
    """Strengths in logits against the reference (the plan's denominator where it was shown); positive side: left."""

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
    """Every two conditions that met, with two-way bootstrap intervals of the win rate."""
    found = []
    for place, first in enumerate(_conditions(pairs, plan)):
        for second in _conditions(pairs, plan)[place + 1 :]:
            met = pairs[pairs["left"].isin((first, second)) & pairs["right"].isin((first, second))]
            if met.empty:
                continue
            winner = met["left"].where(met["value"] == "left", met["right"])
            ties = (met["value"] == "none").to_numpy(bool)
            wins, losses = ((winner == name).to_numpy(bool) & ~ties for name in (first, second))
            score = _spread(met, np.stack([wins + ties / 2, np.ones(len(met))]))
            totals = two_way_totals(score, plan.draws, np.random.default_rng(plan.seed))
            rate = Estimate(
                float((wins + ties / 2).mean()), *interval(divide(totals[:, 0], totals[:, 1]), plan.confidence)
            )
            found.append(Contest(first, second, int(wins.sum()), int(losses.sum()), int(ties.sum()), rate))
    return found


def bradley_terry(pairs: pd.DataFrame, plan: AnalysisPlan, draws: int = 1000) -> BradleyTerry:
    """Strengths of the conditions with two-way bootstrap intervals.

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
    fit = davidson(meetings, counts)
    spread = _spread(pairs, np.eye(kinds)[index].T)
    drawn = davidson(
        meetings, two_way_totals(spread, draws, np.random.default_rng(plan.seed)).reshape(draws, -1, len(CHOICES))
    )

    def with_interval(value: np.ndarray, values: np.ndarray) -> Estimate:
        return Estimate(float(value), *interval(values, plan.confidence))

    return BradleyTerry(
        reference=names[0],
        strengths={
            name: with_interval(fit.strengths[at], drawn.strengths[:, at]) if at else Estimate(0.0)
            for at, name in enumerate(names)
        },
        side=with_interval(fit.side, drawn.side),
        tie=with_interval(fit.tie, drawn.tie),
    )


def davidson(meetings: np.ndarray, counts: np.ndarray, side: bool = True) -> Fit:
    """Fit the model to counts by Newton's method; the likelihood is concave.

    Args:
        meetings: int `[meeting, 2]`, the competitor on the left and the one on the right, from 0.
        counts: `[..., meeting, 3]`: left preferred, right preferred, no difference.
        side: fit a side effect; otherwise it is 0.

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
        slope = np.einsum("...mo,mop->...p", counts - totals[..., None] * chances, features) - _RIDGE * at
        mean = np.einsum("...mo,mop->...mp", chances, features)
        bend = np.einsum("...m,...mo,mop,moq->...pq", totals, chances, features, features)
        bend -= np.einsum("...m,...mp,...mq->...pq", totals, mean, mean)
        step = np.linalg.solve(bend + _RIDGE * np.eye(at.shape[-1]), slope[..., None])[..., 0]
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
    """`values` `[quantity, row]` summed per rater and item, `[quantity, rater, item]`."""
    raters, items = pd.factorize(rows["rater"], sort=True)[0], pd.factorize(rows["item"], sort=True)[0]
    spread = np.zeros((len(values), raters.max() + 1, items.max() + 1))
    for out, row in zip(spread, values, strict=True):
        np.add.at(out, (raters, items), row)
    return spread

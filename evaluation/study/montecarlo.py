"""Simulated studies by the hundred: how often the interval contains the truth and how often it supports the claim."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from tqdm import tqdm

from evaluation.study.bootstrap import divide, interval
from evaluation.study.design import latin_design
from evaluation.study.estimate import Estimate
from evaluation.study.plan import AnalysisPlan
from evaluation.study.raters import Population, levels
from evaluation.study.ratings import CONSISTENT_FROM
from evaluation.study.ratio import Arm, with_exact_bounds
from evaluation.study.widening import ratio_interval

_BATCH = 20


@dataclass(frozen=True, eq=False)
class Intervals:
    """Intervals of the ratio, LFI to baseline, from many studies.

    Attributes:
        estimates: `[study]`.
        two_way: `[study, 2]`, bounds as the analysis makes them: two-way, widened for few raters and sparse arms.
        rows: `[study, 2]`, bounds of a bootstrap that takes every rating to be independent.
    """

    estimates: np.ndarray
    two_way: np.ndarray
    rows: np.ndarray

    def coverage(self, truth: float) -> tuple[Estimate, Estimate]:
        """Share of studies whose interval contains the truth, two-way and by rows, with 95 % Monte-Carlo intervals."""
        return proportion(holds(self.two_way, truth)), proportion(holds(self.rows, truth))

    def power(self, claim: float) -> Estimate:
        """Share of studies whose two-way interval lies at or above the claim, with a 95 % Monte-Carlo interval."""
        return proportion(self.two_way[:, 0] >= claim)


def simulate_intervals(
    population: Population,
    raters: int,
    items: int,
    trials: int,
    studies: int,
    *,
    draws: int = 500,
    confidence: float = 0.95,
    seed: int = 0,
    progress: tqdm | None = None,
) -> Intervals:
    """Simulate studies in the Latin design and analyse each; `progress` is moved on by one per study."""
    plan = AnalysisPlan(confidence=confidence, draws=draws, seed=seed)
    rng = np.random.default_rng((seed, raters, items, trials))
    conditions = population.conditions
    walked = latin_design(raters, items, len(conditions), trials)
    counts = np.zeros((raters, items, len(conditions)))
    counts[np.arange(raters)[:, None], walked[..., 0], walked[..., 1]] = 1
    chosen = [conditions.index("lfi"), conditions.index("baseline")]
    estimates, two_way, rows = [], [], []
    for start in range(0, studies, _BATCH):
        size = min(_BATCH, studies - start)
        drawn = population.draw_raters((size, raters), rng)
        latent = population.latent(drawn, population.draw_items((size, items), rng))[..., chosen]
        hits = levels(latent, drawn.lapses[..., None, None], 5, rng) >= CONSISTENT_FROM[5]
        of_conditions = [counts[..., index] for index in chosen]
        arms = [
            (hits[..., place] * rated, np.broadcast_to(rated, hits.shape[:-1]))
            for place, rated in enumerate(of_conditions)
        ]
        resampled = np.stack(ratio_interval(arms[0], arms[1], confidence, draws, rng), axis=-1)
        for study, bounds in zip(hits, resampled.tolist(), strict=True):
            above, below = (Arm(study[..., place] * rated, rated) for place, rated in enumerate(of_conditions))
            found, _ = with_exact_bounds(tuple(bounds), {"lfi": above, "baseline": below}, plan)
            estimates.append(found.value)
            two_way.append((found.low, found.high))
            rows.append(interval(_row_bootstrap(above, below, draws, rng), confidence))
            if progress is not None:
                progress.update()
    return Intervals(np.array(estimates), np.array(two_way), np.array(rows))


def proportion(successes: np.ndarray) -> Estimate:
    """Share of successes with its exact 95 % interval (Clopper and Pearson)."""
    count, total = int(successes.sum()), len(successes)
    bounds = stats.binomtest(count, total).proportion_ci(0.95)
    return Estimate(count / total, float(bounds.low), float(bounds.high))


def _row_bootstrap(above: Arm, below: Arm, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Ratios when single ratings are resampled, `[draw]`: a multinomial over the four kinds of rating."""
    kinds = np.array([part for arm in (above, below) for part in (arm.hits.sum(), (arm.counts - arm.hits).sum())])
    drawn = rng.multinomial(int(kinds.sum()), kinds / kinds.sum(), draws)
    return divide(divide(drawn[:, 0], drawn[:, :2].sum(1)), divide(drawn[:, 2], drawn[:, 2:].sum(1)))


def holds(bounds: np.ndarray, truth: float) -> np.ndarray:
    """Which intervals `[study, 2]` hold the truth."""
    return (bounds[:, 0] <= truth) & (truth <= bounds[:, 1])

"""How many raters and items a study needs, by simulating the ordinal model and analysing what it gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from evaluation.study.estimate import Estimate
from evaluation.study.montecarlo import proportion, simulate_intervals
from evaluation.study.raters import Population
from evaluation.study.widening import CLAIM_FROM
from lfi.errors import ConfigError


@dataclass(frozen=True)
class Size:
    """A size of study and its power.

    Attributes:
        trials: rating trials of one rater.
        power: share of simulated studies that could make the claim, with its Monte-Carlo interval; none with fewer
            raters than `CLAIM_FROM`.
    """

    raters: int
    items: int
    trials: int
    power: Estimate

    @property
    def ratings(self) -> int:
        """All ratings of the study."""
        return self.raters * self.trials


@dataclass(frozen=True)
class Planning:
    """What was asked and found.

    Attributes:
        ratio: the true ratio that is assumed.
        claim: what the interval's lower bound has to reach.
        wanted: the power asked for.
        studies: simulated studies per size.
        sizes: all sizes tried.
    """

    ratio: float
    claim: float
    wanted: float
    studies: int
    population: Population
    sizes: tuple[Size, ...]

    @property
    def smallest(self) -> Size | None:
        """The size with the fewest ratings, then raters, that has the power; None where none has."""
        enough = [size for size in self.sizes if size.power.value >= self.wanted]
        return min(enough, key=lambda size: (size.ratings, size.raters), default=None)


def population_for(ratio: float, baseline: float, usual: Population | None = None) -> Population:
    """A population with this true ratio of LFI to baseline and this P(consistent) of the baseline.

    Raises:
        ConfigError: LFI would have to be consistent more often than always.
    """
    usual = usual or Population()
    if not ratio > 0 or not 0 < baseline < 1:
        raise ConfigError(f"ratio {ratio} and baseline {baseline}; a ratio above 0 and a share below 1 were expected")
    if ratio * baseline >= 0.99:
        raise ConfigError(
            f"{ratio} times a baseline of {baseline} is a share of {ratio * baseline:.2f}; "
            f"with this ratio the baseline must be below {0.99 / ratio:.2f}"
        )
    return replace(usual, consistent={**usual.consistent, "lfi": ratio * baseline, "baseline": baseline})


def plan_size(
    population: Population,
    claim: float,
    wanted: float,
    raters: Sequence[int],
    items: Sequence[int],
    *,
    trials: int = 40,
    studies: int = 200,
    draws: int = 500,
    confidence: float = 0.95,
    seed: int = 0,
    quiet: bool = False,
) -> Planning:
    """Power at every number of raters with every number of items; a rater has at most `trials` rating trials.

    Raises:
        ConfigError: a power outside (0, 1), a claim that is none, or no size to try.
    """
    if not 0 < wanted < 1:
        raise ConfigError(f"the wanted power is {wanted}; between 0 and 1 was expected")
    if not 0 < claim < math.inf:
        raise ConfigError(f"the claim is {claim}; a ratio above 0 was expected")
    if not raters or not items or min(*raters, *items) < 2:
        raise ConfigError("at least two raters and two items are needed, as both are resampled")
    sizes = []
    with tqdm(total=len(raters) * len(items) * studies, unit="study", disable=quiet) as progress:
        for some_items in items:
            for some_raters in raters:
                shown = min(trials, some_items * len(population.conditions))
                progress.set_description(f"{some_raters} raters, {some_items} items")
                found = simulate_intervals(
                    population,
                    some_raters,
                    some_items,
                    shown,
                    studies,
                    draws=draws,
                    confidence=confidence,
                    seed=seed,
                    progress=progress,
                )
                power = found.power(claim) if some_raters >= CLAIM_FROM else proportion(np.zeros(studies))
                sizes.append(Size(some_raters, some_items, shown, power))
    return Planning(population.ratio, claim, wanted, studies, population, tuple(sizes))

"""Simulated raters: one model of behaviour for demo data, planning, tests of the analysis and load tests.

A cumulative-logit model with crossed random effects. What rater r feels at the map of item i in condition c is

    latent = bias[r] + leaning[r, c] + sensitivity[r] * (effect[c] + ease[i] + fit[i, c]) + logistic noise

and the level given is one more than the number of thresholds below it. The threshold of "consistent" is 0 on both
scales. Effects are solved so that P(consistent), over all raters and items one could have drawn, is exactly what was
asked for: the truth that an analysis has to find. A lapse is an answer at random.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property

import numpy as np
from numpy.random import Generator
from scipy.optimize import brentq
from scipy.special import expit

from evaluation.study.ratings import CONDITIONS, CONSISTENT_FROM
from lfi.errors import ConfigError

THRESHOLDS = {5: (-2.6, -1.2, 0.0, 1.6), 3: (-1.8, 0.0)}
TRUTH = {"teacher": 0.7, "lfi": 0.6, "baseline": 0.2, "shuffled": 0.05}
_SPREADS, _WIDEST = ("bias", "leaning", "ease", "fit", "sensitivity"), 10
"""Standard deviations, and what none exceeds: ten logits are odds of 22,000 to 1."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(41)


@dataclass(frozen=True)
class Population:
    """Whom and what a simulated study draws from.

    Attributes:
        consistent: true P(consistent) per condition on the 5-level scale, lapses included.
        bias: sd of how mild raters are, in logits, like the next three.
        leaning: sd of a rater's liking for one condition.
        ease: sd of how easy items are.
        fit: sd of how well a condition does on an item, beyond both.
        sensitivity: sd of the logarithm of how strongly raters respond to what they see.
        lapses: mean share of answers at random; raters differ (Beta).
        tie: half-width, in logits, of the differences that a rater calls none.
        side: mean liking for the left map of a pair, in logits; raters differ by as much again.
        drop_out: share of raters who leave somewhere on the way.
        double_clicks: share of answers sent twice.
        slow: share of raters on a slow network.
        pace_ms: median response time of the median rater.
    """

    consistent: Mapping[str, float] = field(default_factory=lambda: dict(TRUTH))
    bias: float = 0.7
    leaning: float = 0.3
    ease: float = 0.7
    fit: float = 0.5
    sensitivity: float = 0.2
    lapses: float = 0.03
    tie: float = 0.6
    side: float = 0.15
    drop_out: float = 0.05
    double_clicks: float = 0.05
    slow: float = 0.1
    pace_ms: float = 3000.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name != "consistent" and not 0 <= value < math.inf:
                raise ConfigError(f"{name} of the simulated raters is {value}; 0 or more was expected")
            if name in _SPREADS and value > _WIDEST:
                raise ConfigError(f"{name} of the simulated raters is {value}; at most {_WIDEST} was expected")
        for name in ("lapses", "drop_out", "double_clicks", "slow"):
            if getattr(self, name) >= 1:
                raise ConfigError(f"{name} of the simulated raters is {getattr(self, name)}; below 1 was expected")
        if unknown := set(self.consistent) - set(CONDITIONS):
            raise ConfigError(f"unknown condition {', '.join(sorted(unknown))}; one of {', '.join(CONDITIONS)}")
        low, high = self.lapses * _by_chance(5), 1 - self.lapses * (1 - _by_chance(5))
        for condition, share in self.consistent.items():
            if not low < share < high:
                raise ConfigError(
                    f"P(consistent) of {condition} is {share}; with {self.lapses:.0%} lapses, "
                    f"between {low:.3f} and {high:.3f} was expected"
                )

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions there are, in the house's order."""
        return tuple(name for name in CONDITIONS if name in self.consistent)

    @property
    def ratio(self) -> float:
        """The true ratio of P(consistent), LFI to baseline."""
        return self.consistent["lfi"] / self.consistent["baseline"]

    @cached_property
    def effects(self) -> np.ndarray:
        """Logits per condition `[condition]` that give the wanted P(consistent)."""
        attentive = {
            name: (share - self.lapses * _by_chance(5)) / (1 - self.lapses) for name, share in self.consistent.items()
        }
        try:
            return np.array(
                [brentq(lambda at, p=attentive[c]: self._marginal(at) - p, -60, 60) for c in self.conditions]
            )
        except ValueError as error:
            raise ConfigError(
                f"no effect makes P(consistent) {self.consistent} where raters and items spread so far; less of "
                f"{', '.join(_SPREADS)} was expected"
            ) from error

    def _marginal(self, effect: float) -> float:
        """P(consistent) of attentive raters, over all random effects, by Gauss-Hermite quadrature."""
        slope = np.exp(self.sensitivity * _NODES)[:, None]
        sd = np.sqrt(self.bias**2 + self.leaning**2 + slope**2 * (self.ease**2 + self.fit**2))
        return float(_WEIGHTS @ expit(slope * effect + sd * _NODES) @ _WEIGHTS / (2 * np.pi))

    def draw_raters(self, shape: int | tuple[int, ...], rng: Generator) -> RaterEffects:
        """Raters at random; `shape` ends in the number of raters and may lead with replicates."""
        shape = shape if isinstance(shape, tuple) else (shape,)
        spread = 0.5 * (self.lapses > 0)  # of the Beta: a few raters lapse often, most never
        return RaterEffects(
            bias=rng.normal(0, self.bias, shape),
            leaning=rng.normal(0, self.leaning, (*shape, len(self.conditions))),
            sensitivity=np.exp(rng.normal(0, self.sensitivity, shape)),
            lapses=rng.beta(spread, spread * (1 / self.lapses - 1), shape) if self.lapses else np.zeros(shape),
            side=rng.normal(self.side, self.side, shape),
        )

    def draw_items(self, shape: int | tuple[int, ...], rng: Generator) -> ItemEffects:
        """Items at random, shaped as raters are."""
        shape = shape if isinstance(shape, tuple) else (shape,)
        return ItemEffects(
            ease=rng.normal(0, self.ease, shape), fit=rng.normal(0, self.fit, (*shape, len(self.conditions)))
        )

    def item(self, name: str, seed: int) -> ItemEffects:
        """One item by its id: the same for every rater of a simulation with this seed."""
        return self.draw_items(1, np.random.default_rng((seed, zlib.crc32(name.encode()))))

    def latent(self, raters: RaterEffects, items: ItemEffects) -> np.ndarray:
        """What is felt before noise, `[..., rater, item, condition]`."""
        seen = self.effects + items.ease[..., None] + items.fit
        own = raters.bias[..., None] + raters.leaning
        return own[..., :, None, :] + raters.sensitivity[..., :, None, None] * seen[..., None, :, :]


@dataclass(frozen=True, eq=False)
class RaterEffects:
    """Raters' random effects: `[..., rater]`, `leaning` `[..., rater, condition]`; `lapses` is a share."""

    bias: np.ndarray
    leaning: np.ndarray
    sensitivity: np.ndarray
    lapses: np.ndarray
    side: np.ndarray


@dataclass(frozen=True, eq=False)
class ItemEffects:
    """Items' random effects: `ease` `[..., item]`, `fit` `[..., item, condition]`."""

    ease: np.ndarray
    fit: np.ndarray


def levels(latent: np.ndarray, lapses: np.ndarray, scale: int, rng: Generator) -> np.ndarray:
    """Levels given, int8 from 1 to `scale`, of the shape of `latent`; `lapses` is broadcast to it."""
    felt = latent + rng.logistic(size=latent.shape)
    given = 1 + sum((felt > threshold).astype(np.int8) for threshold in THRESHOLDS[scale])
    lapsed = rng.random(latent.shape) < lapses
    return np.where(lapsed, rng.integers(1, scale + 1, latent.shape, np.int8), given).astype(np.int8)


@dataclass(frozen=True)
class Answer:
    """What a rater does at one trial: a level or a side, the time it took and how often the button was hit."""

    value: int | str
    response_ms: int
    clicks: int


class SimulatedRater:
    """One rater, reproducible by `(seed, number)`; shares the items of every rater with the same seed."""

    def __init__(self, population: Population, seed: int, number: int):
        self.population, self.seed, self.number = population, seed, number
        self._rng = np.random.default_rng((seed, 1 << 40, number))
        self.effects = population.draw_raters(1, self._rng)
        self.pace = float(np.exp(self._rng.normal(0, 0.3)))
        self.on_slow_network = bool(self._rng.random() < population.slow)
        self._leaves = float(self._rng.random() / population.drop_out) if population.drop_out else 1.0

    def rate(self, item: str, condition: str, scale: int = 5) -> Answer:
        """The level given to an item's map."""
        lapse = self._lapses()
        level = levels(self._felt(item)[condition], np.array(float(lapse)), scale, self._rng)
        return self._answer(int(level), lapse)

    def choose(self, item: str, left: str, right: str) -> Answer:
        """Which of two maps is better: left, right or none (Rao and Kupper's model, with a liking for a side)."""
        lapse = self._lapses()
        felt = self._felt(item)
        better = felt[left] - felt[right] + self.effects.side[0] + self._rng.logistic()
        choice = "none" if abs(better) < self.population.tie else "left" if better > 0 else "right"
        return self._answer(str(self._rng.choice(["left", "right", "none"])) if lapse else choice, lapse)

    def catch(self, right: int | str, wrong: int | str) -> Answer:
        """The answer to a trial whose answer is obvious: right, unless the rater lapses (or errs, 1 in 100)."""
        lapse = self._lapses()
        failed = self._rng.random() < (0.5 if lapse else 0.01)
        return self._answer(wrong if failed else right, lapse)

    def leaves_after(self, trials: int) -> int:
        """How many of the trials are done before the rater leaves; all of them for most raters."""
        return min(trials, int(self._leaves * trials))

    def network_s(self) -> float:
        """How long a request is on its way, in seconds."""
        return float(self._rng.lognormal(np.log(0.8 if self.on_slow_network else 0.03), 0.5))

    def _felt(self, item: str) -> dict[str, np.ndarray]:
        latent = self.population.latent(self.effects, self.population.item(item, self.seed))[0, 0]
        return dict(zip(self.population.conditions, latent, strict=True))

    def _lapses(self) -> bool:
        return bool(self._rng.random() < self.effects.lapses[0])

    def _answer(self, value: int | str, lapse: bool) -> Answer:
        median = 500.0 if lapse else self.population.pace_ms * self.pace
        time = int(self._rng.lognormal(np.log(median), 0.4))
        return Answer(value, time, 1 + int(self._rng.random() < self.population.double_clicks))


def _by_chance(scale: int) -> float:
    """P(consistent) of an answer at random."""
    return (scale + 1 - CONSISTENT_FROM[scale]) / scale

"""Figures with their provenance: one JSON format for everything that a README or a report quotes."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from lfi.devices import cores
from lfi.errors import DataError, reason
from lfi.revision import revision


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval; `low` and `high` are NaN where there is none."""

    value: float
    low: float
    high: float
    unit: str


@dataclass(frozen=True)
class Goal:
    """A target, what was measured, and whether the target was met (`holds`, as records have it)."""

    value: float
    goal: float
    holds: bool


@dataclass
class Results:
    """One run of an `lfi evaluate` or `lfi benchmark` command.

    Attributes:
        models: fingerprints of the models that were measured, by name, where the record speaks of models that ship.
    """

    command: str
    seeds: list[int]
    n: dict[str, int]
    figures: dict[str, Figure] = field(default_factory=dict)
    goals: dict[str, Goal] = field(default_factory=dict)
    title: str = ""
    models: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str) -> None:
        """A figure without an interval."""
        self.figures[name] = Figure(value, float("nan"), float("nan"), unit)

    def record(self) -> dict[str, Any]:
        """As plain values, with commit, date and hardware added; null stands for NaN, and `models` only where named."""
        made = {
            "command": self.command,
            "commit": revision(digits=7),
            "date": date.today().isoformat(),
            "hardware": hardware(),
        }
        found = asdict(self)
        if not self.models:
            del found["models"]
        return _plain({**made, **found})

    def write(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.record(), indent=2) + "\n", encoding="utf-8")


def over_seeds(values: Sequence[float], unit: str) -> Figure:
    """Mean and 95 % t-interval over seeds; no interval from fewer than two."""
    sample = np.asarray(values, float)
    if len(sample) < 2:
        return Figure(float(sample.mean()), float("nan"), float("nan"), unit)
    reach = stats.t.ppf(0.975, len(sample) - 1) * stats.sem(sample)
    return Figure(float(sample.mean()), float(sample.mean() - reach), float(sample.mean() + reach), unit)


def over_clusters(values: np.ndarray, clusters: np.ndarray, unit: str, draws: int = 1000, seed: int = 0) -> Figure:
    """Mean over cases and a 95 % bootstrap interval that draws whole clusters: words of an image are related.

    One cluster has no interval.

    Args:
        values: `[case]`, without NaN, at least one.
        clusters: `[case]`: which of them are one cluster.
    """
    place = np.unique(clusters, return_inverse=True)[1]
    sums, sizes = np.bincount(place, values), np.bincount(place)
    if len(sums) < 2:
        return Figure(float(values.mean()), float("nan"), float("nan"), unit)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(draws, len(sums)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Figure(float(values.mean()), float(low), float(high), unit)


def ratio_over_clusters(
    above: np.ndarray, below: np.ndarray, clusters: np.ndarray, draws: int = 1000, seed: int = 0
) -> Figure:
    """Ratio of mean gains with a 95 % bootstrap interval that draws whole clusters, as `over_clusters` does.

    Infinite where `above` gains and `below` does not; 0 where neither does, for nothing over nothing is no lead.
    """
    place = np.unique(clusters, return_inverse=True)[1]
    sums = np.stack([np.bincount(place, values) for values in (above, below)])
    value, count = float(_ratio(*sums.sum(1))), sums.shape[1]
    if count < 2:
        return Figure(value, float("nan"), float("nan"), "ratio")
    drawn = sums[:, np.random.default_rng(seed).integers(count, size=(draws, count))].sum(-1)
    low, high = np.quantile(_ratio(*drawn), (0.025, 0.975), method="nearest")
    return Figure(value, float(low), float(high), "ratio")


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """`above` over `below` where that is positive, else infinity where `above` is, else 0."""
    without = np.where(above > 0, np.inf, 0.0)
    return np.divide(above, below, out=without, where=below > 0)


def hardware() -> str:
    """The hardware: the GPU if there is one, else cores and architecture."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()} x {torch.cuda.device_count()}"
    return f"{cores()} CPU cores, {platform.machine()}"


def read(path: Path) -> Any:
    """A JSON file, such as a record that `Results.write` left.

    Raises:
        DataError: it cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return round(value, 5) if np.isfinite(value) else None
    return value

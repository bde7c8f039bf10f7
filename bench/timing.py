"""Times of variants that take turns, and their statistics: medians, quantiles and ratios, with intervals."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import stats
from tqdm import tqdm

from evaluation.results import Figure


def take_turns(
    steps: dict[str, Callable[[int], Any]], rounds: int, device: str, title: str, warm: int = 2
) -> dict[str, np.ndarray]:
    """Seconds of every variant's steps, one of each a round, in an order that turns."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for index in tqdm(range(rounds + warm), desc=title, unit="round", dynamic_ncols=True):
        for name in names[index % len(names) :] + names[: index % len(names)]:
            start = time.perf_counter()
            steps[name](index)
            if device == "cuda":
                torch.cuda.synchronize()
            if index >= warm:
                seconds[name].append(time.perf_counter() - start)
    return {name: np.array(taken) for name, taken in seconds.items()}


def median(taken: np.ndarray, unit: str) -> Figure:
    """Median, and the range that holds 95 % of what was taken."""
    low, high = np.quantile(taken, (0.025, 0.975))
    return Figure(float(np.median(taken)), float(low), float(high), unit)


def ratio(above: np.ndarray, below: np.ndarray, draws: int = 2000) -> Figure:
    """Ratio of medians with a 95 % bootstrap interval over rounds."""
    rows = np.random.default_rng(0).integers(len(above), size=(draws, len(above)))
    drawn = np.median(above[rows], 1) / np.median(below[rows], 1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Figure(float(np.median(above) / np.median(below)), float(low), float(high), "ratio of medians")


def quantile(milliseconds: np.ndarray, share: float) -> Figure:
    """A quantile with the 95 % interval that order statistics give it (binomial ranks)."""
    ordered = np.sort(milliseconds)
    ranks = stats.binom.ppf((0.025, 0.975), len(ordered), share)
    low, high = (float(ordered[min(int(rank), len(ordered) - 1)]) for rank in ranks)
    return Figure(float(np.quantile(ordered, share)), low, high, "ms")

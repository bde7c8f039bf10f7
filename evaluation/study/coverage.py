"""How often the interval contains the truth: designs from fully crossed to sparse, and the grid of few raters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from evaluation.results import Figure, Goal, Results
from evaluation.study.estimate import Estimate
from evaluation.study.grid import LEANINGS, RATERS, TRUTH, Cell, cells, intervals
from evaluation.study.montecarlo import holds, proportion, simulate_intervals
from evaluation.study.raters import Population

STRONG = replace(Population(), bias=0.9, leaning=0.4, ease=0.9, fit=0.7)
DESIGNS = {
    "30 raters, 40 items, all conditions": (STRONG, 30, 40, 160),
    "30 raters, 40 items, all conditions, weaker effects": (Population(), 30, 40, 160),
    "60 raters, 40 items, one condition each": (STRONG, 60, 40, 40),
    "150 raters, 40 items, one condition each": (STRONG, 150, 40, 40),
    "90 raters, 80 items, 40 trials each": (STRONG, 90, 80, 40),
}
"""Population, raters, items, trials of a rater; the first is the one that the first goals are about."""
_LEAST, _MOST = 93, 2.5
_DRAWS = 300
"""Bootstrap draws of a study of the grid."""


def measure_coverage(
    studies: int,
    draws: int,
    seed: int,
    command: str,
    grid: list[Cell] | None = None,
    keep: Callable[[Results], None] | None = None,
) -> tuple[Results, Results]:
    """Coverage of nominal 95 % intervals of the ratio, with exact intervals of the coverage.

    Args:
        grid: cells of the grid of few raters; all of it unless told.
        keep: is given the grid's figures whenever a cell is done.

    Returns:
        Of the designs, with the worst cell for every number of raters and leaning; and of every cell of the grid.
    """
    chosen = cells() if grid is None else grid
    n = {"studies per design and cell": studies, "bootstrap draws": draws, "bootstrap draws in the grid": _DRAWS}
    results = Results(command, [seed], {**n, "cells of the grid": len(chosen)})
    with tqdm(total=(len(DESIGNS) + len(chosen)) * studies, unit="study") as progress:
        for name, (population, raters, items, trials) in DESIGNS.items():
            progress.set_description(name)
            found = simulate_intervals(
                population, raters, items, trials, studies, draws=draws, seed=seed, progress=progress
            )
            for method, share in zip(("two-way", "rows"), found.coverage(population.ratio), strict=True):
                results.figures[f"coverage, {method}: {name}"] = _percent(share)
        each = _measure_grid(chosen, studies, seed, command, progress, keep)
    first = next(iter(DESIGNS))
    two_way, rows = (results.figures[f"coverage, {method}: {first}"].value for method in ("two-way", "rows"))
    results.goals[f"two-way covers at least 93 %: {first}"] = Goal(two_way, 93, two_way >= 93)
    results.goals[f"two-way covers at most 99 %: {first}"] = Goal(two_way, 99, two_way <= 99)
    results.goals[f"rows as independent cover under 80 %: {first}"] = Goal(rows, 80, rows < 80)
    results.figures |= _worst(each, chosen)
    results.goals |= each.goals
    return results, each


def _measure_grid(
    chosen: list[Cell],
    studies: int,
    seed: int,
    command: str,
    progress: tqdm,
    keep: Callable[[Results], None] | None,
) -> Results:
    each = Results(command, [seed], {"studies per cell": studies, "bootstrap draws": _DRAWS})
    for cell in chosen:
        progress.set_description(cell.name)
        for method, found in zip(("two-way", "percentiles alone"), intervals(cell, studies, _DRAWS, seed), strict=True):
            each.figures[f"coverage, {method}: {cell.name}"] = _percent(proportion(holds(found, TRUTH)))
            each.figures[f"false claims, {method}: {cell.name}"] = _percent(proportion(found[:, 0] > TRUTH))
        progress.update(studies)
        if keep:
            keep(each)
    for raters in sorted({cell.raters for cell in chosen}):
        of_size = [cell.name for cell in chosen if cell.raters == raters]
        least = min(each.figures[f"coverage, two-way: {name}"].value for name in of_size)
        most = max(each.figures[f"false claims, two-way: {name}"].value for name in of_size)
        each.goals[f"{raters} raters: coverage of at least {_LEAST} % everywhere"] = Goal(
            least, _LEAST, least >= _LEAST
        )
        each.goals[f"{raters} raters: false claims of at most {_MOST} % everywhere"] = Goal(most, _MOST, most <= _MOST)
    return each


def _worst(each: Results, chosen: list[Cell]) -> dict[str, Figure]:
    """The lowest coverage and the most false claims over ceilings and drop-outs."""
    worst = {}
    for what, pick in (("coverage", min), ("false claims", max)):
        for method in ("two-way", "percentiles alone"):
            for raters in RATERS:
                for leaning in LEANINGS:
                    names = [c.name for c in chosen if (c.raters, c.leaning) == (raters, leaning)]
                    if names:
                        figures = [each.figures[f"{what}, {method}: {name}"] for name in names]
                        row = f"{raters} raters, 100 items, leaning sd {leaning:g}, worst cell"
                        worst[f"{what}, {method}: {row}"] = pick(figures, key=lambda figure: figure.value)
    return worst


def _percent(share: Estimate) -> Figure:
    value, low, high = (float(np.multiply(100, each)) for each in (share.value, share.low, share.high))
    return Figure(value, low, high, "% of studies")

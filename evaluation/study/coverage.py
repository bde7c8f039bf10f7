"""How often the interval contains the truth, in designs from fully crossed to sparse; the large simulation."""

from __future__ import annotations

from dataclasses import replace

from tqdm import tqdm

from evaluation.results import Figure, Goal, Results
from evaluation.study.montecarlo import simulate_intervals
from evaluation.study.raters import Population

STRONG = replace(Population(), bias=0.9, leaning=0.4, ease=0.9, fit=0.7)
DESIGNS = {
    "30 raters, 40 items, all conditions": (STRONG, 30, 40, 160),
    "30 raters, 40 items, all conditions, weaker effects": (Population(), 30, 40, 160),
    "60 raters, 40 items, one condition each": (STRONG, 60, 40, 40),
    "150 raters, 40 items, one condition each": (STRONG, 150, 40, 40),
    "90 raters, 80 items, 40 trials each": (STRONG, 90, 80, 40),
}
"""Population, raters, items, trials of a rater; the first is the one that the goals are about."""


def measure_coverage(studies: int, draws: int, seed: int, command: str) -> Results:
    """Coverage of nominal 95 % intervals of the ratio by the two-way bootstrap and by rows, with exact intervals."""
    results = Results(command, [seed], {"studies per design": studies, "bootstrap draws": draws})
    with tqdm(total=len(DESIGNS) * studies, unit="study") as progress:
        for name, (population, raters, items, trials) in DESIGNS.items():
            progress.set_description(name)
            found = simulate_intervals(
                population, raters, items, trials, studies, draws=draws, seed=seed, progress=progress
            )
            for method, share in zip(("two-way", "rows"), found.coverage(population.ratio), strict=True):
                value, low, high = (100 * each for each in (share.value, share.low, share.high))
                results.figures[f"coverage, {method}: {name}"] = Figure(value, low, high, "% of studies")
    first = next(iter(DESIGNS))
    two_way, rows = (results.figures[f"coverage, {method}: {first}"].value for method in ("two-way", "rows"))
    results.goals[f"two-way covers at least 93 %: {first}"] = Goal(two_way, 93, two_way >= 93)
    results.goals[f"two-way covers at most 99 %: {first}"] = Goal(two_way, 99, two_way <= 99)
    results.goals[f"rows as independent cover under 80 %: {first}"] = Goal(rows, 80, rows < 80)
    return results

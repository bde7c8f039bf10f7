"""`lfi study coverage` says of which design its goals are."""

import json
from pathlib import Path

from evaluation.study.coverage import DESIGNS, measure_coverage
from evaluation.study.grid import RATERS, Cell


def test_goals_name_the_design_that_they_are_judged_on():
    cells = [Cell(raters, 0.5, "middle", "nobody leaves") for raters in RATERS]
    kept = []
    found, every = measure_coverage(4, 100, 0, "test", cells, lambda so_far: kept.append(len(so_far.figures)))
    first = next(iter(DESIGNS))
    values = {name: found.figures[f"coverage, {name}: {first}"].value for name in ("two-way", "rows")}
    goals = {name: goal.value for name, goal in found.goals.items()}
    for cell in cells:
        of_cell = {what: every.figures[f"{what}, two-way: {cell.name}"] for what in ("coverage", "false claims")}
        assert goals.pop(f"{cell.raters} raters: coverage of at least 93 % everywhere") == of_cell["coverage"].value
        false = of_cell["false claims"].value
        assert goals.pop(f"{cell.raters} raters: false claims of at most 2.5 % everywhere") == false
        row = f"{cell.raters} raters, 100 items, leaning sd 0.5, worst cell"
        assert found.figures[f"false claims, two-way: {row}"] == of_cell["false claims"]
    assert goals == {
        f"two-way covers at least 93 %: {first}": values["two-way"],
        f"two-way covers at most 99 %: {first}": values["two-way"],
        f"rows as independent cover under 80 %: {first}": values["rows"],
    }
    assert kept == [4, 8, 12, 16], "what is measured is kept after every cell"
    assert list(json.loads(Path("results/study.json").read_text())["goals"]) == list(found.goals)

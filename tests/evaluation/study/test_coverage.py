"""`lfi study coverage` says of which design its goals are."""

import json
from pathlib import Path

from evaluation.study.coverage import DESIGNS, measure_coverage


def test_goals_name_the_design_that_they_are_judged_on():
    found = measure_coverage(studies=4, draws=20, seed=0, command="test")
    first = next(iter(DESIGNS))
    values = {name: found.figures[f"coverage, {name}: {first}"].value for name in ("two-way", "rows")}
    assert {name: goal.value for name, goal in found.goals.items()} == {
        f"two-way covers at least 93 %: {first}": values["two-way"],
        f"two-way covers at most 99 %: {first}": values["two-way"],
        f"rows as independent cover under 80 %: {first}": values["rows"],
    }
    assert list(json.loads(Path("results/study.json").read_text())["goals"]) == list(found.goals)

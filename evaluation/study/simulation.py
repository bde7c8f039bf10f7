"""A whole table of ratings by simulated raters, designed as a study is: Latin square, practice, catch trials, pairs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from evaluation.study.design import latin_design
from evaluation.study.raters import Population, SimulatedRater
from evaluation.study.ratings import as_ratings, rating_row
from lfi.errors import ConfigError

SIMULATED = "simulated"
"""Stands in the name of every simulated study, so that its reports and figures say what they show."""
_START = datetime(2026, 1, 1, 9, tzinfo=UTC)


def is_simulated(table: pd.DataFrame) -> bool:
    """Whether any part of a table says that it was simulated."""
    return bool(table["study"].str.contains(SIMULATED).any())


def simulate_table(
    population: Population,
    raters: int,
    items: int,
    *,
    trials: int = 40,
    pairs: int = 10,
    catches: int = 3,
    practice: int = 2,
    scale: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """The table that such a study would export.

    A double click is stored once; who drops out is not replaced.

    Args:
        trials: rating trials of a rater, at most one per item and condition.
        pairs: trials of a rater that compare LFI with the baseline, sides alternating.
        catches: catch trials of a rater.
        practice: practice trials of a rater, before all others.

    Raises:
        ConfigError: nobody, nothing, more trials than cells, or pairs without both conditions.
    """
    conditions = population.conditions
    trials = min(trials, items * len(conditions))
    walked = latin_design(raters, items, len(conditions), trials)
    if pairs and not {"lfi", "baseline"} <= set(conditions):
        raise ConfigError("pairs compare lfi with baseline, and one of them is not in the population")
    rows = []
    for number in range(raters):
        rater = SimulatedRater(population, seed, number)
        order = np.random.default_rng((seed, 2, number))
        todo = [("rating", int(item), conditions[condition]) for item, condition in walked[number]]
        for k in range(pairs):
            todo.append(("pair", (number * pairs + k) % items, ("lfi", "baseline")[(number + k) % 2]))
        todo += [("catch", int(order.integers(items)), conditions[0]) for _ in range(catches)]
        order.shuffle(todo)
        todo = [("practice", k % items, conditions[0]) for k in range(practice)] + todo
        clock = _START + timedelta(minutes=int(order.integers(60 * 24)))
        for place in range(rater.leaves_after(len(todo))):
            kind, index, condition = todo[place]
            item = f"item-{index:03d}"
            common = {
                "study": f"{SIMULATED}-{seed}",
                "rater": f"rater-{number:03d}",
                "trial": place,
                "item": item,
                "image": f"image-{index:03d}",
                "word": f"word {index}",
            }
            if kind == "pair":
                other = "baseline" if condition == "lfi" else "lfi"
                answer = rater.choose(item, condition, other)
                row = rating_row(**common, kind="pair", left=condition, right=other, value=answer.value)
            else:
                answer = rater.catch(scale, 1) if kind == "catch" else rater.rate(item, condition, scale)
                row = rating_row(**common, kind="rating", condition=condition, scale=scale, value=answer.value)
                row |= {"practice": kind == "practice", "catch": kind == "catch"}
                row["catch_passed"] = answer.value == scale if kind == "catch" else None
            clock += timedelta(milliseconds=answer.response_ms + 400)
            rows.append(row | {"response_ms": answer.response_ms, "created_at": clock.isoformat()})
    return as_ratings(rows)

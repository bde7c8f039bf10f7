"""Response times, as the browser measured them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Times:
    """Quartiles of response times in seconds; `condition` is empty for pairs."""

    kind: str
    condition: str
    answers: int
    first: float
    median: float
    third: float


def response_times(answers: pd.DataFrame) -> list[Times]:
    """Per kind of trial and condition."""
    found = []
    for (kind, condition), rows in answers.groupby(["kind", "condition"], sort=True):
        quartiles = (rows["response_ms"].astype(float) / 1000).quantile([0.25, 0.5, 0.75])
        found.append(Times(str(kind), str(condition), len(rows), *map(float, quartiles)))
    return found

"""Items one by one: where the plan's numerator gains most on its denominator, and where least."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class ItemScore:
    """One item.

    Attributes:
        item: its id, after its study's name where there are several.
        ratings: consistent ratings, and all, per condition.
        gain: difference of shares, numerator less denominator, each of `(consistent + 1/2) / (all + 1)`: with few
            ratings of an item, an extreme difference is mostly luck.
    """

    item: str
    word: str
    ratings: dict[str, tuple[int, int]]
    gain: float


def score_items(ratings: pd.DataFrame, numerator: str, denominator: str) -> list[ItemScore]:
    """Items that have ratings of both, from the largest gain to the smallest.

    Args:
        ratings: rows of kind rating of `evaluation.study.ratings`.
    """
    if ratings.empty:
        return []
    consistent = ratings.assign(hit=ratings["consistent"].astype(bool))
    several = consistent["study"].nunique() > 1
    found = []
    for (study, item, word), rows in consistent.groupby(["study", "item", "word"], sort=True):
        counted = {
            str(name): (int(hits.sum()), len(hits)) for name, hits in rows.groupby("condition", sort=False)["hit"]
        }
        if numerator in counted and denominator in counted:
            (one, of_one), (other, of_other) = counted[numerator], counted[denominator]
            gain = (one + 0.5) / (of_one + 1) - (other + 0.5) / (of_other + 1)
            found.append(ItemScore(f"{study} {item}" if several else str(item), str(word), counted, gain))
    return sorted(found, key=lambda each: -each.gain)


def ends(scores: list[ItemScore], most: int = 3) -> tuple[list[ItemScore], list[ItemScore]]:
    """The best and the worst, the worst first; none is in both."""
    count = min(most, len(scores) // 2)
    return scores[:count], scores[::-1][:count]

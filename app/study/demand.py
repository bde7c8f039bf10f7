"""What a plan asks of people: how many answers, of how many raters, for how long."""

from __future__ import annotations

from dataclasses import dataclass

from app.study.plan import StudyPlan

SECONDS_A_TRIAL = 8.0
"""Guessed until somebody's own pace is known."""
_READING_MINUTES = 1.0
"""For consent and instructions."""


@dataclass(frozen=True)
class Demand:
    """What a plan asks.

    Attributes:
        ratings, pairs: answers that are to count, over all raters.
        raters: at least so many people, if each does all of a session.
        trials: counted answers of one session.
        minutes: of one session, from the first page to the last.
    """

    items: int
    images: int
    ratings: int
    pairs: int
    raters: int
    trials: int
    minutes: int


def demand_of(plan: StudyPlan) -> Demand:
    """What the plan asks; minutes are a guess from 8 s a trial."""
    ratings = len(plan.items) * len(plan.conditions) * plan.rating.overlap
    pairs = len(plan.items) * len(plan.pair.contrasts) * plan.pair.overlap
    trials = plan.rating.trials * bool(ratings) + plan.pair.trials * bool(pairs)
    shown = trials + len(plan.practice) + len(plan.catch)
    return Demand(
        items=len(plan.items),
        images=len({item.image for item in plan.items}),
        ratings=ratings,
        pairs=pairs,
        raters=max(-(-ratings // plan.rating.trials), -(-pairs // plan.pair.trials)),
        trials=trials,
        minutes=round(_READING_MINUTES + shown * SECONDS_A_TRIAL / 60),
    )

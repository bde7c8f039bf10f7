"""How a study was run: who looked when, what a look costs, and what was changed once the answers had been seen.

An interval that was looked at, and that decided when to stop, promises more than it holds. Two ways keep the error:

- **Planned looks.** The plan names shares of the wanted answers (`AnalysisPlan.looks`). Each look, and the end, spends
  its part of the error by the function of Lan and DeMets (1983) in the manner of O'Brien and Fleming: little early,
  nearly all at the end. The parts are added up (Bonferroni), so they hold however the looks depend on each other.
  What a look spent by the plan of its time stays spent, whatever an amendment makes of the plan (`Look.spent`).
- **Looks that nobody planned** are noted, and after m of them the interval is made at 1 - error / (m (m + 1)). These
  parts add up to the error over any number of looks, so what is claimed then may be claimed whenever one stops.

That holds until the study closes. The first report of the closed study spends what is left, all of it where nobody had
looked, and an export of it lets somebody do the same elsewhere. If the study is opened again after that, no error is
left (`Conduct.spent`): later analyses show their intervals as before and withhold the claim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from scipy import stats

from evaluation.study.plan import AnalysisPlan


@dataclass(frozen=True)
class Look:
    """Somebody analysed the answers of a study that went on.

    Attributes:
        answers: how many were stored.
        planned: which of the plan's looks it was, from 1; 0 if none.
        spent: its part of the error, by the plan that was in force then; 0 if it was not planned.
    """

    at: datetime
    answers: int
    planned: int
    spent: float = 0.0


@dataclass(frozen=True)
class Sight:
    """Somebody analysed or exported the answers of the closed study.

    Attributes:
        answers: how many were stored.
    """

    at: datetime
    answers: int
    exported: bool = False


@dataclass(frozen=True)
class LeftOut:
    """Somebody excluded a rater by hand, or deleted one's data, once answers had been seen.

    Attributes:
        detail: the reason of an exclusion, where it is kept; how many answers were deleted.
    """

    at: datetime
    deleted: bool
    detail: str


@dataclass(frozen=True)
class Conduct:
    """What the study's records say.

    Attributes:
        status: open, paused or closed; empty where nobody knows, as of a table without its study.
        looks: while it was not closed, in their order, that of this analysis aside.
        planned: which planned look this analysis is, from 1; 0 if it is none.
        reopened: when the study was opened again after it had been closed.
        exported: when answers were exported while it was not closed.
        seen: reports and exports of the closed study after which it was opened again, or a rater left out by hand.
        spent: it was opened again after one of those, so that it has no error left to make its claim with.
        left_out: raters who were excluded by hand, or deleted, after the first look, report or export.
    """

    status: str = ""
    looks: tuple[Look, ...] = ()
    planned: int = 0
    reopened: tuple[datetime, ...] = ()
    exported: tuple[datetime, ...] = ()
    seen: tuple[Sight, ...] = ()
    spent: bool = False
    left_out: tuple[LeftOut, ...] = ()

    @property
    def interim(self) -> bool:
        """Whether more answers may come."""
        return self.status not in ("", "closed")

    @property
    def unplanned(self) -> int:
        """Looks that the plan does not name, this one too if it is such a one."""
        return sum(not look.planned for look in self.looks) + (self.interim and not self.planned)


def confidence(plan: AnalysisPlan, conduct: Conduct) -> float:
    """At which confidence the primary interval is made, so that all looks together err no more often than planned.

    What was seen of the closed study before it was opened again does not count here, nor that nothing is left of the
    error: no claim is made then.
    """
    error = min(part(plan, conduct.planned or len(plan.looks) + 1), error_left(plan, conduct))
    if conduct.unplanned:
        error /= conduct.unplanned * (conduct.unplanned + 1)
    return 1 - error if error > 0 else plan.confidence


def error_left(plan: AnalysisPlan, conduct: Conduct) -> float:
    """What earlier planned looks leave of the plan's error; nothing or less where it was amended to a smaller one."""
    return 1 - plan.confidence - sum(look.spent for look in conduct.looks)


def part(plan: AnalysisPlan, number: int) -> float:
    """The error that a planned look may spend, from 1; one more than the last is the end."""
    error = 1 - plan.confidence
    shares = (0.0, *plan.looks, 1.0)
    return spending(shares[number], error) - spending(shares[number - 1], error)


def spending(share: float, error: float) -> float:
    """How much of a two-sided error is spent, half on each side, when this share of the answers is in (Lan, DeMets)."""
    if share <= 0:
        return 0.0
    return float(4 * stats.norm.sf(stats.norm.isf(error / 4) / math.sqrt(min(share, 1.0))))


def next_look(plan: AnalysisPlan, taken: int, share: float) -> int:
    """Which planned look is due, from 1; 0 if none is: all are taken, or too few answers are in.

    Args:
        taken: the last planned look that was taken.
        share: of the wanted answers that are in.
    """
    due = sum(share >= each for each in plan.looks)
    return due if due > taken else 0

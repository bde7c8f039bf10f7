"""The state of a study: cells, raters, catch trials, response times, agreement. Read in one go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database.models import CURRENT, Assignment, Audit, Cell, Rater, Study
from app.study.catches import passed
from app.study.conduct import look_is_due
from app.study.demand import Demand, demand_of
from app.study.places import careless_lapsed
from app.study.plan import StudyPlan
from app.study.service import Studies, find_study
from app.study.standing import STANDINGS, excluders, standing_of
from app.study.trials import entry_of
from evaluation.study.agreement import level_matrix, ordinal_alpha

HISTOGRAM_SECONDS = (0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 20, 60)
"""Edges of the bars; the last bar is open upwards."""


@dataclass(frozen=True)
class CellProgress:
    """One item in one condition or contrast: answers that count, places held at the moment, target."""

    kind: str
    item: str
    word: str
    image: str
    condition: str
    done: int
    held: int
    target: int


@dataclass(frozen=True)
class RaterProgress:
    """One rater; `state` is one of `STANDINGS`."""

    code: str
    state: str
    preview: bool
    done: int
    total: int
    failed: int
    catches: int
    median_seconds: float | None
    language: str
    began_at: datetime | None
    reason: str


@dataclass(frozen=True)
class Progress:
    """Everything the owner's page shows of one study.

    Attributes:
        changed: whether the plan in force is another than the one the study opened with.
        histogram: counts between `HISTOGRAM_SECONDS`, the last one beyond.
        agreement: ordinal Krippendorff's alpha of the ratings that count, per condition; None under two raters.
        demand: what the plan in force asks of people.
        look_due: whether the plan allows to look now, though the study has not closed.
        audit: the latest acts first: when, who, what, detail.
    """

    name: str
    title: str
    status: str
    hash: str
    opened_hash: str | None
    changed: bool
    prolific: bool
    demand: Demand
    look_due: bool
    cells: tuple[CellProgress, ...]
    raters: tuple[RaterProgress, ...]
    histogram: tuple[int, ...]
    agreement: dict[str, float | None]
    audit: tuple[tuple[datetime, str, str, str], ...]

    @property
    def done(self) -> int:
        """Answers that count."""
        return sum(cell.done for cell in self.cells)

    @property
    def target(self) -> int:
        """Answers wanted."""
        return sum(cell.target for cell in self.cells)

    @property
    def states(self) -> dict[str, int]:
        """Raters by state, without previews."""
        counts = Counter(rater.state for rater in self.raters if not rater.preview)
        return {state: counts[state] for state in STANDINGS}

    @property
    def failed_catches(self) -> tuple[int, int]:
        """Catch trials failed, and answered."""
        real = [rater for rater in self.raters if not rater.preview]
        return sum(rater.failed for rater in real), sum(rater.catches for rater in real)


def progress_of(studies: Studies, name: str) -> Progress:
    """How the study of this name stands. Places whose lease ran out are shown as free; that frees nothing.

    Raises:
        NothingHereError: there is none.
    """
    with studies.database.reading() as session:
        study = find_study(session, name)
        plan = studies.plan(session, study)
        now = studies.clock()
        gone = careless_lapsed(session, study, plan, now)
        ratings = _counted(session, study, gone)
        return Progress(
            name=study.name,
            title=plan.texts[plan.languages[0]].title,
            status=study.status,
            hash=plan.hash,
            opened_hash=study.opened_hash,
            changed=study.opened_hash not in (None, plan.hash),
            prolific=plan.rules.prolific,
            demand=demand_of(plan),
            look_due=look_is_due(session, studies, study),
            cells=_cells(session, study, plan, gone, now),
            raters=_raters(session, study, plan, now),
            histogram=_histogram([row.response_ms for row in ratings]),
            agreement={
                condition: _alpha([row for row in ratings if row.first == condition])
                for condition in (plan.conditions if plan.rating.overlap else ())
            },
            audit=tuple(
                (line.at, line.actor, line.action, line.detail)
                for line in session.scalars(
                    select(Audit).where(Audit.study_id == study.id).order_by(Audit.id.desc()).limit(50)
                )
            ),
        )


def _cells(
    session: Session, study: Study, plan: StudyPlan, gone: Sequence[int], now: datetime
) -> tuple[CellProgress, ...]:
    held = (
        select(Assignment.cell_id, Assignment.answered, func.count().label("count"))
        .join(Rater, Rater.id == Assignment.rater_id)
        .where(Rater.study_id == study.id)
        .where(Assignment.slot.is_not(None), Assignment.answered | (Rater.lease_until >= now), Rater.id.not_in(gone))
        .group_by(Assignment.cell_id, Assignment.answered)
    )
    counts = {(cell, answered): count for cell, answered, count in session.execute(held)}
    cells = session.scalars(
        select(Cell).where(Cell.study_id == study.id, Cell.target.is_not(None)).order_by(Cell.kind.desc(), Cell.id)
    )
    return tuple(
        CellProgress(
            kind=cell.kind,
            item=cell.item,
            word=entry_of(plan, cell).word,
            image=entry_of(plan, cell).image,
            condition=f"{cell.first} / {cell.second}" if cell.second else cell.first,
            done=counts.get((cell.id, True), 0),
            held=counts.get((cell.id, False), 0),
            target=cell.target or 0,
        )
        for cell in cells
    )


def _raters(session: Session, study: Study, plan: StudyPlan, now: datetime) -> tuple[RaterProgress, ...]:
    totals: dict[int, list[int]] = {}
    trials = (
        select(Assignment.rater_id, Assignment.answered, func.count())
        .join(Cell, Cell.id == Assignment.cell_id)
        .where(Cell.study_id == study.id, Cell.kind != "practice")
        .group_by(Assignment.rater_id, Assignment.answered)
    )
    for rater_id, answered, count in session.execute(trials):
        row = totals.setdefault(rater_id, [0, 0])
        row[0] += count * answered
        row[1] += count
    times: dict[int, list[int]] = {}
    catches: dict[int, list[bool]] = {}
    rows = session.execute(
        select(CURRENT.c.rater_id, CURRENT.c.value, CURRENT.c.response_ms, Cell)
        .join(Assignment, Assignment.id == CURRENT.c.assignment_id)
        .join(Cell, Cell.id == Assignment.cell_id)
        .where(Cell.study_id == study.id, Cell.kind != "practice")
    )
    for rater_id, value, response_ms, cell in rows:
        times.setdefault(rater_id, []).append(response_ms)
        if cell.kind == "catch":
            catches.setdefault(rater_id, []).append(passed(plan, cell, value))
    by = excluders(session, study)
    return tuple(
        RaterProgress(
            code=rater.code,
            state=standing_of(study, rater, by, now),
            preview=rater.preview,
            done=totals.get(rater.id, [0, 0])[0],
            total=totals.get(rater.id, [0, 0])[1],
            failed=catches.get(rater.id, []).count(False),
            catches=len(catches.get(rater.id, [])),
            median_seconds=float(np.median(times[rater.id])) / 1000 if rater.id in times else None,
            language=rater.language,
            began_at=rater.began_at,
            reason=rater.excluded_reason,
        )
        for rater in session.scalars(select(Rater).where(Rater.study_id == study.id).order_by(Rater.id))
    )


def _counted(session: Session, study: Study, gone: Sequence[int]) -> Sequence:
    """The ratings and pairs that count: current, in a place, of nobody who was excluded or is about to be."""
    return session.execute(
        select(CURRENT.c.value, CURRENT.c.response_ms, CURRENT.c.rater_id, Cell.item, Cell.image, Cell.first, Cell.kind)
        .join(Assignment, Assignment.id == CURRENT.c.assignment_id)
        .join(Cell, Cell.id == Assignment.cell_id)
        .where(Cell.study_id == study.id, Assignment.slot.is_not(None), Assignment.rater_id.not_in(gone))
    ).all()


def _histogram(times: Sequence[int]) -> tuple[int, ...]:
    edges = [*HISTOGRAM_SECONDS, np.inf]
    return tuple(int(count) for count in np.histogram(np.array(times) / 1000, edges)[0])


def _alpha(ratings: Sequence) -> float | None:
    """Ordinal Krippendorff's alpha over items; a first look, the report has the intervals."""
    rows = [("", row.rater_id, row.item, row.image, row.value) for row in ratings if row.kind == "rating"]
    if not rows:
        return None
    levels = level_matrix(pd.DataFrame(rows, columns=["study", "rater", "item", "image", "value"]))
    found = ordinal_alpha(levels, draws=0).value
    return None if np.isnan(found) else found

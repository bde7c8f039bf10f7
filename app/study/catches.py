"""Trials with a known right answer: practice, and the catch trials that show who does not look."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.models import CURRENT, Assignment, Cell, Rater
from app.study.plan import StudyPlan
from app.study.trials import known_trial


def passed(plan: StudyPlan, cell: Cell, value: str) -> bool:
    """Whether a practice or catch trial was answered as expected."""
    return int(value) in known_trial(plan, cell).expected


def why_careless(session: Session, plan: StudyPlan, rater: Rater) -> str:
    """Why the plan does not count this rater: more catch trials failed, by the answers that count, than it allows.

    Empty where it does, and for a preview.
    """
    rows = session.execute(
        select(Cell, CURRENT.c.value)
        .join(Assignment, Assignment.cell_id == Cell.id)
        .join(CURRENT, CURRENT.c.assignment_id == Assignment.id)
        .where(Assignment.rater_id == rater.id, Cell.kind == "catch")
    ).all()
    failed = sum(not passed(plan, cell, value) for cell, value in rows)
    careless = failed > plan.analysis.max_failed_catch and not rater.preview
    return f"failed {failed} of {len(rows)} catch trials" if careless else ""

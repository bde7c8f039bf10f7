"""Trials with a known right answer: practice, and the catch trials that show who does not look."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.models import CURRENT, Answer, Assignment, Cell, Rater
from app.study.plan import StudyPlan
from app.study.trials import known_trial


def passed(plan: StudyPlan, cell: Cell, value: str) -> bool:
    """Whether a practice or catch trial was answered as expected."""
    return int(value) in known_trial(plan, cell).expected


def why_careless(session: Session, plan: StudyPlan, rater: Rater) -> str:
    """Why the plan does not count this rater: too many catch trials failed, or too many answers that came too fast.

    Empty where it does, and for a preview.
    """
    if rater.preview:
        return ""
    rows = session.execute(
        select(Cell, CURRENT.c.value)
        .join(Assignment, Assignment.cell_id == Cell.id)
        .join(CURRENT, CURRENT.c.assignment_id == Assignment.id)
        .where(Assignment.rater_id == rater.id, Cell.kind == "catch")
    ).all()
    failed = sum(not passed(plan, cell, value) for cell, value in rows)
    if failed > plan.analysis.max_failed_catch:
        return f"failed {failed} of {len(rows)} catch trials"
    return _why_too_fast(session, plan, rater) if plan.rules.max_too_fast >= 0 else ""


def _why_too_fast(session: Session, plan: StudyPlan, rater: Rater) -> str:
    """By the service's clock: what a browser says about its own times is anybody's to invent."""
    times = session.scalars(
        select(Answer.server_ms)
        .join(Assignment, Assignment.id == Answer.assignment_id)
        .join(Cell, Cell.id == Assignment.cell_id)
        .where(Answer.rater_id == rater.id, Answer.server_ms.is_not(None), Cell.kind != "practice")
    ).all()
    least = plan.analysis.min_response_ms
    fast = sum(milliseconds < least for milliseconds in times if milliseconds is not None)
    too_many = fast > plan.rules.max_too_fast
    return f"answered {fast} of {len(times)} trials within {least} ms of being shown them" if too_many else ""

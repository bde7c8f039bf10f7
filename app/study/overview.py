"""All studies in one list: state, dates, how far each is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app.database.models import Assignment, Cell, Rater, Study
from app.study.service import Studies


@dataclass(frozen=True)
class StudyLine:
    """One study of the list: answers that count, of those wanted; raters who began, without previews."""

    name: str
    title: str
    status: str
    done: int
    target: int
    raters: int
    created_at: datetime
    opened_at: datetime | None
    closed_at: datetime | None


def list_studies(studies: Studies) -> list[StudyLine]:
    """All studies, the newest first. Three queries, however many there are."""
    counted = (
        select(Cell.study_id, func.count())
        .join(Assignment, Assignment.cell_id == Cell.id)
        .where(Assignment.slot.is_not(None), Assignment.answered)
        .group_by(Cell.study_id)
    )
    wanted = select(Cell.study_id, func.sum(Cell.target)).group_by(Cell.study_id)
    begun = select(Rater.study_id, func.count()).where(~Rater.preview, Rater.began_at.is_not(None))
    with studies.database.reading() as session:
        done, target = _by_study(session, counted), _by_study(session, wanted)
        raters = _by_study(session, begun.group_by(Rater.study_id))
        lines = []
        for study in session.scalars(select(Study).order_by(Study.id.desc())):
            plan = studies.plan(session, study)
            lines.append(
                StudyLine(
                    name=study.name,
                    title=plan.texts[plan.languages[0]].title,
                    status=study.status,
                    done=done.get(study.id, 0),
                    target=target.get(study.id, 0),
                    raters=raters.get(study.id, 0),
                    created_at=study.created_at,
                    opened_at=study.opened_at,
                    closed_at=study.closed_at,
                )
            )
        return lines


def _by_study(session: Session, query: Select[int, Any]) -> dict[int, int]:
    """Counts by the study's id."""
    return {study: count or 0 for study, count in session.execute(query)}

"""Who looked at a study's answers while they came in: noted in the audit trail, read from there for every report."""

from __future__ import annotations

import re

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database.models import Answer, Assignment, Audit, Cell, Rater, Study
from app.study.service import Studies, find_study, note
from evaluation.study.conduct import Conduct, Look, next_look

LOOKED, REPORTED, EXPORTED = "looked", "reported", "exported"
"""Acts in the audit trail: analysed while the study goes on, analysed once closed, exported while it goes on."""
_LOOK = re.compile(r"(?:planned look (?P<planned>\d+)|look) at (?P<answers>\d+) answers")


def look(studies: Studies, name: str, actor: str) -> Conduct:
    """Note that somebody analyses the study now, and how it has been run so far.

    A look at the same answers as the last one is the same look.

    Raises:
        NothingHereError: there is no such study.
    """
    with studies.database.writing() as session:
        study = find_study(session, name, lock=True)
        lines = _lines(session, study)
        answers = _answers(session, study)
        planned, same = _this_look(session, studies, study, lines, answers)
        action = REPORTED if study.status == "closed" else LOOKED
        if same is None:
            detail = f"planned look {planned} at {answers} answers" if planned else f"look at {answers} answers"
            note(session, study, studies.clock(), actor, action, detail)
        return _conduct(study.status, [line for line in lines if line is not same], planned)


def look_is_due(studies: Studies, name: str) -> bool:
    """Whether the plan allows to look at the study now, though it has not closed.

    Raises:
        NothingHereError: there is no such study.
    """
    with studies.database.reading() as session:
        study = find_study(session, name)
        return _this_look(session, studies, study, _lines(session, study), _answers(session, study))[0] > 0


def note_export(studies: Studies, name: str) -> None:
    """Note that the answers of a study that goes on were exported: whoever has them can look."""
    with studies.database.writing() as session:
        study = find_study(session, name)
        if study.status in ("open", "paused"):
            note(session, study, studies.clock(), "export", EXPORTED, f"{_answers(session, study)} answers")


def _this_look(
    session: Session, studies: Studies, study: Study, lines: list[Audit], answers: int
) -> tuple[int, Audit | None]:
    """Which planned look an analysis would be now (0: none), and the last one's line if it is that one over again."""
    closed = study.status == "closed"
    looks = [(line, parsed) for line in lines if (parsed := _parsed(line))]
    if looks and looks[-1][1].answers == answers and (looks[-1][0].action == REPORTED) == closed:
        return looks[-1][1].planned, looks[-1][0]
    if closed:
        return 0, None
    taken = max((parsed.planned for _, parsed in looks), default=0)
    return next_look(studies.plan(session, study).analysis, taken, _share(session, study)), None


def _conduct(status: str, lines: list[Audit], planned: int) -> Conduct:
    """What the audit trail says: looks at a closed study count once it was opened again."""
    looks, reported, reopened, exported = [], [], [], []
    was = ""
    for line in lines:
        parsed = _parsed(line)
        if line.action == LOOKED and parsed:
            looks.append(parsed)
        elif line.action == REPORTED and parsed:
            reported.append(parsed)
        elif line.action == EXPORTED:
            exported.append(line.at)
        elif line.action in ("open", "closed"):
            if line.action == "open" and was == "closed":
                reopened.append(line.at)
                looks += reported
                reported = []
            was = line.action
    return Conduct(status, tuple(looks), planned, tuple(reopened), tuple(exported))


def _parsed(line: Audit) -> Look | None:
    match = _LOOK.fullmatch(line.detail) if line.action in (LOOKED, REPORTED) else None
    return Look(line.at, int(match["answers"]), int(match["planned"] or 0)) if match else None


def _lines(session: Session, study: Study) -> list[Audit]:
    """The part of the audit trail that says who looked, and when the study was open."""
    acts = (LOOKED, REPORTED, EXPORTED, "open", "closed")
    return list(
        session.scalars(select(Audit).where(Audit.study_id == study.id, Audit.action.in_(acts)).order_by(Audit.id))
    )


def _answers(session: Session, study: Study) -> int:
    """All answers of the study that are stored, previews aside."""
    of_study = select(Rater.id).where(Rater.study_id == study.id, ~Rater.preview)
    return session.scalars(select(func.count()).where(Answer.rater_id.in_(of_study))).one()


def _share(session: Session, study: Study) -> float:
    """Which share of the wanted answers is in."""
    wanted = session.scalars(select(func.sum(Cell.target)).where(Cell.study_id == study.id)).one()
    held = (
        select(func.count())
        .select_from(Assignment)
        .join(Cell, Cell.id == Assignment.cell_id)
        .where(Cell.study_id == study.id, Assignment.slot.is_not(None), Assignment.answered)
    )
    return session.scalars(held).one() / wanted if wanted else 0.0

"""Who looked at a study's answers, and what was changed after: noted in the audit trail, read there for reports."""

from __future__ import annotations

import re
from dataclasses import replace

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database.models import Answer, Assignment, Audit, Cell, Plan, Rater, Study
from app.study.service import FORGOTTEN, Studies, find_study, newest_plan, note
from evaluation.study.conduct import Conduct, LeftOut, Look, Sight, next_look, part
from evaluation.study.ratings import BY_RULE

LOOKED, REPORTED, EXPORTED = "looked", "reported", "exported"
"""Acts in the audit trail: analysed while the study goes on, analysed once closed, exported."""
_LOOK = re.compile(r"(?:planned look (?P<planned>\d+)|look) at (?P<answers>\d+) answers")
_EXPORT = re.compile(r"(\d+) answers")
_DELETED = re.compile(r"one rater, (\d+ answers)")


def look(studies: Studies, name: str, actor: str) -> Conduct:
    """Note that somebody analyses the study now, and how it has been run so far.

    A look at the same answers as the last one is the same look, unless the study was opened again or a rater left out
    by hand in between. Nothing is noted of a draft, and where nobody but previews has answered.

    Raises:
        NothingHereError: there is no such study.
    """
    with studies.database.writing() as session:
        study = find_study(session, name, lock=True)
        lines = _lines(session, study)
        answers = _answers(session, study)
        planned, same = _this_look(session, studies, study, lines, answers)
        action = REPORTED if study.status == "closed" else LOOKED
        if same is None and _to_see(study, answers):
            detail = f"planned look {planned} at {answers} answers" if planned else f"look at {answers} answers"
            note(session, study, studies.clock(), actor, action, detail)
        conduct = _conduct(study.status, [line for line in lines if line is not same], planned)
        return replace(conduct, looks=tuple(_with_cost(session, studies, study, each) for each in conduct.looks))


def look_is_due(session: Session, studies: Studies, study: Study) -> bool:
    """Whether the plan allows to look at the study now, though it has not closed."""
    return _this_look(session, studies, study, _lines(session, study), _answers(session, study))[0] > 0


def look_costs(studies: Studies, name: str) -> bool:
    """Whether an analysis now would be a look at a study that goes on which neither its plan names nor anybody took.

    Raises:
        NothingHereError: there is no such study.
    """
    with studies.database.reading() as session:
        study = find_study(session, name)
        answers = _answers(session, study)
        planned, same = _this_look(session, studies, study, _lines(session, study), answers)
        return study.status != "closed" and _to_see(study, answers) and not planned and same is None


def opening_costs(studies: Studies, name: str) -> bool:
    """Whether the study, opened again now, would make no claim any more: it is closed, and its answers were seen.

    Raises:
        NothingHereError: there is no such study.
    """
    with studies.database.reading() as session:
        lines = _lines(session, find_study(session, name))
    opened = Audit(at=studies.clock(), actor="", action="open", detail="")
    return _conduct("open", [*lines, opened], 0).spent and not _conduct("", lines, 0).spent


def note_export(studies: Studies, name: str, actor: str) -> None:
    """Note that the answers of a study were exported, if there are any: whoever has them can look."""
    with studies.database.writing() as session:
        study = find_study(session, name, lock=True)
        answers = _answers(session, study)
        if _to_see(study, answers):
            note(session, study, studies.clock(), actor, EXPORTED, f"{answers} answers")


def _to_see(study: Study, answers: int) -> bool:
    """Whether there is anything that somebody could see."""
    return study.status != "draft" and answers > 0


def _this_look(
    session: Session, studies: Studies, study: Study, lines: list[Audit], answers: int
) -> tuple[int, Audit | None]:
    """Which planned look an analysis would be now (0: none), and the last one's line if it is that one over again."""
    closed = study.status == "closed"
    looks = [(line, parsed) for line in lines if (parsed := _parsed(line))]
    if looks:
        line, last = looks[-1]
        since = lines[lines.index(line) + 1 :]
        changed = any(each.action == "closed" or _left_out(each) for each in since)
        if last.answers == answers and (line.action == REPORTED) == closed and not changed:
            return last.planned, line
    if closed or _conduct(study.status, lines, 0).spent:
        return 0, None
    taken = max((parsed.planned for _, parsed in looks), default=0)
    return next_look(studies.plan(session, study).analysis, taken, _share(session, study)), None


def _conduct(status: str, lines: list[Audit], planned: int) -> Conduct:
    """What the audit trail says: what was seen of a closed study counts once something was changed after it."""
    looks, reopened, exported, left_out = [], [], [], []
    seen: list[Sight] = []
    unchanged: list[Sight] = []  # what was seen of the closed study, so far without a change after it
    was, spent = "", False
    for line in lines:
        changed = False
        if parsed := _parsed(line):
            if line.action == LOOKED:
                looks.append(parsed)
            else:
                unchanged.append(Sight(parsed.at, parsed.answers))
        elif answers := _exported(line):
            if was == "closed":
                unchanged.append(Sight(line.at, answers, exported=True))
            else:
                exported.append(line.at)
        elif act := _left_out(line):
            if changed := bool(looks or exported or seen or unchanged):
                left_out.append(act)
        elif line.action in ("open", "closed"):
            if changed := (line.action == "open" and was == "closed"):
                reopened.append(line.at)
                spent = spent or bool(seen or unchanged)
            was = line.action
        if changed:
            seen += unchanged
            unchanged = []
    return Conduct(status, tuple(looks), planned, tuple(reopened), tuple(exported), tuple(seen), spent, tuple(left_out))


def _parsed(line: Audit) -> Look | None:
    """A look. One at no answers is none, though some were noted."""
    match = _LOOK.fullmatch(line.detail) if line.action in (LOOKED, REPORTED) else None
    if match is None or match["answers"] == "0":
        return None
    return Look(line.at, int(match["answers"]), int(match["planned"] or 0))


def _with_cost(session: Session, studies: Studies, study: Study, look: Look) -> Look:
    """A look with what it spent by the plan of its time, which may have been amended since."""
    if not look.planned:
        return look
    hash = session.scalars(newest_plan(study.id).where(Plan.made_at <= look.at)).one()
    return replace(look, spent=part(studies.plan_hashed(session, hash).analysis, look.planned))


def _exported(line: Audit) -> int:
    """How many answers were exported."""
    match = _EXPORT.fullmatch(line.detail) if line.action == EXPORTED else None
    return int(match[1]) if match else 0


def _left_out(line: Audit) -> LeftOut | None:
    """A rater who was excluded by hand, or deleted with answers; whoever was both is counted once, as deleted."""
    if line.action == "excluded" and line.actor != BY_RULE and line.detail != FORGOTTEN:
        return LeftOut(line.at, False, line.detail.partition(": ")[2])
    match = _DELETED.fullmatch(line.detail) if line.action == "deleted" else None
    return LeftOut(line.at, True, match[1]) if match and match[1] != "0 answers" else None


def _lines(session: Session, study: Study) -> list[Audit]:
    """The part of the audit trail that says who looked, when the study was open, and who was left out."""
    acts = (LOOKED, REPORTED, EXPORTED, "open", "closed", "excluded", "deleted")
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

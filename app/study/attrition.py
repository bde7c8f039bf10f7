"""What became of everybody who was invited: `raters.csv`, and the counts that a report's flow begins with."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database.models import Assignment, Audit, Plan, Rater, Study
from app.study.service import Studies, find_study
from app.study.standing import excluders, standing_of
from evaluation.study.flow import Attrition
from evaluation.study.ratings import BY_RULE

HEADER = (
    "rater",
    "status",
    "reason",
    "excluded_by",
    "invited_at",
    "consented_at",
    "began_at",
    "finished_at",
    "language",
    "plan_version",
    "answers",
    "preview",
)


@dataclass(frozen=True)
class _Fate:
    """A rater, how they stand (`docs/study.md` lists the words), and who excluded them, if somebody did."""

    rater: Rater
    status: str
    by: str


def attrition_of(studies: Studies, name: str) -> Attrition:
    """What became of a study's raters.

    Raises:
        NothingHereError: there is no such study.
    """
    with studies.database.reading() as session:
        study = find_study(session, name)
        fates = [fate for fate in _fates(session, study, studies.clock()) if not fate.rater.preview]
        deleted = select(func.count()).where(Audit.study_id == study.id, Audit.action == "deleted")
        deleted = deleted.where(Audit.detail.startswith("one rater,"))  # not a preview
        ends = Counter(_end(fate) for fate in fates)
        return Attrition(
            invited=len(fates),
            consented=sum(fate.rater.consented_at is not None for fate in fates),
            unanswered=ends["invited"],
            declined=ends["declined"],
            screened=ends["screened out"],
            not_begun=ends["consented"],
            going_on=ends["taking part"],
            dropped_out=ends["dropped out"],
            stopped=ends["excluded"],
            finished=ends["finished"],
            deleted=session.scalars(deleted).one(),
        )


def raters_csv(session: Session, study: Study, now: datetime) -> str:
    """One row a rater, `HEADER` first: nothing in it leads to a person or opens an invitation."""
    plans = session.execute(select(Plan.version, Plan.made_at).where(Plan.study_id == study.id).order_by(Plan.version))
    versions = [(version, made_at) for version, made_at in plans]
    answered = (
        select(Assignment.rater_id, func.count())
        .join(Rater, Rater.id == Assignment.rater_id)
        .where(Rater.study_id == study.id, Assignment.answered)
        .group_by(Assignment.rater_id)
    )
    answers = {rater: count for rater, count in session.execute(answered)}  # noqa: C416 -- rows are not tuples
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(HEADER)
    for fate in _fates(session, study, now):
        rater = fate.rater
        times = (rater.created_at, rater.consented_at, rater.began_at, rater.finished_at)
        table.writerow(
            (
                rater.code,
                fate.status,
                rater.excluded_reason,
                fate.by,
                *(time.isoformat() if time else "" for time in times),
                rater.language,
                _version_at(versions, rater.consented_at),
                answers.get(rater.id, 0),
                "true" if rater.preview else "false",
            )
        )
    return out.getvalue()


def _fates(session: Session, study: Study, now: datetime) -> list[_Fate]:
    by = excluders(session, study)
    raters = session.scalars(select(Rater).where(Rater.study_id == study.id).order_by(Rater.id))
    return [_Fate(rater, standing_of(study, rater, by, now), by.get(rater.code, "")) for rater in raters]


def _end(fate: _Fate) -> str:
    """How the rater's own part ended: whoever was excluded had finished, had left, or was stopped."""
    if fate.rater.finished_at is not None:
        return "finished"
    return "dropped out" if fate.by == BY_RULE else fate.status


def _version_at(versions: Sequence[tuple[int, datetime]], at: datetime | None) -> int | str:
    """The version of the plan that was in force; nothing where nobody consented."""
    return max((version for version, made_at in versions if at and made_at <= at), default="")

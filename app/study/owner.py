"""What a study's owner does: open, pause and close it, exclude somebody, delete somebody's data.

Every act is one transaction and leaves a line in the audit trail, whoever did it (`cli`, `page`).
"""

from __future__ import annotations

import re
import shutil

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.database.models import Answer, Assignment, Audit, Exposure, Login, Rater, Study
from app.failures import ConflictError, NothingHereError, StudyError
from app.study.places import free_places
from app.study.service import FORGOTTEN, Studies, find_study, note

_LEADS_TO = {
    "draft": ("open",),
    "open": ("paused", "closed"),
    "paused": ("open", "closed"),
    "closed": ("open",),
}


def set_status(studies: Studies, name: str, status: str, actor: str, expected: str = "") -> None:
    """Open, pause (`paused`) or close (`closed`) a study. Its plan's hash is kept when it opens for the first time.

    Args:
        expected: hash of the plan that the owner was shown; any may be in force where it is empty.

    Raises:
        StudyError: the study is in no state from which this can follow.
        ConflictError: another plan is in force.
    """
    with studies.database.writing() as session:
        study = find_study(session, name, lock=True)
        if study.status == status:
            return
        in_force = studies.plan(session, study).hash
        if expected not in ("", in_force):
            raise ConflictError(f"the plan is now {in_force[:12]}, not {expected[:12]}; look at it again")
        if status not in _LEADS_TO[study.status]:
            raise StudyError(f"study {name!r} is {study.status}; it can become {' or '.join(_LEADS_TO[study.status])}")
        now = studies.clock()
        study.status = status
        if status == "open" and study.opened_at is None:
            study.opened_at, study.opened_hash = now, studies.plan(session, study).hash
        study.closed_at = now if status == "closed" else None
        note(session, study, now, actor, status, studies.plan(session, study).hash)
    shutil.rmtree(studies.pictures(name), ignore_errors=True)  # nothing can be added any more


def exclude(studies: Studies, name: str, code: str, reason: str, actor: str) -> None:
    """Exclude a rater's answers: they stay on record with the reason, and their places are filled again.

    Raises:
        NothingHereError: the study has no such rater.
        StudyError: no reason, the rater is excluded already, or it is a preview, which never counts.
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > 500:
        raise StudyError("a reason is needed, of 1 to 500 characters; the report names it")
    with studies.database.writing() as session:
        study = find_study(session, name)
        rater = find_rater(session, study, code)
        if rater.preview:
            raise StudyError(f"{code} is a preview, which never counts")
        if rater.status == "excluded":
            raise StudyError(f"{code} is already excluded: {rater.excluded_reason}")
        rater.status, rater.excluded_reason = "excluded", reason
        free_places(session, rater, answered=True)
        note(session, study, studies.clock(), actor, "excluded", f"{code}: {reason}")


def delete_person(studies: Studies, name: str, code: str, actor: str) -> int:
    """Delete everything stored about a rater, and fill the places again; how many answers that was.

    What stays is a line of the audit trail that says that somebody was deleted. Backups and exports made before
    still hold the data: they are the owner's to renew.

    Raises:
        NothingHereError: the study has no such rater.
        StudyError: all is deleted, but traces are left; see `Database.wipe`.
    """
    with studies.database.writing() as session:
        study = find_study(session, name)
        rater = find_rater(session, study, code)
        count = session.scalars(select(func.count()).where(Answer.rater_id == rater.id)).one()
        for table in (Answer, Exposure, Assignment, Login):
            session.execute(delete(table).where(table.rater_id == rater.id))
        session.delete(rater)
        _forget_code(session, code)
        who = "preview" if rater.preview else "rater"
        note(session, study, studies.clock(), actor, "deleted", f"one {who}, {count} answers")
    studies.database.wipe()
    return count


def find_rater(session: Session, study: Study, code: str) -> Rater:
    """The study's rater of this code, locked.

    Raises:
        NothingHereError: there is none.
    """
    rater = session.scalar(select(Rater).where(Rater.study_id == study.id, Rater.code == code).with_for_update())
    if rater is None:
        raise NothingHereError(f"study {study.name!r} has no rater {code!r}")
    return rater


def _forget_code(session: Session, code: str) -> None:
    """Take a deleted rater's code out of all audit trails and reasons, and why they themselves were excluded."""
    mention = re.compile(re.escape(code), re.IGNORECASE)
    for line in session.scalars(select(Audit).where(Audit.detail.icontains(code))):
        own = line.action == "excluded" and line.detail.startswith(f"{code}:")
        line.detail = FORGOTTEN if own else mention.sub(FORGOTTEN, line.detail)
    for other in session.scalars(select(Rater).where(Rater.excluded_reason.icontains(code))):
        other.excluded_reason = mention.sub(FORGOTTEN, other.excluded_reason)

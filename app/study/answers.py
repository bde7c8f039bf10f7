"""Storing an answer: once, in one short transaction, or not at all.

A retried request carries the key of the first one and is answered as that was. An answer also says which revision of
the trial it was given on, so of two windows the second is told that it was overtaken. The database enforces both.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.database.models import Answer, Cell, Rater, Study
from app.failures import ConflictError, NothingHereError, NotNowError, StudyError
from app.study.places import Trials, renew
from app.study.plan import MAX_COMMENT, StudyPlan
from evaluation.study.ratings import CHOICES

MOST_REVISIONS = 20
_HOUR_MS = 3_600_000


class SubmittedAnswer(BaseModel):
    """An answer as the page sends it.

    Attributes:
        trial: the trial's public id.
        key: chosen by the page for this answer; a retry carries the same.
        revision: how many answers of this trial the page knew of.
        value: `1` to `5` (or `3`), or `left`, `right`, `none`.
        response_ms: from showing the pictures to the answer, as the browser measured it.
    """

    model_config = ConfigDict(extra="forbid", str_max_length=MAX_COMMENT)

    trial: str = Field(max_length=64)
    key: str = Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")
    revision: int = Field(ge=0, lt=MOST_REVISIONS)
    value: str = Field(max_length=8)
    response_ms: int = Field(ge=0, le=24 * _HOUR_MS)
    comment: str = Field("", max_length=MAX_COMMENT)


def store_answer(
    session: Session, study: Study, plan: StudyPlan, rater: Rater, trials: Trials, given: SubmittedAnswer, now: datetime
) -> Cell:
    """Store an answer; the cell of its trial. Stores nothing where a retry has been stored before.

    Args:
        rater: locked.
        trials: all of the rater's (`trials_of`).

    Raises:
        NothingHereError: the rater has no such trial (never had, or the place went to somebody else).
        ConflictError: the trial was answered elsewhere meanwhile, or the session is over.
        NotNowError: the trial comes later, or the study takes no answers and may again.
        StudyError: a value that the trial does not offer, or a key that was used for another answer.
    """
    trial, cell = next((row for row in trials if row[0].public == given.trial), (None, None))
    number = -1 if trial is None else trial.id
    stored = session.execute(
        select(Answer.key, Answer.assignment_id, Answer.value).where(
            Answer.rater_id == rater.id, or_(Answer.key == given.key, Answer.assignment_id == number)
        )
    ).all()
    known = next((answer for answer in stored if answer.key == given.key), None)
    if known is not None and (known.assignment_id, known.value) != (number, given.value):
        raise StudyError("this key was used for another answer")
    if trial is None or cell is None:
        raise NothingHereError("there is no such trial; load the page again")
    if known is not None:
        return cell
    _check_open(study, rater)
    _check_value(plan, cell, given)
    if any(not earlier.answered and earlier.position < trial.position for earlier, _ in trials):
        raise NotNowError("another trial comes first")
    if len(stored) != given.revision:
        raise ConflictError("this trial was answered in another window")
    comment = given.comment.replace("\0", "").strip()  # PostgreSQL keeps no NUL
    session.add(
        Answer(
            assignment_id=trial.id,
            rater_id=rater.id,
            key=given.key,
            revision=given.revision,
            value=given.value,
            response_ms=given.response_ms,
            server_ms=None if given.revision else _since(trial.shown_at, now),
            comment=comment,
            language=rater.language,
            stored_at=now,
        )
    )
    trial.answered = True
    renew(plan, rater, now)
    session.flush()
    return cell


def _since(shown_at: datetime | None, now: datetime) -> int | None:
    """Milliseconds since the trial was sent; None where the clock was set back meanwhile. A day stands for longer."""
    if shown_at is None or now < shown_at:
        return None
    return min(int((now - shown_at).total_seconds() * 1000), 24 * _HOUR_MS)


def _check_open(study: Study, rater: Rater) -> None:
    """A paused study still takes the answer that is on somebody's screen."""
    if rater.status != "active":
        over = rater.status in ("finished", "excluded")
        raise ConflictError("this session is over") if over else NotNowError("this session has not begun")
    if study.status not in ("open", "paused") and not rater.preview:
        raise NotNowError(f"the study is {study.status}; it accepts no answers")


def _check_value(plan: StudyPlan, cell: Cell, given: SubmittedAnswer) -> None:
    levels = [str(level) for level in range(1, plan.rating.scale + 1)]
    offered = CHOICES if cell.kind == "pair" else levels
    if given.value not in offered:
        raise StudyError(f"the answer is {given.value!r}; one of {', '.join(offered)} was expected")
    least = plan.analysis.min_response_ms
    if given.response_ms < least:
        raise StudyError(f"the answer came after {given.response_ms} ms; the study accepts none before {least} ms")

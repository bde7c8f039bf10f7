"""What a rater's page is sent: one stage at a time, derived from the rater's rows at every request.

The fields are the same whatever is shown, and none depends on the condition: a picture is addressed by the trial's
random id and a side, and catch trials look like all others.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.models import CURRENT, Assignment, Cell, Rater, Study
from app.failures import NothingHereError
from app.study.catches import passed
from app.study.demand import SECONDS_A_TRIAL
from app.study.places import Trials, places_left, trials_of
from app.study.plan import StudyPlan, Texts
from app.study.standing import ending_of, excluders
from app.study.trials import entry_of, known_trial

SIDES = ("left", "right", "bare")
_READING = 1.5
"""A trial takes longer than the measured response: pictures come, a comment is written."""


def stage_of(session: Session, study: Study, rater: Rater) -> str:
    """Where the rater is: `draft`, `paused`, `closed`, `consent`, `instructions`, `trial` or `thanks`; or why not.

    That is `declined`, `screened` (the instructions were not understood) or `excluded`.
    """
    if rater.finished_at is not None:
        return "thanks"
    if rater.status == "excluded":
        ending = ending_of(rater, excluders(session, study, rater.code))
        return "screened" if ending == "screened out" else ending
    if not rater.preview and study.status != "open":
        return study.status
    return {"invited": "consent", "consented": "instructions", "active": "trial"}[rater.status]


def page_state(
    session: Session,
    study: Study,
    plan: StudyPlan,
    rater: Rater,
    now: datetime,
    at: str | None = None,
    trials: Trials | None = None,
    full: bool = False,
) -> dict[str, Any]:
    """What the page shows now, or the trial `at` that was answered before.

    Stages are those of `stage_of`, and `full` where a newcomer finds every place taken, `practice` before the trials.

    Args:
        trials: all of the rater's, where they are at hand.
        full: the rater has just found every place taken.

    Raises:
        NothingHereError: the rater has not come to the trial `at`, or has no such trial.
    """
    stage = stage_of(session, study, rater)
    if full or (stage == "consent" and not rater.preview and not places_left(session, study, now)):
        stage = "full"
    texts: Texts = plan.texts[rater.language]
    read = {"consent": texts.consent, "instructions": texts.instructions, "thanks": texts.thanks}
    state: dict[str, Any] = {
        "stage": stage,
        "preview": rater.preview,
        "language": rater.language,
        "languages": list(plan.languages),
        "title": texts.title,
        "html": markdown(read.get(stage, "")),
        "scale": plan.rating.scale,
        "earliest_ms": plan.analysis.min_response_ms,
        "practice": bool(plan.practice),
        "progress": {"done": 0, "total": 0, "minutes": 0.0},
        "trial": None,
        "ahead": [],
        "feedback": None,
        "completion": None,
        "check": None,
        "code": rater.code if rater.consented_at else "",
    }
    if stage in _COMPLETIONS and (rater.consented_at or stage == "declined"):
        of = asdict(plan.completion)
        state["completion"] = {each: of[_COMPLETIONS[stage] + each] for each in ("code", "redirect")}
    elif stage == "instructions" and plan.check:
        asked = [
            {"question": each.question[rater.language], "answers": each.answers[rater.language]} for each in plan.check
        ]
        state["check"] = {"attempt": rater.check_failures, "again": rater.check_failures > 0, "questions": asked}
    elif stage == "trial":
        state |= _trials(session, plan, rater, trials_of(session, rater) if trials is None else trials, now, at)
    return state


_COMPLETIONS = {
    "thanks": "",
    "declined": "no_consent_",
    "screened": "screened_out_",
    "full": "full_",
    "closed": "full_",
}
"""Stages that end with a code or an address, and how those are called in the plan; for those who had consented."""


def sides_of(kind: str) -> tuple[str, ...]:
    """The pictures of a trial: both sides of a pair, or one; and the picture alone."""
    return SIDES if kind == "pair" else ("left", "bare")


def practice_feedback(plan: StudyPlan, rater: Rater, trials: Trials, cell: Cell, value: str) -> dict[str, Any] | None:
    """What practice says about an answer; nothing anywhere else."""
    if cell.kind != "practice":
        return None
    return {
        "right": passed(plan, cell, value),
        "html": markdown(known_trial(plan, cell).feedback.get(rater.language, "")),
        "last": all(trial.answered for trial, of in trials if of.kind == "practice"),
    }


@lru_cache(64)
def markdown(text: str) -> str:
    """A study's own text as HTML; raw HTML in it is shown as text, and links open no scripts."""
    return MarkdownIt("commonmark", {"html": False}).render(text)


def _trials(
    session: Session, plan: StudyPlan, rater: Rater, rows: Trials, now: datetime, at: str | None
) -> dict[str, Any]:
    """The trial to show, what comes after it, and how far the rater is."""
    if not rows:
        return {}  # the lease ran out before the first answer; resuming plans again
    first = next((place for place, (trial, _) in enumerate(rows) if not trial.answered), len(rows) - 1)
    chosen = first
    if at is None:
        rows[first][0].shown_at = rows[first][0].shown_at or now
    else:
        chosen = next((place for place in range(first + 1) if rows[place][0].public == at), -1)
        if chosen < 0:
            raise NothingHereError("there is no such trial yet")
    trial, cell = rows[chosen]
    practice = cell.kind == "practice"
    counted = [row for row, each in rows if (each.kind == "practice") == practice]
    left = sum(not row.answered for row, _ in rows)
    after = rows[chosen + 1] if chosen + 1 < len(rows) else None
    return {
        "stage": "practice" if practice else "trial",
        "progress": {
            "done": sum(row.answered for row in counted),
            "total": len(counted),
            "minutes": round(left * _pace(session, rater) / 60, 2),
        },
        "trial": {
            **_trial(session, plan, rater, trial, cell),
            "previous": rows[chosen - 1][0].public if chosen else None,
            "next": rows[chosen + 1][0].public if chosen < first else None,
        },
        "ahead": [_address(after[0], side) for side in sides_of(after[1].kind)] if after else [],
    }


def _trial(session: Session, plan: StudyPlan, rater: Rater, trial: Assignment, cell: Cell) -> dict[str, Any]:
    current = select(CURRENT).where(CURRENT.c.assignment_id == trial.id)
    given = session.execute(current).one() if trial.answered else None
    sides = sides_of(cell.kind)
    return {
        "id": trial.public,
        "kind": "pair" if cell.kind == "pair" else "rating",
        "word": plan.shown_word(entry_of(plan, cell), rater.language),
        "pictures": {side: _address(trial, side) if side in sides else None for side in SIDES},
        "revision": 0 if given is None else given.revision + 1,
        "answer": None if given is None else given.value,
        "comment": "" if given is None else given.comment,
    }


def _address(trial: Assignment, side: str) -> str:
    """Relative to the page."""
    return f"study/pictures/{trial.public}/{side}"


def _pace(session: Session, rater: Rater) -> float:
    """Seconds a trial: the median of the rater's last ten, or a guess before there are three."""
    times = select(CURRENT.c.response_ms).where(CURRENT.c.rater_id == rater.id)
    # All of the rater's: with LIMIT, PostgreSQL walks back through everybody's answers until it has ten.
    recent = session.scalars(times.order_by(CURRENT.c.id)).all()[-10:]
    if len(recent) < 3:
        return SECONDS_A_TRIAL
    return sorted(recent)[len(recent) // 2] / 1000 * _READING

"""What a rater's signed-in browser can do. Every method is one short transaction and answers with the page's state.

Lock order: the study, where places are given out; then the rater. An answer locks the rater alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from app.database import Database
from app.database.models import Assignment, Cell, Login, Rater, Study
from app.failures import NothingHereError, NotYoursError, StudyError
from app.study.answers import SubmittedAnswer, store_answer
from app.study.places import Trials, finish, free_lapsed, give_places, has_open, trials_of
from app.study.plan import StudyPlan
from app.study.raters import NOBODY, digest, is_ours, page_name, rater_of, signed_in
from app.study.service import Studies, lock_study, newest_plan
from app.study.standing import NO_CONSENT, SCREENED_OUT
from app.study.stimuli import BARE
from app.study.trials import conditions_shown
from app.study.view import SIDES, page_state, practice_feedback, sides_of, stage_of

State = dict[str, Any]
_ATTEMPTS = 2
"""At the questions about the instructions."""
_EARLIER = aliased(Assignment)
_UNANSWERED_BEFORE = (
    select(func.count())
    .where(_EARLIER.rater_id == Assignment.rater_id, ~_EARLIER.answered, _EARLIER.position < Assignment.position)
    .correlate(Assignment)
    .scalar_subquery()
)
"""How many unanswered trials of its rater come before an assignment."""


class RaterSession:
    """One browser's session.

    Args:
        secret: of its cookie. Every method raises NotYoursError where it is nobody's.
    """

    def __init__(self, studies: Studies, secret: str | None):
        self.studies = studies
        self.secret = secret

    @property
    def _database(self) -> Database:
        database = self.studies.known(is_ours(self.secret))
        if not is_ours(self.secret):
            raise NotYoursError(NOBODY)  # whoever brings nothing of ours is told so even while the database is locked
        return database

    def resume(self) -> State:
        """Where the rater is, and by which name the page keeps the rater's answers that are not stored yet.

        Expired places are given again, as far as there are any.
        """
        with self._database.writing(alone=True) as session:
            rater, study, plan = self._study_locked(session)
            now = self.studies.clock()
            self._seated(session, study, plan, rater, now)
            return self._state(session, study, plan, rater, now) | {"rater": page_name(rater)}

    def consent(self, language: str) -> State:
        """The rater agrees to take part; again is as good as once."""
        with self._database.writing() as session:
            rater, study, plan = self._found(session, lock=True)
            _set_language(plan, rater, language)
            if stage_of(session, study, rater) == "consent":
                rater.status, rater.consented_at = "consented", self.studies.clock()
            return page_state(session, study, plan, rater, self.studies.clock())

    def decline(self) -> State:
        """The rater does not want to take part."""
        with self._database.writing() as session:
            rater, study, plan = self._found(session, lock=True)
            if stage_of(session, study, rater) in ("consent", "instructions"):
                rater.status, rater.excluded_reason = "excluded", NO_CONSENT
                rater.parameters = "{}"
            return page_state(session, study, plan, rater, self.studies.clock())

    def begin(self, answers: Sequence[int] = (), attempt: int | None = None) -> State:
        """The rater has read the instructions: places are taken and trials planned, or all places are taken.

        Args:
            answers: to the plan's questions about the instructions, numbers from 1; the second time that one of them is
                wrong ends the session.
            attempt: how many failed before, as the page was told. Where others have failed since, this request was sent
                again or is a second click, and its answers are neither right nor wrong.
        """
        with self._database.writing(alone=True) as session:
            rater, study, plan = self._study_locked(session)
            now = self.studies.clock()
            if stage_of(session, study, rater) != "instructions":
                return page_state(session, study, plan, rater, now)
            if plan.check and attempt not in (None, rater.check_failures):
                return page_state(session, study, plan, rater, now)
            if plan.check and [check.right for check in plan.check] != list(answers):
                rater.check_failures += 1
                if rater.check_failures >= _ATTEMPTS:
                    rater.status, rater.excluded_reason = "excluded", SCREENED_OUT
                return page_state(session, study, plan, rater, now)
            if not give_places(session, study, plan, rater, now):
                return page_state(session, study, plan, rater, now, full=True)
            rater.status, rater.began_at = "active", now
            return self._state(session, study, plan, rater, now)

    def speak(self, language: str) -> State:
        """Another language, at any time.

        Raises:
            StudyError: the study does not speak it.
        """
        with self._database.writing() as session:
            rater, study, plan = self._found(session, lock=True)
            _set_language(plan, rater, language)
            return page_state(session, study, plan, rater, self.studies.clock())

    def answer(self, given: SubmittedAnswer) -> State:
        """Store an answer; the next trial, with what practice has to say about this one.

        Raises:
            NothingHereError, ConflictError, StudyError: see `store_answer`.
        """
        with self._database.writing() as session:
            rater, study, plan = self._found(session, lock=True)
            state = None if _gave_places_up(rater) else self._answered(session, rater, study, plan, given)
        if state is None:
            # To plan what is left anew takes the study's lock, and that one comes before the rater's.
            with self._database.writing(alone=True) as session:
                rater, study, plan = self._study_locked(session)
                state = self._answered(session, rater, study, plan, given)
        return state  # only now that the transaction is committed

    def _answered(self, session: Session, rater: Rater, study: Study, plan: StudyPlan, given: SubmittedAnswer) -> State:
        """As `answer`. The study is locked where the rater gave the places up."""
        now = self.studies.clock()
        returning = _gave_places_up(rater)
        trials = trials_of(session, rater)
        cell = store_answer(session, study, plan, rater, trials, given, now)
        feedback = practice_feedback(plan, rater, trials, cell, given.value)
        if returning:
            self._seated(session, study, plan, rater, now)
            trials = trials_of(session, rater)
            if rater.status == "active" and not has_open(session, rater):  # of a study that is paused
                rater.lease_until = None
        elif rater.status == "active" and all(each.answered for each, of in trials if of.kind != "practice"):
            finish(session, study, plan, rater, now)
        state = self._state(session, study, plan, rater, now, trials)
        return state | {"feedback": feedback, "stored": given.key}

    @staticmethod
    def _seated(session: Session, study: Study, plan: StudyPlan, rater: Rater, now: datetime) -> None:
        """Give a rater at the trials places where there are none; the session ends where nothing is left to ask."""
        if stage_of(session, study, rater) == "trial" and not give_places(session, study, plan, rater, now):
            finish(session, study, plan, rater, now)  # a whole, if shorter, session

    def look(self, trial: str) -> State:
        """A trial that was answered already, to see it again or to answer it again.

        Raises:
            NothingHereError: the rater has no such trial, or has not come to it yet.
        """
        with self._database.reading() as session:
            rater, study, plan = self._found(session, lock=False)
            return page_state(session, study, plan, rater, self.studies.clock(), at=trial)

    def near(self, trial: str, side: str) -> Path | None:
        """As `picture`, of a trial that a page of the last minute showed or announced; the database is not asked."""
        return self.studies.near(digest(self.secret or ""), trial, side)

    def picture(self, trial: str, side: str) -> Path:
        """The file of a trial's picture: the map that lies left, that on the right of a pair, or what is under both.

        Raises:
            NothingHereError: not a trial of this rater's, not near yet, or it has no such side.
        """
        with self._database.reading() as session:
            row = session.execute(
                select(Study, Assignment, Cell, _UNANSWERED_BEFORE.label("before"))
                .select_from(Assignment)
                .join(Cell, Cell.id == Assignment.cell_id)
                .join(Study, Study.id == Cell.study_id)
                .join(Login, Login.rater_id == Assignment.rater_id)
                .where(Login.secret_hash == digest(self.secret or ""), Assignment.public == trial)
            ).one_or_none()
            if row is None:
                rater_of(session, self.secret)
            # The trial was on the screen, is, or comes next: that one is fetched ahead.
            path = self._path(session, row[0], row[1], row[2], side) if row and row.before <= 1 else None
            if path is None:
                raise NothingHereError("there is no such picture")
            return path

    def _state(
        self,
        session: Session,
        study: Study,
        plan: StudyPlan,
        rater: Rater,
        now: datetime,
        trials: Trials | None = None,
    ) -> State:
        """What the page shows now; the pictures that it asks for next are found without the database."""
        rows = trials_of(session, rater) if trials is None else trials
        login, coming = digest(self.secret or ""), [row for row in rows if not row[0].answered][:2]
        paths = {
            (login, trial.public, side): self._path(session, study, trial, cell, side)
            for trial, cell in coming
            for side in sides_of(cell.kind)
        }
        self.studies.note_near({address: path for address, path in paths.items() if path})
        return page_state(session, study, plan, rater, now, trials=rows)

    def _path(self, session: Session, study: Study, trial: Assignment, cell: Cell, side: str) -> Path | None:
        """The file that a trial shows on this side; None where it has no such side."""
        if side not in sides_of(cell.kind):
            return None
        shown = dict(zip(SIDES, (*conditions_shown(cell, trial.flipped), BARE), strict=True))
        item = "" if side == "bare" else cell.item
        return self.studies.stimulus(session, study.id, study.name, (cell.image, item, shown[side]))

    def _study_locked(self, session: Session) -> tuple[Rater, Study, StudyPlan]:
        """The study, locked, then the rater; the places of raters who left are free. For a session that is `alone`."""
        rater = rater_of(session, self.secret)
        study = lock_study(session, rater.study_id)
        session.refresh(rater, with_for_update=True)  # it may have changed while the study was waited for
        plan = self.studies.plan(session, study)
        _keep_language(plan, rater)
        free_lapsed(session, study, plan, self.studies.clock())
        return rater, study, plan

    def _found(self, session: Session, lock: bool) -> tuple[Rater, Study, StudyPlan]:
        """The rater (`lock` keeps the rater's other requests waiting), study and plan.

        In one query: an answer is as quick as its round trips are few.
        """
        newest = newest_plan(Study.id).correlate(Study).scalar_subquery()
        query = signed_in(self.secret).join(Study, Study.id == Rater.study_id).add_columns(Study, newest)
        row = session.execute(query.with_for_update(of=Rater) if lock else query).one_or_none()
        if row is None:
            raise NotYoursError(NOBODY)
        rater, study, newest_hash = row
        plan = self.studies.plan_hashed(session, newest_hash)
        _keep_language(plan, rater)
        return rater, study, plan


def _gave_places_up(rater: Rater) -> bool:
    """Whether the rater's lease ran out and the places went to others."""
    return rater.status == "active" and rater.lease_until is None


def _keep_language(plan: StudyPlan, rater: Rater) -> None:
    """The rater's language, or the plan's first one where an amendment took it away."""
    if rater.language not in plan.languages:
        rater.language = plan.languages[0]


def _set_language(plan: StudyPlan, rater: Rater, language: str) -> None:
    if language not in plan.languages:
        raise StudyError(f"the study has no texts in {language!r}; it has {', '.join(plan.languages)}")
    rater.language = language

"""Places in cells: given out for a while, kept while a rater continues, freed when one drops out.

A rater's whole session is planned at once (`app.study.assignment`) under the study's lock, so the plan is made from
what is true. Afterwards an answer touches the rater's own rows alone. The lease is the rater's, renewed by every
answer; when somebody needs places and finds leases run out, those places are free again. Nothing runs in the
background, so nothing is lost when the process dies. Raters who failed too many catch trials do not count, finished or
not, so their places are given out again, too.
"""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from app.database.models import Assignment, Cell, Exposure, Rater, Study
from app.study import assignment
from app.study.catches import why_careless
from app.study.plan import StudyPlan
from app.study.raters import row_of
from app.study.service import Studies, find_study, note
from evaluation.study.ratings import BY_RULE

Trials = list[tuple[Assignment, Cell]]


def give_places(session: Session, study: Study, plan: StudyPlan, rater: Rater, now: datetime) -> bool:
    """Plan the rater's trials, or what is left of them; False if nothing is wanted of this rater.

    The study must be locked (`lock_study`), so that two raters are never promised one place, and rid of those who left
    (`free_lapsed`).
    """
    renew(plan, rater, now)
    if has_open(session, rater):
        return True
    rng = np.random.default_rng((plan.seed, rater.id, 2))
    if rater.row is None:
        rater.row = 0 if rater.preview else row_of(session, study)
        _add(session, rater, [(cell, None, False) for cell in _known(session, study, "practice")], now)
    done = _done(session, rater)
    cells = _cells(session, study, fresh=rater.preview)
    seen = {tuple(row) for row in session.execute(_exposures(rater))}
    ratings = assignment.plan_ratings(
        [cell for cell in cells if len(cell.conditions) == 1],
        plan.conditions,
        plan.rating.trials - done.get("rating", 0),
        rater.row,
        rng,
        seen,
    )
    seen |= {exposure for place in ratings for exposure in place.exposures}
    pairs = assignment.plan_pairs(
        [cell for cell in cells if len(cell.conditions) == 2],
        plan.pair.trials - done.get("pair", 0),
        rng,
        seen,
        rater.row,
    )
    places = [*ratings, *pairs]
    if not places:
        return False
    met = set(session.scalars(select(Assignment.cell_id).where(Assignment.rater_id == rater.id)))
    catches = [cell for cell in _known(session, study, "catch") if cell not in met]
    _add(session, rater, _interspersed(places, catches, rater.preview, rng), now)
    session.add_all(
        Exposure(rater_id=rater.id, image=image, condition=condition, assignment_id=row.id)
        for place, row in _rows(session, rater, places)
        for image, condition in place.exposures
    )
    session.flush()
    return True


def places_left(session: Session, study: Study, now: datetime) -> bool:
    """Whether anybody new is wanted: some cell has a slot that is free, or held by somebody whose lease ran out."""
    wanted = select(func.sum(Cell.target)).where(Cell.study_id == study.id)
    held = (
        select(func.count())
        .select_from(Assignment)
        .join(Cell, Cell.id == Assignment.cell_id)
        .join(Rater, Rater.id == Assignment.rater_id)
        .where(Cell.study_id == study.id, Assignment.slot.is_not(None))
        .where(Assignment.answered | (Rater.lease_until >= now))
    )
    return session.scalars(held).one() < (session.scalars(wanted).one() or 0)


def reclaim(studies: Studies, name: str) -> bool:
    """Free the places of everybody who left a study by now; whether anybody new is wanted then.

    Raises:
        NothingHereError: there is no such study.
    """
    with studies.database.writing() as session:
        study = find_study(session, name, lock=True)
        now = studies.clock()
        free_lapsed(session, study, studies.plan(session, study), now)
        return places_left(session, study, now)


def free_lapsed(session: Session, study: Study, plan: StudyPlan, now: datetime) -> None:
    """Free the places of everybody whose lease ran out. The study must be locked.

    A rater who is storing an answer right now has their row locked and is skipped.
    """
    for rater in session.scalars(_lapsed(study, now).with_for_update(skip_locked=True)).all():
        _leave(session, study, plan, rater, now)


def careless_lapsed(session: Session, study: Study, plan: StudyPlan, now: datetime) -> list[int]:
    """Raters, by id, whose lease ran out and whose answers will not count once their places are freed."""
    return [rater.id for rater in session.scalars(_lapsed(study, now)) if why_careless(session, plan, rater)]


def _lapsed(study: Study, now: datetime) -> Select[Rater]:
    return select(Rater).where(Rater.study_id == study.id, Rater.lease_until < now)


def finish(session: Session, study: Study, plan: StudyPlan, rater: Rater, now: datetime) -> None:
    """The rater has answered everything. Careless raters are thanked like everybody, and not counted."""
    rater.status, rater.finished_at = "finished", now
    _leave(session, study, plan, rater, now)


def free_places(session: Session, rater: Rater, answered: bool = False) -> None:
    """Free the rater's unanswered places; the `answered` ones too, if the answers should not count."""
    mine = [Assignment.rater_id == rater.id, ~Assignment.answered]
    practice = select(Cell.id).where(Cell.kind == "practice")
    open_ids = list(session.scalars(select(Assignment.id).where(*mine, Assignment.cell_id.not_in(practice))))
    # What was on the screen has been seen, answered or not.
    unseen = select(Assignment.id).where(*mine, Assignment.shown_at.is_(None))
    session.execute(delete(Exposure).where(Exposure.rater_id == rater.id, Exposure.assignment_id.in_(unseen)))
    session.execute(delete(Assignment).where(Assignment.id.in_(open_ids)))
    if answered:
        for row in session.scalars(select(Assignment).where(Assignment.rater_id == rater.id)):
            row.slot = None
    rater.lease_until = None
    session.flush()


def _leave(session: Session, study: Study, plan: StudyPlan, rater: Rater, now: datetime) -> None:
    """The rater goes, for now or for good: places without an answer are free, those of a careless rater all."""
    reason = why_careless(session, plan, rater)
    if reason:
        rater.status, rater.excluded_reason = "excluded", reason
        note(session, study, now, BY_RULE, "excluded", f"{rater.code}: {reason}")
    free_places(session, rater, answered=bool(reason))


def renew(plan: StudyPlan, rater: Rater, now: datetime) -> None:
    """Keep the rater's places for another while."""
    rater.lease_until = now + timedelta(minutes=plan.rules.lease_minutes)


def trials_of(session: Session, rater: Rater) -> Trials:
    """The rater's trials in their order, practice first."""
    rows = session.execute(
        select(Assignment, Cell)
        .join(Cell, Cell.id == Assignment.cell_id)
        .where(Assignment.rater_id == rater.id)
        .order_by(Assignment.position)
    )
    return [(trial, cell) for trial, cell in rows]


def has_open(session: Session, rater: Rater) -> bool:
    """Whether an unanswered trial of the rater is left."""
    mine = select(Assignment.id).where(Assignment.rater_id == rater.id, ~Assignment.answered).limit(1)
    practice = select(Cell.id).where(Cell.kind == "practice")
    return session.scalar(mine.where(Assignment.cell_id.not_in(practice))) is not None


def _cells(session: Session, study: Study, fresh: bool) -> list[assignment.Cell]:
    """All cells that are counted, with their free slots; `fresh` as if nobody had been asked yet."""
    held: dict[int, set[int]] = {}
    sides: dict[int, int] = {}  # as they were given, by an older rule perhaps: the cell goes on as it began
    if not fresh:
        slots = (
            select(Assignment.cell_id, Assignment.slot, Assignment.flipped)
            .join(Cell, Cell.id == Assignment.cell_id)
            .where(Cell.study_id == study.id, Assignment.slot.is_not(None))
        )
        for cell_id, slot, flipped in session.execute(slots):
            held.setdefault(cell_id, set()).add(slot or 0)
            sides[cell_id] = ((slot or 0) + flipped) % 2
    rows = session.execute(
        select(Cell.id, Cell.image, Cell.first, Cell.second, Cell.target)
        .where(Cell.study_id == study.id, Cell.target.is_not(None))
        .order_by(Cell.id)
    ).all()
    turns = _turns([(first, second) for _, _, first, second, _ in rows])
    return [
        assignment.Cell(
            key=id,
            image=image,
            conditions=(first, second) if second else (first,),
            free=tuple(slot for slot in range(target or 0) if slot not in held.get(id, ())),
            taken=len(held.get(id, ())),
            turn=sides.get(id, turn),
        )
        for (id, image, first, second, target), turn in zip(rows, turns, strict=True)
    ]


def _turns(contrasts: list[tuple[str, str]]) -> list[int]:
    """`assignment.Cell.turn` of cells in the order of their items: which item it is, plus which contrast."""
    number = {contrast: place for place, contrast in enumerate(sorted(set(contrasts)))}
    items: Counter[tuple[str, str]] = Counter()
    turns = []
    for contrast in contrasts:
        turns.append(items[contrast] + number[contrast])
        items[contrast] += 1
    return turns


def _known(session: Session, study: Study, kind: str) -> list[int]:
    return list(
        session.scalars(select(Cell.id).where(Cell.study_id == study.id, Cell.kind == kind).order_by(Cell.item))
    )


def _done(session: Session, rater: Rater) -> dict[str, int]:
    rows = session.execute(
        select(Cell.kind, func.count())
        .join(Assignment, Assignment.cell_id == Cell.id)
        .where(Assignment.rater_id == rater.id)
        .group_by(Cell.kind)
    )
    return {kind: count for kind, count in rows}  # noqa: C416 -- rows are not tuples to a type checker


def _exposures(rater: Rater):
    return select(Exposure.image, Exposure.condition).where(Exposure.rater_id == rater.id)


def _interspersed(
    places: list[assignment.Place], catches: list[int], preview: bool, rng: np.random.Generator
) -> list[tuple[int, int | None, bool]]:
    """Places as (cell, slot, flipped), and catch trials spread among them, each somewhere in its own stretch."""
    trials = [(place.cell, None if preview else place.slot, place.flipped) for place in places]
    edges = np.linspace(0, len(trials), len(catches) + 1)
    for number in range(len(catches) - 1, -1, -1):  # from the back, so that earlier places stay where they are
        low, high = int(edges[number]) + (number == 0), int(edges[number + 1])
        trials.insert(int(rng.integers(low, max(high, low) + 1)), (catches[number], None, False))
    return trials


def _add(session: Session, rater: Rater, trials: list[tuple[int, int | None, bool]], now: datetime) -> None:
    last = session.scalars(select(func.max(Assignment.position)).where(Assignment.rater_id == rater.id)).one()
    first = 0 if last is None else last + 1
    session.add_all(
        Assignment(
            rater_id=rater.id,
            cell_id=cell,
            position=first + number,
            slot=slot,
            flipped=flipped,
            public=secrets.token_urlsafe(18),
            answered=False,
        )
        for number, (cell, slot, flipped) in enumerate(trials)
    )
    session.flush()


def _rows(session: Session, rater: Rater, places: list[assignment.Place]) -> list[tuple[assignment.Place, Assignment]]:
    rows = {row.cell_id: row for row in session.scalars(select(Assignment).where(Assignment.rater_id == rater.id))}
    return [(place, rows[place.cell]) for place in places]

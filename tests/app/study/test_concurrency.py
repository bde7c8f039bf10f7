"""Many raters at once, on threads, on SQLite and PostgreSQL: nothing lost, nothing twice, no cell over its target."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import func, select
from takers import Taker

from app.database.models import Answer, Assignment, Cell, Exposure
from app.failures import ConflictError, NothingHereError
from app.study.raters import invite


def full_cells(studies) -> tuple[Counter, int]:
    """How many cells miss their target by how much, and how many answers are stored."""
    with studies.database.reading() as session:
        held = select(Assignment.cell_id, func.count().label("count")).where(Assignment.slot.is_not(None))
        held = held.where(Assignment.answered).group_by(Assignment.cell_id).subquery()
        query = select(Cell.target - func.coalesce(held.c.count, 0)).outerjoin(held, held.c.cell_id == Cell.id)
        missing = Counter(session.scalars(query.where(Cell.target.is_not(None))))
        return missing, session.scalars(select(func.count()).select_from(Answer)).one()


def test_raters_who_come_at_once_fill_every_cell_exactly(studies, create):
    name = create(images=8, overlap=3, trials=8, pair_overlap=2, pair_trials=2)
    tokens = [each.token for each in invite(studies, name, 24, "test")]

    def take(token: str) -> int:
        taker = Taker(studies, name, token)
        if taker.state["stage"] == "consent":
            taker.start()
        taker.finish()
        return 0

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(take, tokens))
    missing, stored = full_cells(studies)
    assert (dict(missing), stored) == ({0: 40}, 8 * 4 * 3 + 8 * 2)


def test_double_clicks_retries_and_two_windows_on_threads_store_one_answer_each(studies, create):
    name = create(images=8, overlap=1, trials=8)
    taker = Taker(studies, name).start()
    for _ in range(6):
        given = taker.given("4")
        other = taker.given("2")
        barrier = Barrier(6)

        def send(one, barrier=barrier):
            barrier.wait()
            try:
                return taker.session.answer(one)
            except ConflictError:
                return None

        with ThreadPoolExecutor(6) as pool:
            said = list(pool.map(send, [given, given, given, given, other, other]))
        taker.state = next(state for state in said if state)
    assert full_cells(studies)[1] == 6
    with studies.database.reading() as session:
        assert session.scalars(select(func.max(Answer.revision))).one() == 0


@pytest.mark.slow
def test_drop_outs_who_return_while_their_places_are_given_away_never_overfill(studies, create, clock):
    name = create(images=8, overlap=4, trials=8)
    tokens = [each.token for each in invite(studies, name, 40, "test")]

    def take(token: str) -> None:
        chance = random.Random(token)
        taker = Taker(studies, name, token)
        if taker.state["stage"] == "consent":
            taker.start()
        while taker.state["trial"]:
            if chance.random() < 0.05:
                clock.turn(11)  # everybody's lease runs out
            try:
                taker.answer()
            except (ConflictError, NothingHereError):
                taker.state = taker.session.resume()
            if chance.random() < 0.05:
                return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, tokens))
    for _ in range(40):  # whoever comes later finishes it
        clock.turn(11)
        if set(full_cells(studies)[0]) == {0}:
            break
        late = Taker(studies, name)
        if late.state["stage"] == "consent":
            late.start().finish()
    missing, stored = full_cells(studies)
    assert (dict(missing), stored) == ({0: 32}, 128)
    with studies.database.reading() as session:
        seen = (
            session.execute(
                select(func.count())
                .select_from(Assignment)
                .join(Cell)
                .where(Assignment.slot.is_not(None))
                .group_by(Assignment.rater_id, Cell.image, Cell.first)
            )
            .scalars()
            .all()
        )
        assert set(seen) == {1}
        assert session.scalars(select(func.count()).select_from(Exposure)).one() >= 128

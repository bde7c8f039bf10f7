"""A rater's way through a study, on both databases: what is stored, what is not, what comes back."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy import select
from takers import Taker

from app.database.models import CURRENT, Answer, Assignment, Cell, Rater
from app.failures import ConflictError, NothingHereError, NotYoursError, StudyError
from app.study.owner import delete_person, exclude, set_status
from app.study.places import reclaim
from app.study.raters import enter_from_prolific
from app.study.session import RaterSession


def answers(studies, table=Answer.__table__):
    with studies.database.reading() as session:
        return session.execute(select(table).order_by(table.c.id)).all()


def test_from_consent_to_the_completion_code(studies, create):
    taker = Taker(studies, create(practice=True, catch=True, pair_overlap=1))
    assert taker.state["stage"] == "consent"
    assert "<script>" not in taker.state["html"]
    assert taker.session.consent("de")["stage"] == "instructions"
    state = taker.session.begin()
    assert (state["stage"], state["trial"]["word"], state["progress"]["total"]) == ("practice", "roter Kreis", 1)
    taker.state = state
    said = taker.answer("1")
    assert said["feedback"] == {"right": False, "html": "<p>Der Kreis ist hervorgehoben.</p>\n", "last": True}
    assert (said["stage"], said["progress"]["total"]) == ("trial", 8 + 4 + 1)
    taker.finish()
    assert taker.state["stage"] == "thanks"
    assert taker.state["completion"]["code"] == "C0DE-42"
    assert len(answers(studies)) == 14


def test_a_retried_request_stores_one_answer(studies, create):
    taker = Taker(studies, create()).start()
    given = taker.given("3")
    first = taker.session.answer(given)
    again = taker.session.answer(given)
    assert first["trial"]["id"] == again["trial"]["id"]
    assert len(answers(studies)) == 1


def test_of_two_windows_one_wins_and_the_other_is_told(studies, create):
    taker = Taker(studies, create()).start()
    one, other = taker.given("3"), taker.given("5")
    taker.session.answer(one)
    with pytest.raises(ConflictError, match="another window"):
        taker.session.answer(other)
    assert [row.value for row in answers(studies)] == ["3"]


def test_going_back_adds_an_answer_and_the_later_one_counts(studies, create):
    taker = Taker(studies, create()).start()
    first = taker.state["trial"]["id"]
    taker.answer("2")
    now = taker.state["trial"]["id"]
    taker.state = taker.session.look(first)
    assert (taker.state["trial"]["answer"], taker.state["trial"]["next"]) == ("2", now)
    taker.answer("4", comment=" better ")
    assert taker.state["trial"]["id"] == now
    assert [row.value for row in answers(studies)] == ["2", "4"]
    assert [(row.value, row.comment) for row in answers(studies, CURRENT)] == [("4", "better")]


def test_answers_are_never_changed(studies, create):
    Taker(studies, create()).start().answer("2")
    with pytest.raises(Exception, match="answers are never changed"), studies.database.writing() as session:
        session.execute(Answer.__table__.update().values(value="5"))
    assert [row.value for row in answers(studies)] == ["2"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"value": "6"}, StudyError),
        ({"value": "left"}, StudyError),
        ({"trial": "x" * 24}, NothingHereError),
        ({"revision": 1}, ConflictError),
    ],
)
def test_a_forged_answer_stores_nothing(studies, create, changes, error):
    taker = Taker(studies, create()).start()
    with pytest.raises(error):
        taker.answer(**changes)
    assert answers(studies) == []


def test_nobody_answers_for_another_or_ahead(studies, create):
    name = create()
    one, other = Taker(studies, name).start(), Taker(studies, name).start()
    with pytest.raises(NothingHereError):
        one.session.answer(other.given())
    with studies.database.reading() as session:
        query = select(Assignment.public).join(Rater).where(Rater.code == one.code).order_by(Assignment.position)
        mine = list(session.scalars(query))
    with pytest.raises(ConflictError, match="another trial comes first"):
        one.answer(trial=mine[1])
    with pytest.raises(NothingHereError):
        one.session.look(mine[1])
    with pytest.raises(NothingHereError):
        one.session.picture(other.state["trial"]["id"], "left")
    with pytest.raises(NothingHereError):
        one.session.picture(mine[2], "left")
    assert one.session.picture(mine[1], "left").is_file()  # fetched ahead
    assert answers(studies) == []


def test_a_session_goes_on_where_it_was_on_another_device(studies, create):
    taker = Taker(studies, create()).start()
    taker.answer()
    elsewhere = Taker(studies, "", token=taker.token)
    without = {"stored", "rater"}  # what the last request was about
    states = [{name: value for name, value in each.state.items() if name not in without} for each in (elsewhere, taker)]
    assert states[0] == states[1]


def test_a_pause_takes_the_answer_on_the_screen_and_a_closed_study_none(studies, create):
    name = create()
    taker = Taker(studies, name).start()
    set_status(studies, name, "paused", "test")
    assert taker.answer()["stage"] == "paused"
    set_status(studies, name, "open", "test")
    taker.state = taker.session.resume()
    set_status(studies, name, "closed", "test")
    with pytest.raises(ConflictError, match="closed"):
        taker.answer()
    assert len(answers(studies)) == 1


def test_a_draft_shows_previews_alone_and_they_never_count(studies, create):
    name = create(open=False, overlap=1)
    assert Taker(studies, name).state["stage"] == "draft"
    Taker(studies, name, preview=True).start().finish()
    set_status(studies, name, "open", "test")
    with studies.database.reading() as session:
        assert session.scalars(select(Assignment.slot).where(Assignment.slot.is_not(None))).all() == []
    assert Taker(studies, name).start().state["progress"]["total"] == 8


def test_whoever_drops_out_frees_the_places_and_may_come_back(studies, create, clock):
    name = create(overlap=1, images=8, trials=32)
    taker = Taker(studies, name).start()
    taker.answer()
    late = Taker(studies, name)
    assert late.state["stage"] == "full"
    clock.turn(11)
    assert late.start().state["progress"]["total"] == 31
    with pytest.raises(NothingHereError):
        taker.answer()
    assert taker.session.resume()["stage"] == "thanks"  # nothing is left to ask
    late.finish()
    assert held(studies) == {1}


@pytest.mark.parametrize("reclaimed", [True, False], ids=["reclaimed", "lapsed alone"])
def test_an_answer_after_the_lease_ran_out_does_not_end_the_session(studies, create, clock, reclaimed):
    """Neither one of practice, whose trial nobody else can get, nor one that is given again."""
    name = create(overlap=2, practice=True)
    pausing = Taker(studies, name).start()
    clock.turn(11)
    if reclaimed:
        assert reclaim(studies, name)
    state = pausing.answer("4")
    assert (state["stage"], state["progress"]["total"], state["feedback"]["right"]) == ("trial", 8, True)
    pausing.answer("2")
    first = pausing.state["trial"]["previous"]
    clock.turn(11)
    if reclaimed:
        assert reclaim(studies, name)
    pausing.state = pausing.session.look(first)
    state = pausing.answer("3")
    assert (state["stage"], state["progress"]) == ("trial", state["progress"] | {"done": 1, "total": 8})
    assert pausing.finish().state["stage"] == "thanks"
    assert len(answers(studies, CURRENT)) == 9


def test_a_changed_answer_that_is_sent_twice_to_a_paused_study_does_not_end_the_session(studies, create, clock):
    name = create(overlap=2)
    pausing = Taker(studies, name).start()
    pausing.answer("2")
    first = pausing.state["trial"]["previous"]
    clock.turn(11)
    assert reclaim(studies, name)
    pausing.state = pausing.session.look(first)
    set_status(studies, name, "paused", "test")
    given = pausing.given("3")
    assert [pausing.session.answer(given)["stage"] for _ in range(2)] == ["paused", "paused"]
    set_status(studies, name, "open", "test")
    assert pausing.session.resume()["stage"] == "trial"


def test_a_cell_goes_on_with_the_sides_that_it_began_with(studies, create):
    """Whatever rule they were given by: before and after an update they are in turn."""
    name = create(images=8, overlap=1, trials=1, pair_overlap=2, pair_trials=8)
    Taker(studies, name).start().finish()
    with studies.database.writing() as session:
        for trial in session.scalars(select(Assignment).join(Cell).where(Cell.kind == "pair")):
            trial.flipped = not trial.flipped
    while (taker := Taker(studies, name)).state["stage"] == "consent":
        taker.start().finish()
    with studies.database.reading() as session:
        rows = session.execute(select(Cell.id, Assignment.flipped).join(Assignment).where(Cell.kind == "pair")).all()
    assert Counter(map(tuple, rows)) == {(cell, flipped): 1 for cell, _ in rows for flipped in (False, True)}


@pytest.mark.parametrize("overlap", [1, 2, 3])
@pytest.mark.parametrize("conditions", [3, 4])
def test_each_side_shows_each_condition_of_a_pair_equally_often(studies, create, overlap, conditions):
    """The second contrast begins with the other side; of an odd overlap every other item does."""
    name = create(
        images=8,
        overlap=1,
        trials=1,
        pair_overlap=overlap,
        pair_trials=16,
        conditions=("teacher", "lfi", "baseline", "shuffled")[:conditions],
        contrasts=(("lfi", "baseline"), ("lfi", "teacher")),
    )
    while (taker := Taker(studies, name)).state["stage"] == "consent":
        taker.start().finish()
    with studies.database.reading() as session:
        sides = session.execute(select(Cell.second, Assignment.flipped).join(Assignment).where(Cell.kind == "pair"))
        assert Counter(map(tuple, sides)) == {
            (second, flipped): 4 * overlap for second in ("baseline", "teacher") for flipped in (False, True)
        }


def test_whoever_returns_within_the_lease_finds_their_places(studies, create, clock):
    taker = Taker(studies, create()).start()
    before = taker.state
    clock.turn(9)
    assert taker.session.resume()["trial"] == before["trial"]


def test_failed_catch_trials_exclude_at_the_end_and_the_cells_are_filled_again(studies, create):
    name = create(overlap=1, trials=32, catch=True)
    careless = Taker(studies, name).start()
    while careless.state["trial"]:
        careless.answer("5")
    assert careless.state["stage"] == "thanks"
    assert held(studies) == set()
    careful = Taker(studies, name).start()
    while careful.state["trial"]:
        careful.answer("1")
    assert held(studies) == {1}


def test_whoever_leaves_after_failing_catch_trials_is_replaced_too(studies, create, clock):
    name = create(overlap=1, trials=32, catch=True)
    careless = Taker(studies, name).start()
    with studies.database.reading() as session:
        catch = session.scalars(select(Assignment.public).join(Cell).where(Cell.kind == "catch")).one()
    while careless.state["trial"]["id"] != catch:
        careless.answer("5")
    careless.answer("5")
    assert Taker(studies, name).state["stage"] == "full"
    clock.turn(11)
    careful = Taker(studies, name)
    assert careful.state["stage"] == "consent"
    assert careful.start().state["progress"]["total"] == 33
    assert careless.session.resume()["stage"] == "excluded"
    while careful.state["trial"]:
        careful.answer("1")
    assert held(studies) == {1}


def test_an_answer_that_the_plan_would_not_count_is_not_taken(studies, create):
    taker = Taker(studies, create()).start()
    assert taker.state["earliest_ms"] == 300
    with pytest.raises(StudyError, match="after 299 ms; the study accepts none before 300 ms"):
        taker.answer(response_ms=299)
    taker.answer(response_ms=300)
    assert [row.response_ms for row in answers(studies)] == [300]


def test_three_levels_are_asked_and_stored_as_such(studies, create):
    taker = Taker(studies, create(scale=3)).start()
    assert taker.state["scale"] == 3
    with pytest.raises(StudyError, match="one of 1, 2, 3 was expected"):
        taker.answer("4")
    taker.answer("3")
    assert [row.value for row in answers(studies)] == ["3"]


def test_an_excluded_rater_is_replaced_and_a_deleted_one_leaves_nothing(studies, create):
    name = create(overlap=1, trials=32)
    one = Taker(studies, name).start().finish()
    exclude(studies, name, one.code, "answered in two minutes", "test")
    other = Taker(studies, name).start().finish()
    assert (len(answers(studies)), held(studies)) == (64, {1})
    assert delete_person(studies, name, other.code, "test") == 32
    assert (len(answers(studies)), held(studies)) == (32, set())
    with pytest.raises(NotYoursError):
        other.session.resume()
    with pytest.raises(NothingHereError):
        delete_person(studies, name, other.code, "test")


def test_prolific_brings_people_once_and_only_with_their_own_session(studies, create):
    create()
    first = enter_from_prolific(studies, "5f00000000000000000000aa", "P1", "s1")
    again = enter_from_prolific(studies, "5f00000000000000000000aa", "P1", "s1")
    assert first != again
    with studies.database.reading() as session:
        assert len(session.scalars(select(Rater)).all()) == 1
    with pytest.raises(NotYoursError):
        enter_from_prolific(studies, "5f00000000000000000000aa", "P1", "s2")
    for pid, study, session_id in (("", "P1", "s"), ("a' OR 1=1 --", "P1", "s"), ("abc", "P2", "s"), ("abc", "P1", "")):
        with pytest.raises(NothingHereError):
            enter_from_prolific(studies, pid, study, session_id)
    with pytest.raises(NotYoursError):
        RaterSession(studies, "guessed").resume()


def held(studies) -> set[int]:
    """How many answers the cells hold: one number where all are alike; cells without any do not show."""
    with studies.database.reading() as session:
        counts: dict[int, int] = {}
        query = select(Assignment.cell_id).join(Cell).where(Assignment.slot.is_not(None), Assignment.answered)
        for cell in session.scalars(query):
            counts[cell] = counts.get(cell, 0) + 1
    return set(counts.values())

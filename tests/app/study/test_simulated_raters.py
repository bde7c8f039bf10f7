"""Simulated raters go through the real service and leave exactly what they were told."""

import asyncio

import httpx
import pytest

from app.main import create_app
from app.study.export import ratings_of
from app.study.places import places_left
from app.study.raters import invite
from app.study.service import find_study
from app.study.simulate import Log, TrialLookup, Visit, simulate_raters
from bench.study_load import check
from evaluation.study.raters import Population, SimulatedRater

CARELESS = Population(drop_out=0.2, double_clicks=0.5, lapses=0.1)


@pytest.fixture
def visit(study_settings, clock):
    app = create_app(study_settings)
    app.state.studies.clock = clock
    return Visit("http://testserver", think=0.0, pictures=False, transport=httpx.ASGITransport(app))


def take_part(visit, studies, name, count, population, log, first=0):
    invitations = invite(studies, name, count, "test")
    lookup = TrialLookup(studies, name)
    asyncio.run(simulate_raters(visit, invitations, population, lookup, log, first=first))


def test_every_cell_is_filled_exactly_though_raters_drop_out_and_click_twice(studies, create, clock, visit):
    name = create(images=6, overlap=2, trials=6, pair_overlap=1, pair_trials=2, practice=True, catch=True)
    log = Log()
    for first in range(0, 60, 6):
        take_part(visit, studies, name, 6, CARELESS, log, first)
        clock.turn(11)  # leases of those who left run out
        with studies.database.reading() as session:
            if not places_left(session, find_study(session, name), clock()):
                break
    found = check(studies, name, log, Log(), 0)
    assert (found.lost, found.duplicates, found.off_target, found.cells) == (0, 0, 0, 30)
    assert found.doubles > 10
    assert log.ends["dropped out"] > 0


def test_simulated_raters_see_what_the_export_says(studies, create, visit):
    name = create(images=6, overlap=1, trials=6, pair_overlap=1, pair_trials=2, catch=True)
    log = Log()
    take_part(visit, studies, name, 1, Population(lapses=0.0, drop_out=0.0), log)
    table = ratings_of(studies, name)
    again = SimulatedRater(Population(lapses=0.0, drop_out=0.0), 0, 0)
    expected = []
    for row in table.itertuples():
        if row.kind == "pair":
            expected.append(again.choose(row.item, row.left, row.right))
        elif row.catch:
            expected.append(again.catch(2, 5))
        else:
            expected.append(again.rate(row.item, row.condition))
        again.network_s()
    assert table["value"].tolist() == [str(answer.value) for answer in expected]
    assert table["response_ms"].tolist() == [answer.response_ms for answer in expected]

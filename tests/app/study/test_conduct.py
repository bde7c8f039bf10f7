"""Who looks while answers come in is noted, stands in the report, and costs what it must."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest
from plans import write_plan
from takers import Taker

from app.failures import StudyError
from app.study.conduct import look_is_due
from app.study.creation import create_study
from app.study.export import analysis_input, export_study
from app.study.owner import set_status
from app.study.progress import progress_of
from app.study.report import owners_report, report_material
from evaluation.study.conduct import confidence
from evaluation.study.plan import Registration


def actions(studies, name):
    return [(action, detail) for _, _, action, detail in reversed(progress_of(studies, name).audit)]


def looks_at(studies, name):
    """As `lfi study analyse NAME`."""
    return report_material(studies, name, "cli").conduct


def test_every_look_at_an_open_study_is_noted_once_and_costs(studies, create):
    name = create(overlap=2, trials=4)
    Taker(studies, name).start().finish()
    first = looks_at(studies, name)
    assert (first.status, first.interim, first.unplanned) == ("open", True, 1)
    assert looks_at(studies, name) == first, "the same answers again are the same look"
    Taker(studies, name).start().finish()
    second = looks_at(studies, name)
    assert [look.answers for look in second.looks] == [4]
    assert second.unplanned == 2
    set_status(studies, name, "closed", "test")
    final = looks_at(studies, name)
    assert [look.answers for look in final.looks] == [4, 8]
    plan = report_material(studies, name, "cli").plan
    assert confidence(plan, final) == pytest.approx(1 - 0.05 / 6)
    assert [each for each in actions(studies, name) if each[0] in ("looked", "reported")] == [
        ("looked", "look at 4 answers"), ("looked", "look at 8 answers"), ("reported", "look at 8 answers"),
    ]  # fmt: skip


def test_who_looks_at_the_end_alone_pays_nothing(studies, create):
    name = create(overlap=1, trials=4)
    Taker(studies, name).start().finish()
    set_status(studies, name, "closed", "test")
    for _ in range(2):
        found = looks_at(studies, name)
        assert (found.interim, found.looks, found.reopened) == (False, (), ())


def test_a_closed_study_that_was_looked_at_and_opened_again_was_peeked_at(studies, create, clock):
    name = create(overlap=2, trials=4)
    Taker(studies, name).start().finish()
    set_status(studies, name, "closed", "test")
    looks_at(studies, name)
    clock.turn(60)
    set_status(studies, name, "open", "test")
    Taker(studies, name).start().finish()
    set_status(studies, name, "closed", "test")
    found = looks_at(studies, name)
    assert found.reopened == (clock.now,)
    assert [(look.answers, look.planned) for look in found.looks] == [(4, 0)]
    assert found.unplanned == 1


def test_answers_that_were_exported_before_the_end_are_said(studies, create, tmp_path, clock):
    name = create(overlap=2, trials=4)
    Taker(studies, name).start().finish()
    export_study(studies, name, tmp_path, ["codebook.md"])
    assert looks_at(studies, name).exported == ()
    export_study(studies, name, tmp_path, ["ratings.csv"])
    assert looks_at(studies, name).exported == (clock.now,)


@pytest.mark.slow
def test_a_planned_look_opens_the_report_when_its_answers_are_in(studies, engine, tmp_path):
    path = write_plan(tmp_path, overlap=1, trials=16, images=8)
    path.write_text(path.read_text().replace("[analysis]", "[analysis]\ndraws = 100\nsecondary = []\nlooks = [0.5]"))
    name = create_study(studies, path, engine).name
    set_status(studies, name, "open", "test")
    taker = Taker(studies, name).start()
    for _ in range(4):
        taker.answer()
    assert not look_is_due(studies, name)
    with pytest.raises(StudyError, match="made once it is closed, or at a look that its plan names"):
        anyio.run(owners_report, studies, name, "page")
    while look_is_due(studies, name) is False:
        taker.answer() if taker.state["trial"] else (taker := Taker(studies, name).start())
    html = anyio.run(owners_report, studies, name, "page")
    assert "INTERIM: the study goes on." in html
    assert anyio.run(owners_report, studies, name, "page") == html, "the same look may be read again"
    taker.answer() if taker.state["trial"] else Taker(studies, name).start().answer()
    assert not look_is_due(studies, name), "one look is not two"
    found = looks_at(studies, name)
    assert [(look.answers, look.planned) for look in found.looks] == [(16, 1)]
    assert found.unplanned == 1
    (exported,) = export_study(studies, name, tmp_path / "out", ["plan.json"])
    read, (_, stored, planned) = Registration.read(exported), analysis_input(studies, name)
    assert read == replace(stored, registered_at="")
    assert read.intact
    assert read.in_force == planned
    assert planned.looks == (0.5,)


def test_the_report_shows_what_raters_saw(studies, create):
    name = create(overlap=1, trials=4, images=4)
    Taker(studies, name).start().finish()
    pictures = report_material(studies, name, "cli").pictures
    assert set(pictures) == {
        (f"i{number:03}", condition)
        for number in range(1, 5)
        for condition in ("teacher", "lfi", "baseline", "shuffled")
    }
    assert all(address.startswith("data:image/webp;base64,") for address in pictures.values())
    assert len(set(pictures.values())) > 4, "maps lie over the pictures"

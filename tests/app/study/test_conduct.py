"""Who looks, and what is changed after it, is noted, stands in the report, and costs what it must."""

from __future__ import annotations

import io
from dataclasses import replace

import anyio
import pytest
from browsers import OwnerBrowser
from commandline import lfi
from plans import write_plan
from takers import Taker

from app.failures import StudyError
from app.study.conduct import look_costs
from app.study.creation import amend_study, create_study
from app.study.export import analysis_input, export_study
from app.study.owner import delete_person, exclude, set_status
from app.study.progress import progress_of
from app.study.report import owners_report, report_material
from app.study.service import find_study, note
from evaluation.study.conduct import confidence, part
from evaluation.study.plan import AnalysisPlan, Registration

OWNER = "an owner's secret token"


def actions(studies, name):
    return [(action, detail) for _, _, action, detail in reversed(progress_of(studies, name).audit)]


def looks_at(studies, name):
    """As `lfi study analyse NAME`."""
    return report_material(studies, name, "cli").conduct


def answered_by(studies, create, raters=1):
    """An open study with answers of so many raters, and the raters."""
    name = create(overlap=2, trials=4)
    return name, [Taker(studies, name).start().finish() for _ in range(raters)]


def look_is_due(studies, name):
    return progress_of(studies, name).look_due


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


def test_a_study_opened_again_after_its_report_has_no_error_left(studies, create, clock):
    name, _ = answered_by(studies, create)
    set_status(studies, name, "closed", "test")
    assert not looks_at(studies, name).spent
    clock.turn(60)
    set_status(studies, name, "open", "test")
    Taker(studies, name).start().finish()
    assert looks_at(studies, name).spent, "an analysis before it closes again is told, too"
    set_status(studies, name, "closed", "test")
    found = looks_at(studies, name)
    assert found.reopened == (clock.now,)
    assert [(sight.answers, sight.exported) for sight in found.seen] == [(4, False)]
    assert [look.answers for look in found.looks] == [8], "the report is none of the looks that widen the interval"
    assert found.spent
    set_status(studies, name, "open", "test")
    set_status(studies, name, "closed", "test")
    assert [sight.answers for sight in looks_at(studies, name).seen] == [4, 8], "the same answers do not undo that"


def test_a_study_opened_again_that_nobody_had_seen_keeps_its_error(studies, create):
    name, _ = answered_by(studies, create)
    for status in ("closed", "open", "closed"):
        set_status(studies, name, status, "test")
    found = looks_at(studies, name)
    assert (len(found.reopened), found.seen, found.spent) == (1, (), False)


def test_an_export_of_the_closed_study_counts_as_its_report_does(studies, create, tmp_path):
    name, _ = answered_by(studies, create)
    set_status(studies, name, "closed", "test")
    export_study(studies, name, tmp_path, "ada", ["ratings.csv"])
    found = looks_at(studies, name)
    assert (found.exported, found.seen, found.spent) == ((), (), False)
    set_status(studies, name, "open", "test")
    export_study(studies, name, tmp_path, "ada", ["ratings.csv"])
    set_status(studies, name, "closed", "test")
    found = looks_at(studies, name)
    assert [(sight.answers, sight.exported) for sight in found.seen] == [(4, True), (4, False)]
    assert len(found.exported) == 1
    assert found.spent


def test_every_door_says_who_exported(app, studies, create, study_settings, monkeypatch, tmp_path):
    name, _ = answered_by(studies, create)
    set_status(studies, name, "closed", "test")
    assert OwnerBrowser(app, OWNER).client.get(f"/admin/{name}/export/ratings.csv").status_code == 200
    at_the_terminal(study_settings, monkeypatch)
    assert lfi("study", "export", name, "--out", tmp_path / "out") == 0
    trail = [line[1:] for line in reversed(progress_of(studies, name).audit)]
    assert [line for line in trail if line[1] == "exported"] == [
        ("owner", "exported", "4 answers"), ("cli", "exported", "4 answers"),
    ]  # fmt: skip


def at_the_terminal(settings, monkeypatch):
    """Let `lfi` find the studies of this test."""
    monkeypatch.setenv("LFI_STUDY_FOLDER", str(settings.study_folder))
    monkeypatch.setenv("LFI_DATABASE_URL", settings.database_url)


@pytest.mark.parametrize("published", [True, False])
def test_the_stored_plan_of_a_study_is_compared_with_its_published_hash(
    studies, create, study_settings, monkeypatch, tmp_path, capsys, published
):
    name, _ = answered_by(studies, create)
    set_status(studies, name, "closed", "test")
    sha256 = report_material(studies, name, "cli").registration.sha256 if published else "0" * 64
    at_the_terminal(study_settings, monkeypatch)
    assert lfi("study", "analyse", name, "--out", tmp_path / "out", "--registered-sha256", sha256) == 0
    said = "The registered plan does not have the hash that was published"
    assert (said not in capsys.readouterr().out) == published


def test_whoever_is_left_out_by_hand_after_a_look_stands_in_the_next_report(studies, create, clock):
    name, (early, asked, gone) = answered_by(studies, create, 3)
    exclude(studies, name, early.code, "before anybody looked", "ada")
    set_status(studies, name, "closed", "test")
    first = looks_at(studies, name)
    assert (first.left_out, first.seen) == ((), ())
    assert looks_at(studies, name) == first
    clock.turn(60)
    exclude(studies, name, asked.code, "their own wish: by mail", "ada")
    with studies.database.writing() as session:
        note(session, find_study(session, name), clock.now, "rule", "excluded", "r01: failed 2 catch trials")
    second = looks_at(studies, name)
    assert [(act.at, act.deleted, act.detail) for act in second.left_out] == [
        (clock.now, False, "their own wish: by mail")
    ]
    assert [sight.answers for sight in second.seen] == [12], "as many answers are not the same look now"
    assert not second.spent
    delete_person(studies, name, gone.code, "ada")
    third = looks_at(studies, name)
    assert [(act.deleted, act.detail) for act in third.left_out][1:] == [(True, "4 answers")]
    assert [sight.answers for sight in third.seen] == [12, 12]
    delete_person(studies, name, asked.code, "ada")
    assert [act.detail for act in looks_at(studies, name).left_out] == ["4 answers", "4 answers"], "each rater once"


def test_a_look_at_an_open_study_is_another_one_once_a_rater_was_left_out(studies, create):
    name, (taker, _) = answered_by(studies, create, 2)
    assert looks_at(studies, name).unplanned == 1
    exclude(studies, name, taker.code, "inconvenient", "ada")
    assert looks_at(studies, name).unplanned == 2


def test_a_preview_is_nobody_who_could_be_left_out(studies, create):
    name, _ = answered_by(studies, create)
    preview = Taker(studies, name, preview=True).start().finish()
    looks_at(studies, name)
    with pytest.raises(StudyError, match="is a preview, which never counts"):
        exclude(studies, name, preview.code, "tried", "ada")
    delete_person(studies, name, preview.code, "ada")
    assert looks_at(studies, name).left_out == ()


@pytest.mark.parametrize("open", [False, True])
def test_a_study_that_only_previews_have_answered_is_not_looked_at(studies, create, tmp_path, open):
    name = create(open=open, overlap=2, trials=4)
    Taker(studies, name, preview=True).start().finish()
    assert not look_costs(studies, name)
    looks_at(studies, name)
    export_study(studies, name, tmp_path, "ada", ["ratings.csv"])
    assert [each for each in actions(studies, name) if each[0] in ("looked", "exported")] == []


def test_looks_at_nothing_that_were_noted_once_cost_nothing(studies, create, clock):
    name, _ = answered_by(studies, create)
    with studies.database.writing() as session:
        study = find_study(session, name)
        note(session, study, clock.now, "cli", "looked", "look at 0 answers")
        note(session, study, clock.now, "export", "exported", "4 answers")
    set_status(studies, name, "closed", "test")
    found = looks_at(studies, name)
    assert (found.unplanned, found.exported) == (0, (clock.now,)), "older audit trails are read as they are"


class Terminal(io.StringIO):
    """Somebody who types at a terminal."""

    def isatty(self):
        return True


def test_a_look_that_nobody_planned_is_warned_of_or_asked_about(
    studies, create, study_settings, monkeypatch, tmp_path, capsys
):
    name, _ = answered_by(studies, create)
    at_the_terminal(study_settings, monkeypatch)
    analyse = ("study", "analyse", name, "--out", tmp_path / "report")
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert lfi(*analyse) == 1
    assert "its plan has no look here" in capsys.readouterr().err
    assert "looked" not in dict(actions(studies, name)), "who says no has not looked"
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert lfi(*analyse) == 0
    assert f"warning: study '{name}' goes on, and its plan has no look here" in capsys.readouterr().err
    assert dict(actions(studies, name))["looked"] == "look at 4 answers"
    assert lfi(*analyse) == 0
    assert "warning" not in capsys.readouterr().err, "the same look again costs nothing"


def test_opening_a_study_again_asks_first_where_it_costs_the_claim(
    studies, create, study_settings, monkeypatch, capsys
):
    name, _ = answered_by(studies, create)
    at_the_terminal(study_settings, monkeypatch)
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    for act in ("pause", "open", "close", "open", "close"):
        assert lfi("study", act, name) == 0, "nobody has seen anything: there is nothing to ask"
    looks_at(studies, name)
    assert lfi("study", "open", name) == 1
    assert "opened again, it makes no claim any more. Go on?" in capsys.readouterr().err
    assert progress_of(studies, name).status == "closed"
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert lfi("study", "open", name) == 0
    assert f"warning: study '{name}' was reported on or exported after it had closed" in capsys.readouterr().err
    assert looks_at(studies, name).spent
    for act in ("close", "open"):
        assert lfi("study", act, name) == 0
    assert "warning" not in capsys.readouterr().err, "it is lost already"


def test_answers_that_were_exported_before_the_end_are_said(studies, create, tmp_path, clock):
    name = create(overlap=2, trials=4)
    Taker(studies, name).start().finish()
    export_study(studies, name, tmp_path, "test", ["codebook.md"])
    assert looks_at(studies, name).exported == ()
    export_study(studies, name, tmp_path, "test", ["ratings.csv"])
    assert looks_at(studies, name).exported == (clock.now,)


@pytest.mark.slow
def test_a_planned_look_opens_the_report_when_its_answers_are_in(app, studies, engine, tmp_path):
    path = write_plan(tmp_path, overlap=1, trials=16, images=8)
    path.write_text(path.read_text().replace("[analysis]", "[analysis]\ndraws = 100\nsecondary = []\nlooks = [0.5]"))
    name = create_study(studies, path, engine).name
    set_status(studies, name, "open", "test")
    taker = Taker(studies, name).start()
    for _ in range(4):
        taker.answer()
    owner, link = OwnerBrowser(app, OWNER).client, f'href="../admin/{name}/report"'
    assert not look_is_due(studies, name)
    page = owner.get(f"/admin/{name}").text
    assert "It is made when the study is closed, or at a look that its plan names" in page
    assert link not in page
    with pytest.raises(StudyError, match="made once it is closed, or at a look that its plan names"):
        anyio.run(owners_report, studies, name, "page")
    while look_is_due(studies, name) is False:
        taker.answer() if taker.state["trial"] else (taker := Taker(studies, name).start())
    assert not look_costs(studies, name), "the plan has paid for it"
    page = owner.get(f"/admin/{name}").text
    assert "costs the part of the error that the plan set aside for it" in " ".join(page.split())
    assert link in page
    html = anyio.run(owners_report, studies, name, "page")
    assert "INTERIM: the study goes on." in html
    assert anyio.run(owners_report, studies, name, "page") == html, "the same look may be read again"
    taker.answer() if taker.state["trial"] else Taker(studies, name).start().answer()
    assert not look_is_due(studies, name), "one look is not two"
    assert look_costs(studies, name)
    found = looks_at(studies, name)
    assert [(look.answers, look.planned) for look in found.looks] == [(16, 1)]
    assert found.unplanned == 1
    (exported,) = export_study(studies, name, tmp_path / "out", "test", ["plan.json"])
    read, (_, stored, planned) = Registration.read(exported), analysis_input(studies, name)
    assert read == replace(stored, registered_at="")
    assert read.intact
    assert read.in_force == planned
    assert planned.looks == (0.5,)


def test_a_planned_look_is_paid_for_though_an_amendment_takes_it_back(studies, engine, clock, tmp_path):
    path = write_plan(tmp_path, overlap=2, trials=16, images=8)
    bare = path.read_text()
    path.write_text(bare.replace("[analysis]", "[analysis]\ndraws = 100\nsecondary = []\nlooks = [0.5]"))
    name = create_study(studies, path, engine).name
    set_status(studies, name, "open", "test")
    while not look_is_due(studies, name):
        Taker(studies, name).start().finish()
    assert looks_at(studies, name).planned == 1
    clock.turn(5)
    path.write_text(bare.replace("[analysis]", "[analysis]\ndraws = 100\nsecondary = []"))
    assert amend_study(studies, path)
    set_status(studies, name, "closed", "test")
    material = report_material(studies, name, "cli")
    (taken,) = material.conduct.looks
    assert taken.spent == pytest.approx(part(AnalysisPlan(looks=(0.5,)), 1))
    assert confidence(material.plan, material.conduct) == pytest.approx(0.95 + taken.spent)


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

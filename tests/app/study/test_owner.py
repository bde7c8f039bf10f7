"""The owner's tools: progress, the page, exports that the analysis reads, versions of the plan."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from browsers import OwnerBrowser, RaterBrowser
from fastapi.testclient import TestClient
from PIL import Image
from plans import write_plan
from sqlalchemy import select
from takers import Taker

from app.database.models import CURRENT, Assignment, Rater
from app.failures import StudyError
from app.study import export
from app.study.creation import amend_study, create_study
from app.study.demand import Demand
from app.study.export import FILES, analysis_input, export_study, ratings_of
from app.study.overview import list_studies
from app.study.owner import set_status
from app.study.progress import progress_of
from app.study.service import Studies
from evaluation.study.flow import exclusion_flow
from evaluation.study.plan import AnalysisPlan
from evaluation.study.ratings import as_ratings, read_ratings

OWNER = "an owner's secret token"


def test_progress_counts_what_counts(studies, walked, clock):
    name, _ = walked
    clock.turn(11)
    found = progress_of(studies, name)
    assert found.states == {
        "invited": 0, "consented": 0, "taking part": 0, "dropped out": 1, "finished": 1, "declined": 0,
        "screened out": 0, "excluded": 1,
    }  # fmt: skip
    catches = sum(rater.catches for rater in found.raters if not rater.preview)
    assert found.failed_catches == (0, catches)
    counted = ratings_of(studies, name).query("not preview and not practice and not catch and excluded == ''")
    assert found.done == len(counted) == sum(found.histogram)
    assert found.target == 12 * 4 * 2 + 12
    assert not found.changed


def test_who_looks_at_progress_changes_nothing(studies, create, clock):
    name = create(overlap=1, trials=32, images=16)
    away = Taker(studies, name).start()
    away.answer()
    with studies.database.reading() as session:
        before = session.execute(select(Assignment.__table__)).all()
    clock.turn(11)
    found = progress_of(studies, name)
    assert (found.done, sum(cell.held for cell in found.cells)) == (1, 0)
    with studies.database.reading() as session:
        assert session.execute(select(Assignment.__table__)).all() == before
    assert away.answer()["stage"] == "trial", "what was on the screen is stored"


def test_answers_of_the_careless_who_left_do_not_count_though_their_places_are_not_free_yet(studies, create, clock):
    name = create(overlap=1, trials=32, catch=True)
    careless = Taker(studies, name).start()
    while careless.state["trial"] and not progress_of(studies, name).failed_catches[0]:
        careless.answer("5")
    done = progress_of(studies, name).done
    assert done == careless.state["progress"]["done"] - 1
    clock.turn(11)
    found = progress_of(studies, name)
    assert (found.done, sum(found.histogram)) == (0, 0)


def test_every_export_reads_back_as_the_same_table(studies, walked, tmp_path):
    name, who = walked
    files = {file.name: file for file in export_study(studies, name, tmp_path / "out", "test")}
    table = ratings_of(studies, name)
    for kind in ("csv", "jsonl", "parquet"):
        assert read_ratings(files[f"ratings.{kind}"]).equals(table), kind
    mine = table[table["rater"] == who["finished"].code]
    assert mine["practice"].sum() == 1
    assert mine["catch"].sum() == 1
    assert set(mine[mine["kind"] == "pair"][["left", "right"]].to_numpy().ravel()) == {"lfi", "baseline"}
    assert set(table[table["rater"] == who["excluded"].code]["excluded"]) == {"knew the hypothesis"}
    assert "| response_ms | integer |" in files["codebook.md"].read_text()
    plan = json.loads(files["plan.json"].read_text())
    assert plan["opened_hash"] == plan["versions"][0]["hash"]


def test_the_answer_that_was_given_last_counts_everywhere_however_the_clock_steps(studies, create, clock, tmp_path):
    name = create()
    taker = Taker(studies, name).start()
    for minutes in (-90, 5):
        trial = taker.state["trial"]["id"]
        taker.answer("2")
        clock.turn(minutes)
        taker.state = taker.session.look(trial)
        taker.answer("4")
    with studies.database.reading() as session:
        current = session.scalars(select(CURRENT.c.value).order_by(CURRENT.c.id)).all()
    files = {file.name: file for file in export_study(studies, name, tmp_path / "out", "test")}
    assert current == ["4", "4"]
    for kind in ("csv", "jsonl", "parquet"):
        table = read_ratings(files[f"ratings.{kind}"])
        assert table[["trial", "revision", "value"]].to_numpy().tolist() == [
            [0, 0, "2"], [0, 1, "4"], [1, 0, "2"], [1, 1, "4"],
        ]  # fmt: skip
        assert exclusion_flow(table, AnalysisPlan()).analysed["value"].tolist() == current, kind
    table, _, plan = analysis_input(studies, name)
    assert exclusion_flow(table, plan).analysed["value"].tolist() == current


def test_an_export_shows_one_moment(studies, create, tmp_path, monkeypatch):
    """Whatever is amended while it is written."""
    name = create()
    Taker(studies, name).start().answer()
    path = tmp_path / "plan" / "pilot.toml"
    path.write_text(path.read_text().replace("max_failed_catch = 0", "max_failed_catch = 0\nclaim = 1.5"))
    amended = []

    def as_amended(rows, source):
        amended.append(amend_study(studies, path))
        return as_ratings(rows, source)

    monkeypatch.setattr(export, "as_ratings", as_amended)
    export_study(studies, name, tmp_path / "out", "test")
    assert len(json.loads((tmp_path / "out" / "plan.json").read_text())["versions"]) == 1
    path.write_text(path.read_text().replace("claim = 1.5", "claim = 1.2"))
    assert analysis_input(studies, name)[2].claim == 1.5
    assert amended == [True, True]


def test_one_file_is_exported_alone(studies, walked, tmp_path):
    name, _ = walked
    for file in FILES:
        assert export_study(studies, name, tmp_path / file, "test", [file]) == [tmp_path / file / file]
        assert [path.name for path in (tmp_path / file).iterdir()] == [file]


def test_a_change_of_the_plan_is_kept_beside_the_plan_it_opened_with(studies, walked, tmp_path, create):
    name, _ = walked
    design = {
        "overlap": 2,
        "trials": 8,
        "pair_overlap": 1,
        "pair_trials": 2,
        "practice": True,
        "catch": True,
        "images": 12,
    }
    path = write_plan(tmp_path / "plan", **design)
    assert not amend_study(studies, path)
    path.write_text(path.read_text().replace("max_failed_catch = 0", "max_failed_catch = 0\nclaim = 1.5"))
    assert amend_study(studies, path)
    assert progress_of(studies, name).changed
    export_study(studies, name, tmp_path / "out", "test")
    versions = json.loads((tmp_path / "out" / "plan.json").read_text())["versions"]
    assert [version["plan"]["analysis"]["claim"] for version in versions] == [2.7, 1.5]
    assert versions[1]["answers_before"] > 0
    path.write_text(path.read_text().replace("overlap = 2", "overlap = 3"))
    with pytest.raises(StudyError, match="rating cannot change in a study that has opened"):
        amend_study(studies, path)


@pytest.mark.parametrize("users", [1, 2])
def test_a_language_that_raters_use_stays_and_one_that_nobody_chose_may_go(studies, create, tmp_path, users):
    name = create()
    path = tmp_path / "plan" / "pilot.toml"
    path.write_text(path.read_text().replace('languages = ["en", "de"]', 'languages = ["de"]'))
    invited, tried = Taker(studies, name), Taker(studies, name, preview=True).start()
    readers = [Taker(studies, name).start() for _ in range(users)]
    with pytest.raises(StudyError, match=f"languages cannot lose 'en' any more: {users} raters? uses? it"):
        amend_study(studies, path)
    assert readers[0].session.resume()["language"] == "en"
    for reader in readers:
        reader.session.speak("de")
    assert amend_study(studies, path)
    for taker in (invited, tried, *readers):
        assert (taker.session.resume()["title"], taker.session.resume()["language"]) == ("Karten und Wörter", "de")
    assert tried.session.look(tried.state["trial"]["id"])["language"] == "de"


def test_an_opened_study_is_not_made_anew(studies, create, engine, tmp_path):
    create()
    with pytest.raises(StudyError, match="is already open"):
        create_study(studies, tmp_path / "plan" / "pilot.toml", engine)


def test_a_draft_is_made_anew_and_leaves_no_file_behind(studies, create):
    create(open=False, images=8)
    create(open=False, images=4)
    assert len(list(studies.stimuli("pilot").iterdir())) == 4 + 4 * 4


def test_a_running_service_shows_the_draft_that_was_made_anew(studies, create, study_settings, clock):
    """SQLite gives a deleted plan's number to the next one: what a service remembers must not hang on that."""
    service = Studies(study_settings, clock)
    for scale in (5, 3):
        name = create(open=False, scale=scale)  # by the command line, beside the service
        who = Taker(service, name, preview=True).start()
        assert who.state["scale"] == scale
        assert who.session.picture(who.state["trial"]["id"], "left").is_file()
    service.close()


def test_the_list_of_studies_says_how_far_each_is(app, studies, create, clock):
    name = create(overlap=1, trials=32)
    Taker(studies, name).start().finish()
    clock.turn(5)
    set_status(studies, name, "closed", "test")
    create(open=False, name="draft")
    draft, closed = list_studies(studies)
    assert (draft.name, draft.status, draft.done, draft.target, draft.opened_at) == ("draft", "draft", 0, 64, None)
    assert (closed.name, closed.status, closed.done, closed.target, closed.raters) == ("pilot", "closed", 32, 32, 1)
    assert (closed.closed_at - closed.opened_at).total_seconds() == 300
    page = OwnerBrowser(app, OWNER).client.get("/admin").text
    assert "32 of 32" in page
    assert closed.opened_at.strftime("%Y-%m-%d") in page


def test_a_plan_says_what_it_asks_of_people(studies, create):
    asked = progress_of(studies, create(overlap=2, trials=8, pair_overlap=1, pair_trials=4, catch=True)).demand
    # 8 + 4 trials and a catch trial of 8 s, and a minute to read
    assert asked == Demand(items=8, images=8, ratings=64, pairs=8, raters=8, trials=12, minutes=3)


def test_a_draft_opens_with_the_plan_that_the_owner_saw_and_no_other(app, studies, create):
    name = create(open=False, scale=5)
    owner = OwnerBrowser(app, OWNER)
    page = owner.client.get(f"/admin/{name}").text
    seen = progress_of(studies, name).hash
    assert f'name="plan" value="{seen}"' in page
    create(open=False, scale=3)  # by somebody else, meanwhile
    refused = owner.act(f"{name}/status", status="open", plan=seen)
    assert refused.status_code == 422
    assert "look at it again" in refused.text
    found = progress_of(studies, name)
    assert found.status == "draft"
    assert owner.act(f"{name}/status", status="open", plan=found.hash).status_code == 200
    assert progress_of(studies, name).opened_hash == found.hash


def test_the_owner_sees_in_small_what_raters_see_in_a_cell(app, studies, create):
    name = create(pair_overlap=1)
    owner = OwnerBrowser(app, OWNER).client
    page = owner.get(f"/admin/{name}").text
    addresses = re.findall(r'src="\.\./(admin/pilot/maps/[^"]+)"', page)
    assert len(addresses) == 8 * 4  # the two maps of a pair are those of its ratings
    pictures = [owner.get(f"/{address}") for address in addresses[:4]]
    assert {picture.headers["content-type"] for picture in pictures} == {"image/webp"}
    assert len({picture.content for picture in pictures}) > 1
    assert Image.open(io.BytesIO(pictures[0].content)).size == (96, 72)
    for wrong in ("i001/nothing", "i999/lfi", "i001/bare", "practice01/lfi"):
        assert owner.get(f"/admin/{name}/maps/{wrong}").status_code == 404
    assert TestClient(app).get(f"/{addresses[0]}").status_code == 403


def test_the_owner_excludes_a_rater_in_their_row(app, studies, create):
    name = create()
    code = Taker(studies, name).start().code
    owner = OwnerBrowser(app, OWNER)
    row = owner.client.get(f"/admin/{name}/live").text.partition(f"<code>{code}</code>")[2].partition("</tr>")[0]
    assert f'action="/admin/{name}/exclude"' in row
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', row))
    assert fields["code"] == code
    assert owner.act(f"{name}/exclude", csrf=fields["csrf"], code=code, reason="their own wish").status_code == 200
    row = owner.client.get(f"/admin/{name}/live").text.partition(f"<code>{code}</code>")[2].partition("</tr>")[0]
    assert "their own wish" in row
    assert "<form" not in row


def test_whoever_waits_for_a_drawing_is_told_how_far_it_is(app, studies, engine, tmp_path):
    told = []
    create_study(studies, write_plan(tmp_path, images=4), engine, tell=lambda *step: told.append(step))
    assert told[0] == ("pictures", 0, 4)
    assert [step for step in told if step[0] == "maps"] == [("maps", number, 4) for number in range(5)]
    owner = OwnerBrowser(app, OWNER).client
    assert owner.get("/admin/pilot/drawing").json() is None
    with studies.drawings.of("pilot") as tell:
        tell("maps", 3, 4)
        assert owner.get("/admin/pilot/drawing").json() == {"step": "maps", "done": 3, "of": 4}
    assert owner.get("/admin/pilot/drawing").json() is None
    assert TestClient(app).get("/admin/pilot/drawing").status_code == 403


@pytest.mark.slow
def test_the_owner_runs_a_study_from_the_page(app, studies, create):
    name = create(open=False, overlap=1, trials=32)
    owner = OwnerBrowser(app, OWNER)
    assert owner.act(f"{name}/status", status="open").status_code == 200
    invited = owner.act(f"{name}/invite", count="2")
    assert invited.headers["content-type"].startswith("text/csv")
    links = [row["link"] for row in csv.DictReader(io.StringIO(invited.text))]
    assert f"/admin/{name}/export/" not in owner.client.get(f"/admin/{name}").text, "there is nothing to export yet"
    rater = RaterBrowser(app, links[0].rpartition("/")[2]).start().finish()
    assert rater.state["stage"] == "thanks"
    page = owner.client.get(f"/admin/{name}").text
    assert "32 of 32 answers" in page
    assert f"/admin/{name}/export/ratings.csv" in page
    assert owner.client.get(f"/admin/{name}/export/ratings.csv").text.count("\n") == 33
    with studies.database.reading() as session:
        code = session.scalars(select(Rater.code).where(Rater.status == "finished")).one()
    early = owner.client.get(f"/admin/{name}/report")
    assert early.status_code == 422
    assert "its report is made once it is closed" in early.text
    assert owner.act(f"{name}/status", status="closed").status_code == 200
    report = owner.client.get(f"/admin/{name}/report")
    assert report.status_code == 200
    assert "The analysis followed it without change." in report.text
    assert "default-src 'none'" in report.headers["content-security-policy"]
    assert report.headers["cache-control"] == "no-store"
    assert RaterBrowser(app, links[1].rpartition("/")[2]).client.get(f"/admin/{name}/report").status_code == 403
    refused = owner.act(f"{name}/exclude", code=code, reason=" ")
    assert refused.status_code == 422
    assert "a reason is needed" in refused.text
    assert owner.act(f"{name}/exclude", code=code, reason="<b>too fast</b>").status_code == 200
    page = owner.client.get(f"/admin/{name}/live").text
    assert "&lt;b&gt;too fast" in page
    assert "0 of 32 answers" in page
    assert owner.act(f"{name}/delete", code=code, sure="yes").status_code == 200
    assert code not in owner.client.get(f"/admin/{name}").text
    assert owner.act(f"{name}/preview").url.path == "/study/"
    set_status(studies, name, "closed", "test")
    assert "is closed" in owner.act(f"{name}/invite", count="1").text

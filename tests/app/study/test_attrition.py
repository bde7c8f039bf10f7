"""Who was invited, and what became of them; what a rule excluded is the rule's, what the owner did is the owner's."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from browsers import OwnerBrowser
from plans import write_plan
from takers import Taker

from app.study.attrition import HEADER, attrition_of
from app.study.creation import amend_study
from app.study.export import export_study, ratings_of
from app.study.owner import delete_person, exclude, set_status
from app.study.progress import progress_of
from app.study.raters import enter_from_prolific, invite
from app.study.report import report_material
from app.study.session import RaterSession
from evaluation.study.flow import Attrition, exclusion_flow
from evaluation.study.plan import AnalysisPlan
from evaluation.study.ratings import BY_OWNER, BY_RULE, COLUMNS, FAILED, TOO_FAST, as_ratings

DESIGN = {"overlap": 3, "trials": 4, "check": True, "catch": True}
OWNER = "an owner's secret token"
PID = "5f8c0123456789abcdef0123"


def begun(studies, name):
    taker = Taker(studies, name)
    taker.session.consent("en")
    taker.state = taker.session.begin([2, 1])
    return taker


def careless(studies, name):
    """Fails the catch trial: its right answers are 1 and 2."""
    taker = begun(studies, name)
    while taker.state["trial"]:
        taker.answer("4")
    return taker


@pytest.fixture
def walked(studies, create, clock):
    """One rater of every kind, by what became of them."""
    name = create(**DESIGN)
    who = {role: begun(studies, name) for role in ("finished", "left", "stopped", "gone")}
    who["finished"].finish()
    who["left"].answer()
    who["stopped"].answer()
    exclude(studies, name, who["stopped"].code, "failed 1 of 1 catch trials", "ada")
    delete_person(studies, name, who.pop("gone").code, "ada")
    who["careless"] = careless(studies, name)
    invite(studies, name, 2, "ada")
    Taker(studies, name).session.decline()
    screened = Taker(studies, name)
    screened.session.consent("de")
    for _ in range(2):
        screened.session.begin([1, 1])
    Taker(studies, name).session.consent("en")
    cookie = enter_from_prolific(studies, PID, "P1", "5e55104", parameters={"PROLIFIC_PID": PID, "panel": "panel-7"})
    RaterSession(studies, cookie).resume()
    Taker(studies, name, preview=True).start()
    delete_person(studies, name, Taker(studies, name, preview=True).start().code, "ada")
    clock.turn(11)
    who["here"] = begun(studies, name)
    return name, who


def test_everybody_who_was_invited_is_counted_once(studies, walked):
    name, _ = walked
    found = attrition_of(studies, name)
    assert found == Attrition(
        invited=11, consented=7, unanswered=3, declined=1, screened=1, not_begun=1, going_on=1, dropped_out=1,
        stopped=1, finished=2, deleted=1,
    )  # fmt: skip
    assert found.invited == sum(vars(found).values()) - found.invited - found.consented - found.deleted
    set_status(studies, name, "closed", "ada")
    closed = attrition_of(studies, name)
    assert closed == replace(found, going_on=0, dropped_out=2), "nobody takes part in a closed study"
    assert report_material(studies, name, "cli").attrition == closed


def test_the_exported_raters_are_codes_and_times_alone(studies, walked, tmp_path, clock):
    name, who = walked
    path = write_plan(tmp_path / "plan", **DESIGN)
    path.write_text(path.read_text().replace("max_failed_catch = 0", "max_failed_catch = 0\nclaim = 1.5"))
    clock.turn(1)
    assert amend_study(studies, path)
    late = begun(studies, name)
    (file,) = export_study(studies, name, tmp_path / "out", "test", ["raters.csv"])
    text = file.read_text()
    rows = {row["rater"]: row for row in csv.DictReader(io.StringIO(text))}
    assert tuple(next(iter(rows.values()))) == HEADER
    assert sorted(row["status"] for row in rows.values()) == sorted(
        ["finished", "dropped out", "excluded", "excluded", "invited", "invited", "invited", "declined",
         "screened out", "consented", "taking part", "taking part", "consented"]
    )  # fmt: skip
    assert [row["status"] for row in rows.values() if row["preview"] == "true"] == ["consented"]
    of = {role: rows[taker.code] for role, taker in who.items()}
    assert (of["stopped"]["excluded_by"], of["careless"]["excluded_by"]) == (BY_OWNER, BY_RULE)
    assert of["stopped"]["reason"] == of["careless"]["reason"] == "failed 1 of 1 catch trials"
    assert of["careless"]["finished_at"] == "2026-03-01T12:00:00+00:00"
    assert of["left"]["finished_at"] == ""
    assert [of[role]["answers"] for role in ("finished", "left", "here")] == ["5", "1", "0"]
    assert [row["plan_version"] for row in (of["finished"], rows[late.code])] == ["1", "2"]
    assert {row["plan_version"] for row in rows.values() if not row["consented_at"]} == {""}
    for personal in (PID, "5e55104", "panel-7", *(taker.token for taker in who.values())):
        assert personal not in text


def test_who_declined_and_whom_the_owner_excluded_are_told_apart_whatever_the_reason(app, studies, create):
    name = create(check=True)
    left, out, failed = Taker(studies, name), Taker(studies, name), Taker(studies, name)
    for taker in (left, out, failed):
        taker.session.consent("en")
    left.session.decline()
    exclude(studies, name, out.code, "did not consent", "ada")
    failed.session.begin([1, 1])
    failed.session.begin([1, 1])
    stands = {rater.code: rater.state for rater in progress_of(studies, name).raters}
    assert stands == {left.code: "declined", out.code: "excluded", failed.code: "screened out"}
    assert [taker.session.resume()["stage"] for taker in (left, out, failed)] == ["declined", "excluded", "screened"]
    assert (attrition_of(studies, name).declined, attrition_of(studies, name).stopped) == (1, 1)
    assert "<form" not in OwnerBrowser(app, OWNER).client.get(f"/admin/{name}/live").text.partition("raters-title")[2]


def test_what_a_rule_excluded_is_not_the_owners_doing(studies, walked, tmp_path):
    name, who = walked
    table = ratings_of(studies, name)
    by = dict(zip(table["rater"], table["excluded_by"], strict=True))
    assert [by[who[role].code] for role in ("careless", "stopped", "finished")] == [BY_RULE, BY_OWNER, ""]
    steps = {step.reason: step.raters for step in exclusion_flow(table, AnalysisPlan(max_failed_catch=0)).steps}
    assert steps["by the plan's rule: failed more than 0 catch trials"] == 1
    assert steps["excluded by the owner: failed 1 of 1 catch trials"] == 1, "whatever the owner calls it"
    lenient = {step.reason: step.raters for step in exclusion_flow(table, AnalysisPlan()).steps}
    assert lenient["by the plan's rule: failed more than 1 catch trial"] == 0
    assert lenient["by the plan's rule: failed too many catch trials, by the plan of that time"] == 1
    older = table[table["rater"] != who["stopped"].code].drop(columns="excluded_by")
    assert as_ratings(older).equals(table[table["rater"] != who["stopped"].code].reset_index(drop=True))


def test_answers_that_came_too_fast_are_the_rules_too(studies, create):
    name = create(overlap=1, trials=4, too_fast=0)
    Taker(studies, name).start().finish()  # the clock of the service stands still
    table = ratings_of(studies, name)
    (reason,) = set(table["excluded"])
    assert TOO_FAST.fullmatch(reason)
    assert not FAILED.fullmatch(reason)
    assert set(table["excluded_by"]) == {BY_RULE}
    flow = exclusion_flow(table, AnalysisPlan())
    steps = {step.reason: step.raters for step in flow.steps}
    assert steps["by the plan's rule: gave too many answers within 300 ms, by the service's clock"] == 1
    assert flow.analysed.empty


def test_the_codebook_names_the_new_column(studies, create, tmp_path):
    (file,) = export_study(studies, create(), tmp_path / "out", "test", ["codebook.md"])
    assert "| excluded_by | text |" in file.read_text()
    assert json.dumps([column.name for column in COLUMNS]).count("excluded_by") == 1

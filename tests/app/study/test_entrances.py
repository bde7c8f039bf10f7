"""Who gets into a study from outside, how often they may ask, and what is known of how fast they were."""

from __future__ import annotations

import json

import pytest
from browsers import ORIGIN, RaterBrowser
from commandline import lfi
from fastapi.testclient import TestClient
from plans import write_plan
from sqlalchemy import select
from takers import Taker

from app.database.models import Answer, Rater
from app.failures import StudyError
from app.main import create_app
from app.study.export import FILES, export_study
from app.study.owner import set_status
from app.study.plan import canonical, plan_of
from app.study.planfile import read_plan
from app.study.raters import admit, enter_from_prolific, invite, new_link
from app.study.session import RaterSession
from lfi.errors import ConfigError


def ids(pid: str, **more: str) -> dict[str, str]:
    return {"PROLIFIC_PID": pid, "STUDY_ID": "P1", "SESSION_ID": f"session-{pid}", **more}


@pytest.fixture
def enter(app):
    """`enter(PROLIFIC_PID=..., ...)`: the answer to somebody who comes from Prolific."""

    def enter(**parameters: str):
        client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
        return client.get("/study", params=parameters, follow_redirects=False)

    return enter


def raters(studies) -> list[Rater]:
    with studies.database.reading() as session:
        return list(session.scalars(select(Rater).order_by(Rater.id)))


def test_a_signed_link_lets_in_who_has_it_and_nobody_who_makes_up_ids(studies, create, enter):
    name = create(entry="signed")
    assert enter(**ids("a")).status_code == 404  # before there is a link
    first = new_link(studies, name, "test")
    for wrong in ({}, {"entry": ""}, {"entry": "x"}, {"entry": first[:-1]}, {"entry": "None"}):
        refused = enter(**ids("a"), **wrong)
        assert (refused.status_code, "set-cookie" in refused.headers) == (404, False)
    assert raters(studies) == []
    assert enter(**ids("a"), entry=first).status_code == 303
    second = new_link(studies, name, "test")
    assert enter(**ids("b"), entry=first).status_code == 404
    assert enter(**ids("a"), entry=second).status_code == 303  # the same person, by the newer link
    assert [each.prolific_pid for each in raters(studies)] == ["a"]


def test_a_list_lets_in_who_is_on_it_and_the_first_session_stays(studies, create, enter):
    name = create(entry="listed")
    assert admit(studies, name, ["a", "b", "a"], "test") == 2
    assert admit(studies, name, ["b", "c"], "test") == 1
    assert [enter(**ids(pid)).status_code for pid in ("a", "z", "b")] == [303, 404, 303]
    assert enter(**ids("a") | {"SESSION_ID": "other"}).status_code == 404
    assert [(each.prolific_pid, each.prolific_session) for each in raters(studies)] == [
        ("a", "session-a"), ("b", "session-b"), ("c", None),
    ]  # fmt: skip
    with pytest.raises(StudyError, match="is not a Prolific id"):
        admit(studies, name, ["d", "' OR 1=1 --"], "test")
    assert len(raters(studies)) == 3
    with pytest.raises(StudyError, match="in its plan is not 'signed'"):
        new_link(studies, name, "test")


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('prolific_study = "P1"', "", "rules.prolific_study is missing"),
        ('entry = "open"', "", "rules.entry is missing"),
        ('entry = "open"', 'entry = "anybody"', "rules.entry is 'anybody'; one of signed, listed, open was expected"),
    ],
)
def test_a_new_plan_says_who_may_enter(tmp_path, was, becomes, said):
    path = write_plan(tmp_path)
    path.write_text(path.read_text().replace(was, becomes))
    with pytest.raises(ConfigError, match=said):
        read_plan(path)


def test_a_plan_from_before_keeps_its_hash(tmp_path):
    content = json.loads(canonical(read_plan(write_plan(tmp_path, entry="listed"))))
    assert content["rules"].pop("entry") == "listed"
    assert "max_too_fast" not in content["rules"]
    assert json.loads(canonical(plan_of(content))) == content


def test_what_an_address_says_of_a_rater_is_kept_from_the_first_time(app, studies, create, enter, tmp_path):
    name = create(entry="signed")
    token = new_link(studies, name, "test")
    many = {f"p{number}": "x" * 300 for number in range(100)}
    enter(**ids("a"), entry=token, source="café \u2028", longitude="13.4")
    enter(**ids("a"), entry=token, source="another")
    enter(**ids("b"), entry=token, **many)
    invited = invite(studies, name, 1, "test")[0]
    TestClient(app, base_url=ORIGIN).get(f"/s/{invited.token}", params={"batch": "7"}, follow_redirects=False)
    codes = {each.prolific_pid: each.code for each in raters(studies)}
    file = export_study(studies, name, tmp_path, "test", ["participants.json"])[0]
    found = json.loads(file.read_text())
    assert found[codes["a"]] == {**ids("a"), "source": "café \u2028", "longitude": "13.4"}
    assert found[invited.code] == {"batch": "7"}
    assert len(found[codes["b"]]) == 30
    assert max(map(len, found[codes["b"]].values())) == 256
    assert token not in file.read_text()


def test_ids_and_invitations_are_for_their_owner_and_ids_are_exported_when_asked(
    studies, study_settings, create, enter, tmp_path, monkeypatch
):
    name = create(entry="signed")
    enter(**ids("a"), entry=new_link(studies, name, "test"))
    Taker(studies, name).start().answer("2")
    monkeypatch.setenv("LFI_STUDY_FOLDER", str(study_settings.study_folder))
    monkeypatch.setenv("LFI_DATABASE_URL", study_settings.database_url)
    file, invitations = tmp_path / "out" / "participants.json", tmp_path / "invitations.csv"
    assert lfi("study", "invite", name, 1, "--out", invitations) == 0
    assert lfi("study", "export", name, "--out", file.parent) == 0
    assert {path.name for path in file.parent.iterdir()} == {*FILES} - {file.name}
    assert "session-a" not in "".join(path.read_text(errors="replace") for path in file.parent.iterdir())

    file.touch(0o644)  # as earlier versions wrote it
    assert lfi("study", "export", name, "--out", file.parent, "--participants") == 0
    assert "session-a" in file.read_text()
    assert [oct(path.stat().st_mode & 0o777) for path in (file, invitations)] == ["0o600", "0o600"]


@pytest.mark.parametrize("mistaken", [("nosuch", 3), ("pilot", 0), ("pilot", 10_001)])
def test_invitations_that_cannot_be_made_leave_no_file_in_the_way(
    studies, study_settings, create, tmp_path, monkeypatch, mistaken
):
    create()
    monkeypatch.setenv("LFI_STUDY_FOLDER", str(study_settings.study_folder))
    monkeypatch.setenv("LFI_DATABASE_URL", study_settings.database_url)
    assert lfi("study", "invite", *mistaken, "--out", tmp_path / "invitations.csv") == 2
    assert lfi("study", "invite", "pilot", 3, "--out", tmp_path / "invitations.csv") == 0


@pytest.fixture
def timed(create):
    """A study that excludes who answers more than twice faster than 300 ms by the service's clock."""
    return create(overlap=2, trials=8, practice=True, too_fast=2)


def test_a_script_that_invents_its_times_is_not_counted_and_its_places_are_given_again(studies, timed, clock):
    script = Taker(studies, timed).start().finish()  # 1,500 ms each, it says, and the clock stands still
    slow = Taker(studies, timed).start()
    while slow.state["trial"]:
        clock.turn(2 / 60)
        slow.answer()
    found = {each.code: (each.status, each.excluded_reason) for each in raters(studies)}
    reason = "answered 8 of 8 trials within 300 ms of being shown them"
    assert found[script.code] == ("excluded", reason)
    assert found[slow.code] == ("finished", "")
    with studies.database.reading() as session:
        times = session.execute(select(Answer.rater_id, Answer.response_ms, Answer.server_ms)).all()
    assert {row.response_ms for row in times} == {1500}
    assert sorted({row.server_ms for row in times}) == [0, 2000]


def test_the_service_s_times_stand_beside_the_browser_s(studies, create, clock, tmp_path):
    taker = Taker(studies, create()).start()
    first = taker.state["trial"]["id"]
    clock.turn(0.05)
    taker.answer()
    taker.state = RaterSession.look(taker.session, first)
    clock.turn(1)
    taker.answer()
    clock.turn(-30)  # the clock is set back: nothing is known
    taker.answer()
    clock.turn(60 * 24 * 40)
    file = export_study(studies, "pilot", tmp_path, "test", ["times.csv"])[0]
    lines = file.read_text().splitlines()
    assert lines[0] == "rater,trial,revision,response_ms,server_ms"
    assert [line.partition(",")[2] for line in lines[1:]] == ["0,0,1500,3000", "0,1,1500,", "1,0,1500,"]


def test_the_instructions_are_asked_about_twice_and_then_it_is_over(studies, create):
    name = create(check=True)
    quick, slow, never = (Taker(studies, name) for _ in range(3))
    for taker in (quick, slow, never):
        state = taker.session.consent("de")
        assert [each["question"] for each in state["check"]["questions"]] == [
            "Was beurteilen Sie?", "Wird Ihr Name gespeichert?",
        ]  # fmt: skip
        assert (state["check"]["again"], "right" in str(state["check"])) == (False, False)
    assert quick.session.begin([2, 1])["stage"] == "trial"
    again = slow.session.begin([2, 1, 1])
    assert (again["stage"], again["check"]["again"]) == ("instructions", True)
    assert slow.session.begin([2, 1])["stage"] == "trial"
    told = never.session.begin([1, 2], 0)["check"]
    assert (told["again"], told["attempt"]) == (True, 1)
    assert never.session.begin([1, 2], 0)["check"] == told  # the same request once more: a double click, a lost answer
    for attempt in (0, 2, -1):  # nobody guesses on with a number that is not theirs
        assert never.session.begin([2, 1], attempt)["check"] == told
    over = never.session.begin([2, 2], 1)
    assert (over["stage"], over["completion"]["code"]) == ("screened", "0UT")
    assert over["completion"]["redirect"].endswith("cc=0UT")
    assert never.session.begin([2, 1])["stage"] == "screened"
    assert {each.status: each.excluded_reason for each in raters(studies)} == {
        "active": "", "excluded": "did not understand the instructions",
    }  # fmt: skip


def test_whoever_declines_gets_a_code_of_their_own_and_answers_nothing(studies, create):
    taker = Taker(studies, create())
    declined = taker.session.decline()
    assert (declined["stage"], declined["completion"]) == ("declined", {"code": "N0", "redirect": ""})
    assert declined["code"] == ""
    assert [taker.session.consent("en")["stage"], taker.session.begin()["stage"]] == ["declined", "declined"]
    active = Taker(studies, "pilot").start()
    assert active.session.decline()["stage"] == "trial"


def test_whoever_consented_and_comes_too_late_gets_a_code_and_whoever_only_looked_gets_none(studies, create):
    name = create(overlap=1, trials=32)
    late, active = Taker(studies, name), Taker(studies, name)
    consented = late.session.consent("en")
    active.start()
    full = late.session.begin()
    assert (full["stage"], full["completion"]["code"]) == ("full", "FU11")
    looked = Taker(studies, name)
    assert (looked.state["stage"], looked.state["completion"]) == ("full", None)
    set_status(studies, name, "closed", "test")
    assert [each.session.resume()["completion"] for each in (late, active)] == [{"code": "FU11", "redirect": ""}] * 2
    assert looked.session.resume()["completion"] is None
    codes = {each.id: each.code for each in raters(studies)}
    assert (consented["code"], full["code"]) == (codes[1], codes[1])  # to quote it when answers should be deleted


def test_of_those_who_decline_no_parameters_are_kept(studies, create):
    create()
    for pid in ("5f00000000000000000000aa", "5f00000000000000000000ab"):
        secret = enter_from_prolific(studies, pid, "P1", "s1", parameters={"where": "a forum"})
    assert {each.parameters for each in raters(studies)} == {'{"where": "a forum"}'}
    RaterSession(studies, secret).decline()
    assert [each.parameters for each in raters(studies)] == ['{"where": "a forum"}', "{}"]
    enter_from_prolific(studies, "5f00000000000000000000ab", "P1", "s1", parameters={"where": "a forum"})
    assert raters(studies)[1].parameters == "{}"


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("right = 2", "right = 3", "one of them right"),
        ('["das Bild", "die Hervorhebung"]', '["das Bild"]', "the same number of answers per language"),
        (', de = "Was beurteilen Sie?"', "", "a check needs a question"),
        ('screened_out_redirect = "https:', 'screened_out_redirect = "javascript:', "completion.screened_out_redirect"),
    ],
)
def test_a_check_that_nobody_could_pass_is_refused(tmp_path, was, becomes, said):
    path = write_plan(tmp_path, check=True)
    path.write_text(path.read_text().replace(was, becomes))
    with pytest.raises(ConfigError, match=said):
        read_plan(path)


@pytest.fixture(scope="module")
def limited(services):
    """A service on this machine alone, with small limits."""
    limits = {"study_rate": "8/minute", "study_browser_rate": "4/minute"}
    return create_app(services("plain").state.settings.model_copy(update=limits))


def test_one_address_and_one_browser_may_ask_so_often(limited):
    client = TestClient(limited, base_url=ORIGIN, raise_server_exceptions=False)
    cookies = [{"lfi_rater": each * 32} for each in "AB"]
    asked = []
    for cookie in (*[cookies[0]] * 5, cookies[1], *[{}] * 3):
        client.cookies = cookie
        asked.append(client.get("/study"))
    assert [answer.status_code for answer in asked] == [200] * 4 + [429] + [200] * 3 + [429]
    assert int(asked[-1].headers["retry-after"]) > 0
    assert client.post("/study/api/session").status_code == client.get("/s/x").status_code == 429
    assert client.get("/healthz").status_code == client.get("/static/css/study.css").status_code == 200
    assert RaterBrowser(limited, "x").entered.status_code == 429

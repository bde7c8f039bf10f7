"""What is tried against a study over HTTP: each is refused, and nothing is stored."""

from __future__ import annotations

import json
import re

import pytest
from browsers import ORIGIN, OwnerBrowser, RaterBrowser
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import func, select
from starlette.routing import Mount

from app.database.models import Answer, Assignment, Audit, Login, Rater, Stimulus, Study
from app.study.raters import invite
from app.study.service import Studies

OWNER = "an owner's secret token"


@pytest.fixture(params=["gradio", "plain"])
def shell(request: pytest.FixtureRequest) -> str:
    """All of this holds in both."""
    return request.param


@pytest.fixture
def raters(app, studies, create) -> tuple[RaterBrowser, RaterBrowser]:
    """Two raters at their first trial of a study."""
    name = create(overlap=2, trials=8, pair_overlap=1, catch=True)
    one, other = (RaterBrowser(app, each.token).start() for each in invite(studies, name, 2, "test"))
    assert one.state["trial"]
    return one, other


def rows(studies: Studies) -> dict[str, int]:
    """How much is stored of everything a rater or an owner could change."""
    with studies.database.reading() as session:
        counted = {
            table.__tablename__: session.scalars(select(func.count()).select_from(table)).one()
            for table in (Answer, Assignment, Audit, Login, Rater, Stimulus, Study)
        }
        return counted | {"status": session.scalars(select(Study.status)).one()}


def test_another_rater_s_trial_and_pictures_are_not_there(studies, raters):
    one, other = raters
    before = rows(studies)
    refused = one.post("answer", one.given(trial=other.state["trial"]["id"]))
    assert (refused.status_code, rows(studies)) == (404, before)
    for address in other.state["trial"]["pictures"].values():
        if address:
            assert other.client.get(f"/{address}").status_code == 200
            assert one.client.get(f"/{address}").status_code == 404


def test_another_rater_s_page_token_is_refused(studies, raters):
    one, other = raters
    before = rows(studies)
    assert one.post("answer", one.given(), **{"X-CSRF-Token": other.csrf}).status_code == 403
    assert one.post("answer", other.given(), **{"X-CSRF-Token": other.csrf}).status_code == 403
    assert rows(studies) == before


def test_guessed_tokens_and_cookies_open_nothing(app, studies, raters):
    before = rows(studies)
    stranger = RaterBrowser(app, "A" * 32)
    assert stranger.entered.status_code == 404
    assert "set-cookie" not in stranger.entered.headers
    assert "needs an invitation" in stranger.entered.text
    for cookie in ("", "A" * 32, "' OR 1=1 --", "../../etc"):
        stranger.client.cookies.set("lfi_rater", cookie)
        assert stranger.post("session").status_code == 403
        assert stranger.post("answer", raters[0].given()).status_code == 403
    assert rows(studies) == before


def test_prolific_s_ids_sign_in_once_and_leave_the_address(app, studies, create):
    create()
    client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
    ids = {"PROLIFIC_PID": "5f00000000000000000000aa", "STUDY_ID": "P1", "SESSION_ID": "s1"}
    entered = client.get("/study", params=ids, follow_redirects=False)
    assert (entered.status_code, entered.headers["location"]) == (303, "study")
    assert "httponly" in entered.headers["set-cookie"].lower()
    assert client.post("/study/api/session", json={}, headers={"Origin": ORIGIN}).json()["stage"] == "consent"
    before = rows(studies)
    for change in ({"SESSION_ID": "s2"}, {"STUDY_ID": "P2"}, {"PROLIFIC_PID": "' OR 1=1 --"}, {"SESSION_ID": ""}):
        refused = client.get("/study", params=ids | change, follow_redirects=False)
        assert refused.status_code == 404
        assert "set-cookie" not in refused.headers
    assert rows(studies) == before
    assert before["rater"] == 1


def test_a_replayed_answer_is_acknowledged_and_stored_once(studies, raters):
    one, _ = raters
    given = one.given("4")
    assert [one.post("answer", given).status_code for _ in range(3)] == [200, 200, 200]
    assert rows(studies)["answer"] == 1
    assert one.post("answer", given | {"value": "1"}).status_code == 422
    assert one.post("answer", given | {"key": "another-key-123"}).status_code == 409
    assert rows(studies)["answer"] == 1


FORGED = {
    "a value off the scale": {"value": "9"},
    "a value of another kind": {"value": "left"},
    "a number as value": {"value": 3},
    "a negative time": {"response_ms": -5},
    "a time of a week": {"response_ms": 604_800_000},
    "a time that is not a number": {"response_ms": "1e3"},
    "a revision ahead": {"revision": 3},
    "no key": {"key": ""},
    "an endless key": {"key": "k" * 10_000},
    "an extra field": {"rater_id": 1},
    "a long comment": {"comment": "x" * 2001},
    "a list for a comment": {"comment": ["x"]},
    "no trial": {"trial": None},
}


def test_a_forged_answer_is_refused(studies, raters):
    one, _ = raters
    before = rows(studies)
    for name, change in FORGED.items():
        refused = one.post("answer", one.given() | change)
        assert refused.status_code in (409, 422), name
        assert refused.headers["content-type"] == "application/problem+json"
    assert rows(studies) == before


def test_a_comment_of_ten_megabytes_is_refused_unread(studies, raters):
    one, _ = raters
    before = rows(studies)
    assert one.post("answer", one.given(comment="x" * 10_000_000)).status_code == 413

    parts = (b"x" * 4096 for _ in range(100))
    headers = {"Origin": ORIGIN, "X-CSRF-Token": one.csrf, "Content-Type": "application/json"}
    chunked = one.client.post("/study/api/answer", content=parts, headers=headers)  # says no length
    assert chunked.status_code == 413
    assert rows(studies) == before


def test_sql_and_markup_in_a_comment_are_words(studies, raters):
    one, _ = raters
    comment = "'); DROP TABLE answer; -- <script>alert(1)</script> \u202e"
    assert one.post("answer", one.given(comment=comment)).status_code == 200
    with studies.database.reading() as session:
        assert session.scalars(select(Answer.comment)).all() == [comment]


ELSEWHERE = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://testserver.evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"X-CSRF-Token": ""},
    {"X-CSRF-Token": "0" * 64},
)


def test_another_site_s_post_is_refused(studies, raters):
    one, _ = raters
    before = rows(studies)
    for headers in ELSEWHERE:
        for name in ("answer", "consent", "begin", "language"):
            assert one.post(name, one.given(), **headers).status_code == 403, headers
    assert rows(studies) == before


def test_a_form_cannot_pose_as_json(studies, raters):
    one, _ = raters
    before = rows(studies)
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        headers = {"Origin": ORIGIN, "X-CSRF-Token": one.csrf, "Content-Type": kind}
        assert one.client.post("/study/api/answer", content=b'{"value": "3"}', headers=headers).status_code == 422
    assert rows(studies) == before


def test_no_path_leads_to_the_files(app, studies, raters):
    one, _ = raters
    with studies.database.reading() as session:
        name, file = session.scalars(select(Study.name)).one(), session.scalars(select(Stimulus.file)).first()
    trial = one.state["trial"]["id"]
    tried = [
        f"/static/{name}/{file}",
        f"/static/../study/{name}/{file}",
        f"/static/css/..%2f..%2f..%2fstudy%2f{name}%2f{file}",
        f"/study/pictures/{file}/left",
        f"/study/pictures/{trial}/..%2f..%2f{file}",
        f"/study/pictures/{trial}/teacher",
        f"/study/pictures/{trial}/right",  # a rating has one map
        f"/study/pictures/..%2f{name}/{file}",
        f"/study/pictures/%2e%2e/{file}",
        f"/study/{name}/{file}",
        f"/{name}/{file}",
        "/study/study.db",
        "/data/study/study.db",
    ]
    assert {path: one.client.get(path).status_code for path in tried} == dict.fromkeys(tried, 404)
    stranger = TestClient(app)
    assert stranger.get(f"/study/pictures/{trial}/left").status_code == 403


def test_the_inspector_s_page_serves_no_file_of_a_study(studies, raters, tmp_path, monkeypatch):
    """Gradio's own routes read files for anyone who names them, as far as they are allowed."""
    one, _ = raters
    with studies.database.reading() as session:
        picture = studies.stimuli("pilot") / session.scalars(select(Stimulus.file)).first()
    database = studies.settings.study_folder / "study.db"
    database.touch()
    monkeypatch.chdir(tmp_path)  # as where the service is started: its folder of studies lies below
    before = rows(studies)
    for file in (picture, database):
        for name in (file, file.relative_to(tmp_path), f"../{tmp_path.name}/{file.relative_to(tmp_path)}"):
            for route in ("file=", "file/", "proxy=", "custom_component/"):
                assert one.client.get(f"/ui/gradio_api/{route}{name}").status_code in (400, 403, 404, 405), name
        upload = {"path": str(file), "meta": {"_type": "gradio.FileData"}}
        for name in ("predict", "compare", "look", "upload"):
            for route in ("run", "call", "api"):
                answer = one.client.post(f"/ui/gradio_api/{route}/{name}", json={"data": [upload]})
                assert answer.status_code >= 400, (route, name)
    assert rows(studies) == before


def test_of_gradio_s_routes_those_of_the_page_answer_and_no_other(app, shell, studies, raters):
    one, _ = raters
    before = rows(studies)
    answer = one.client.get("/study")
    policy = answer.headers["content-security-policy"]
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert ("'unsafe-inline'" in policy) == (shell == "gradio")
    mounted = any(isinstance(route, Mount) and route.path == "/study" for route in app.router.routes)
    assert mounted == (shell == "gradio")
    for name in ("config", "login", "logout", "queue/join", "queue/data", "upload", "info", "file=study.db", "reset"):
        for path in (f"/study/{name}", f"/study/gradio_api/{name}"):
            for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
                refused = one.client.request(method, path, headers={"Origin": ORIGIN})
                assert refused.status_code in (404, 405), (method, path)
                assert refused.headers["content-type"] == "application/problem+json", (method, path)
    assert one.client.post("/study/", json={}).status_code in (404, 405)
    assert rows(studies) == before


def test_the_page_s_own_handlers_take_nothing_more_than_the_page_sends(studies, raters):
    one, _ = raters
    before = rows(studies)
    for name in ("answers", "exclude", "state", "export", "../admin", "session/1"):
        assert one.post(name).status_code in (404, 405)
    for name in ("session", "answer", "consent"):
        assert one.client.get(f"/study/api/{name}").status_code == 405
    assert one.post("look", {"trial": "x"}).status_code == 404
    assert one.post("look", {"trial": {"$ne": ""}}).status_code == 422
    assert one.post("language", {"language": "../en"}).status_code == 422
    assert rows(studies) == before


ADMIN_READS = ("/admin/pilot", "/admin/pilot/live", "/admin/pilot/export/ratings.csv", "/admin/pilot/export/plan.json")
ADMIN_ACTS = ("status", "exclude", "delete", "invite", "preview")


def test_admin_without_the_token_shows_and_does_nothing(app, studies, raters):
    one, _ = raters
    before = rows(studies)
    for cookie in ("", "9999999999.", "9999999999." + "0" * 64, one.client.cookies["lfi_rater"]):
        one.client.cookies.set("lfi_owner", cookie, path="/admin")
        for path in ADMIN_READS:
            refused = one.client.get(path)
            assert refused.status_code == 403
            assert "teacher" not in refused.text
        for act in ADMIN_ACTS:
            data = {"status": "closed", "code": "r", "reason": "x", "sure": "yes", "count": "3"}
            refused = one.client.post(f"/admin/pilot/{act}", data=data, headers={"Origin": ORIGIN})
            assert refused.status_code == 403
    assert OwnerBrowser(app, "a guess at the token").entered.status_code == 403
    assert rows(studies) == before


def test_numbers_that_nobody_would_count_to_are_refused(app, studies, raters):
    """Python refuses to read more than 4,300 digits, which must not look like a fault of ours."""
    before = rows(studies)
    digits = "9" * 5000
    stranger = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
    for cookie in (digits, f"{digits}.", f"owner.{digits}.x.{'0' * 64}", f"{digits}.{'0' * 64}"):
        for name in ("lfi_owner", "lfi_rater", "lfi_key"):
            stranger.cookies.set(name, cookie)
        assert stranger.get("/admin/pilot").status_code == 403
        assert stranger.post("/study/api/session", json={}, headers={"Origin": ORIGIN}).status_code == 403
    owner = OwnerBrowser(app, OWNER)
    for count in (digits, "٣" * 20, "-1", "1e3", "²", ""):
        assert owner.act("pilot/invite", count=count).status_code == 422, count[:9]
    for length in (digits, "²".encode(), b"+1", "٣".encode()):
        headers = {"Origin": ORIGIN, "Content-Type": "application/json", "Content-Length": length}
        assert stranger.post("/study/api/session", content=b"{}", headers=headers).status_code == 413
    one, _ = raters
    for name in ("revision", "response_ms"):
        given = one.given() | {name: "N"}
        text = json.dumps(given).replace('"N"', "9" * 5000)
        headers = {"Origin": ORIGIN, "X-CSRF-Token": one.csrf, "Content-Type": "application/json"}
        assert one.client.post("/study/api/answer", content=text, headers=headers).status_code == 422
    assert rows(studies) == before


def test_signing_out_ends_the_owner_s_cookie_wherever_a_copy_of_it_is(app, studies, raters):
    owner, copy = OwnerBrowser(app, OWNER), OwnerBrowser(app, "a guess at the token")
    copy.client.cookies.set("lfi_owner", owner.client.cookies["lfi_owner"], path="/admin")
    assert copy.client.get("/admin/pilot").status_code == 200
    page = owner.client.get("/admin").text
    csrf = re.search(r'name="csrf" value="(\w+)"', page)[1]
    owner.client.post("/admin/logout", data={"csrf": csrf}, headers={"Origin": ORIGIN})
    assert copy.client.get("/admin/pilot").status_code == 403
    assert OwnerBrowser(app, OWNER).client.get("/admin/pilot").status_code == 200


@pytest.mark.parametrize(
    ("address", "host", "link"),
    [
        ("https://lab.example/lfi", "evil.example", "https://lab.example/lfi/s/"),
        ("", "evil.example", None),
        ("", "127.0.0.1:7860", "http://127.0.0.1:7860/s/"),
        ("", "localhost", "http://localhost/s/"),
    ],
)
def test_invitations_lead_where_the_operator_says_and_not_where_the_request_does(
    app, studies, raters, address, host, link
):
    before = rows(studies)
    studies.settings = studies.settings.model_copy(update={"address": address})
    owner = OwnerBrowser(app, OWNER)
    csrf = re.search(r'name="csrf" value="(\w+)"', owner.client.get("/admin").text)[1]
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    answer = owner.client.post("/admin/pilot/invite", data={"csrf": csrf, "count": "1"}, headers=headers)
    if link is None:
        assert (answer.status_code, "set LFI_ADDRESS" in answer.text) == (422, True)
        assert rows(studies) == before
    else:
        assert answer.text.splitlines()[1].partition(",")[2].startswith(link)


def test_another_site_cannot_use_the_owner_s_session(app, studies, raters):
    owner = OwnerBrowser(app, OWNER)
    assert owner.entered.status_code == 200
    before = rows(studies)
    for origin, csrf in (("https://evil.example", None), (ORIGIN, ""), (ORIGIN, "0" * 64)):
        assert owner.act("pilot/status", origin, csrf, status="closed").status_code == 403
    assert rows(studies) == before
    assert owner.act("pilot/status", status="paused").status_code == 200
    assert rows(studies)["status"] == "paused"


@pytest.fixture
def without_token(app):
    """The application as it is where nobody has set LFI_ADMIN_TOKEN."""
    before = app.state.settings
    app.state.settings = before.model_copy(update={"admin_token": SecretStr("")})
    yield app
    app.state.settings = before


def test_without_an_admin_token_there_is_no_admin(without_token, create):
    create()
    client = TestClient(without_token, raise_server_exceptions=False)
    for path in ("/admin", *ADMIN_READS):
        refused = client.get(path)
        assert (refused.status_code, refused.json()["detail"]) == (404, "this page is not available here")
    assert client.post("/admin/login", data={"token": ""}, headers={"Origin": ORIGIN}).status_code == 404


def test_the_owner_s_session_ends_after_half_a_day(app, clock, raters):
    owner = OwnerBrowser(app, OWNER)
    assert owner.client.get("/admin/pilot").status_code == 200
    clock.turn(12 * 60 + 1)
    assert owner.client.get("/admin/pilot").status_code == 403

"""A database that is gone, locked, full or read-only: nothing is lost, and everybody is told to come back."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from browsers import ORIGIN, OwnerBrowser, RaterBrowser
from fastapi.testclient import TestClient
from running import running
from sqlalchemy import event, make_url, select

from app.database.models import Answer
from app.failures import StorageError
from app.study.owner import set_status
from app.study.raters import invite
from app.study.service import Studies

OWNER = "an owner's secret token"
SECRETS = ("study.db", "sqlite", "postgresql", "hunter2", "10.9.8.7", "127.0.0.1", "Traceback", "SELECT", "INSERT")

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def studies(study_settings, clock) -> Iterator[Studies]:
    """As a running service has them: impatient."""
    studies = Studies(study_settings, clock, patience=0.4)
    yield studies
    studies.close()


@pytest.fixture
def rater(app, studies, create) -> RaterBrowser:
    return RaterBrowser(app, invite(studies, create(), 1, "test")[0].token).start()


def stored(studies: Studies) -> list[str]:
    with studies.database.reading() as session:
        return list(session.scalars(select(Answer.key)))


def assert_told_to_come_back(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    body = answer.json()
    assert (body["type"], "refused" in body) == ("urn:problem-type:lfi:storage", False)
    said = f"{answer.text} {answer.headers}"
    assert [secret for secret in SECRETS if secret in said] == []


@contextmanager
def moved_away(file: Path) -> Iterator[None]:
    """The file and its log are elsewhere, as where a volume is not mounted."""
    files = list(file.parent.glob(f"{file.name}*"))
    elsewhere = file.parent / "elsewhere"
    elsewhere.mkdir()
    for each in files:
        each.rename(elsewhere / each.name)
    yield
    assert not file.exists(), "nobody may make an empty one in its place"
    for each in files:
        each.unlink(missing_ok=True)
        (elsewhere / each.name).rename(each)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def refusing_connections(url: str) -> Iterator[None]:
    """The server is up, and lets nobody into this database; who was in is thrown out."""
    name = make_url(url).database
    server = str(make_url(url).set(drivername="postgresql", database="postgres"))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        yield
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@contextmanager
def with_pragma(studies: Studies, pragma: str) -> Iterator[None]:
    """All connections to the SQLite database begin with this."""
    engine = studies.database.engine

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA {pragma}")

    engine.dispose()
    event.listen(engine, "connect", prepare)
    yield
    event.remove(engine, "connect", prepare)
    engine.dispose()


def everything(rater: RaterBrowser, owner: OwnerBrowser, token: str) -> dict[str, Callable[[], httpx.Response]]:
    """A request of every kind that needs the database."""
    trial = rater.state["trial"]["id"]
    ids = {"PROLIFIC_PID": "5f00000000000000000000aa", "STUDY_ID": "P1", "SESSION_ID": "s1"}
    return {
        "session": lambda: rater.post("session"),
        "consent": lambda: rater.post("consent", {"language": "en"}),
        "begin": lambda: rater.post("begin"),
        "language": lambda: rater.post("language", {"language": "de"}),
        "look": lambda: rater.post("look", {"trial": trial}),
        "answer": lambda: rater.post("answer", rater.given()),
        "picture": lambda: rater.client.get(f"/study/pictures/{trial}/other-side"),
        "invitation": lambda: rater.client.get(f"/s/{token}"),
        "prolific": lambda: rater.client.get("/study", params=ids),
        "owner": lambda: owner.client.get("/admin/pilot"),
        "live": lambda: owner.client.get("/admin/pilot/live"),
        "export": lambda: owner.client.get("/admin/pilot/export/ratings.csv"),
        "report": lambda: owner.client.get("/admin/pilot/report"),
    }


OWNER_S = ("owner", "live", "export", "report")


def gone(studies: Studies) -> object:
    file = studies.database.file
    return moved_away(file) if file else refusing_connections(studies.settings.database_url)


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_a_database_that_is_gone_is_503_everywhere_and_the_answer_is_stored_once_it_is_back(
    app, studies, create, restarted
):
    token = invite(studies, create(), 1, "test")[0].token
    rater, owner = RaterBrowser(app, token).start(), OwnerBrowser(app, OWNER)
    given = rater.given("4")
    with gone(studies):
        if restarted:
            studies.close()
        for name, ask in everything(rater, owner, token).items():
            if restarted and studies._made.sqlite and name in OWNER_S:
                assert ask().status_code == 404  # who signs in there may be somebody who has made no study yet
            else:
                assert_told_to_come_back(ask())
        assert_told_to_come_back(rater.post("answer", given))
        page = rater.client.get(f"/s/{token}", headers={"Accept": "text/html"})
        assert (page.status_code, "retry-after" in page.headers) == (503, True)
        assert rater.client.get("/study").status_code == 200  # the page itself, which goes on trying
    answer = rater.post("answer", given)
    assert (answer.status_code, answer.json()["stored"]) == (200, given["key"])
    assert stored(studies) == [given["key"]]


def test_what_a_server_says_of_itself_reaches_nobody(app, studies, study_settings):
    url = "postgresql+psycopg://lfi:hunter2@127.0.0.1:1/lfi"
    app.state.studies = Studies(study_settings.model_copy(update={"database_url": url}), patience=0.4)
    client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False, cookies={"lfi_rater": "A" * 32})
    assert_told_to_come_back(client.get("/s/" + "A" * 32))
    assert_told_to_come_back(client.post("/study/api/session", json={}, headers={"Origin": ORIGIN}))
    assert_told_to_come_back(OwnerBrowser(app, OWNER).client.get("/admin"))
    with pytest.raises(StorageError) as refused:  # the owner's command line says it
        app.state.studies.check()
    assert "port 1 failed" in refused.value.reason


@on_sqlite
def test_a_lock_is_503_for_who_writes_and_nothing_for_who_reads(app, studies, rater):
    given = rater.given("4")
    owner = OwnerBrowser(app, OWNER)
    with locked(studies.database.file):
        begun = time.monotonic()
        assert_told_to_come_back(rater.post("answer", given))
        assert time.monotonic() - begun < 20
        assert rater.client.get(f"/{rater.state['trial']['pictures']['left']}").status_code == 200
        assert owner.client.get("/admin/pilot").status_code == 200
        assert_told_to_come_back(owner.act("pilot/status", status="paused"))
    assert rater.post("answer", given).json()["stored"] == given["key"]
    assert stored(studies) == [given["key"]]


@on_postgresql
def test_a_locked_row_is_503(studies, rater):
    given = rater.given("4")
    server = str(make_url(studies.settings.database_url).set(drivername="postgresql"))
    with psycopg.connect(server) as other:
        other.execute("SELECT * FROM rater FOR UPDATE")
        assert_told_to_come_back(rater.post("answer", given))
    assert rater.post("answer", given).json()["stored"] == given["key"]


@on_sqlite
def test_a_full_disk_is_503_and_half_an_answer_is_not_there(studies, rater):
    given = rater.given("4", comment="\N{GRINNING FACE}" * 2000)  # more bytes than a page has, so it needs a new one
    with with_pragma(studies, "max_page_count = 1"):  # no more than there are
        assert_told_to_come_back(rater.post("answer", given))
        assert stored(studies) == []
    assert rater.post("answer", given).json()["stored"] == given["key"]


@on_sqlite
def test_a_read_only_sqlite_database_is_503(studies, rater):
    given = rater.given("4")
    with with_pragma(studies, "query_only = ON"):
        assert_told_to_come_back(rater.post("answer", given))
        assert stored(studies) == []
    assert rater.post("answer", given).json()["stored"] == given["key"]


@on_postgresql
def test_a_server_that_only_reads_is_503_and_not_ready(studies, rater):
    given = rater.given("4")
    url = make_url(studies.settings.database_url)
    studies.check()
    for reads, ends in (("on", 503), ("off", 200)):
        with psycopg.connect(str(url.set(drivername="postgresql")), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER DATABASE {url.database} SET default_transaction_read_only = {reads}")
        studies.database.engine.dispose()
        assert rater.post("answer", given).status_code == ends
        if reads == "on":
            with pytest.raises(StorageError):
                studies.check()
    studies.check()
    assert stored(studies) == [given["key"]]


def test_readiness_knows_the_database_and_the_room_on_its_disk(client, studies, create):
    before = client.app.state.studies
    assert client.get("/readyz").status_code == 200  # without a study there is nothing to be ready for
    client.app.state.studies = studies
    try:
        create()
        assert client.get("/readyz").status_code == 200
        with gone(studies):
            assert_told_to_come_back(client.get("/readyz"))
        assert client.get("/readyz").status_code == 200
        studies.settings = studies.settings.model_copy(update={"min_free_bytes": 10**18})
        assert_told_to_come_back(client.get("/readyz"))
    finally:
        client.app.state.studies = before


@pytest.mark.slow
@on_sqlite
def test_a_lock_stalls_no_other_page(app, studies, rater):
    """More requests wait for the database than the application has threads for everything else."""
    cookie, csrf = rater.client.cookies["lfi_rater"], rater.csrf
    many = httpx.Limits(max_connections=100)
    with running(app, path="/healthz") as url, httpx.Client(base_url=url, timeout=120, limits=many) as client:
        headers = {"Origin": url, "X-CSRF-Token": csrf, "Cookie": f"lfi_rater={cookie}"}

        def send(_: int) -> int:
            return client.post("/study/api/answer", json=rater.given(), headers=headers).status_code

        studies.patience = studies.database.patience = 5.0
        with locked(studies.database.file), ThreadPoolExecutor(60) as pool:
            sent = [pool.submit(send, number) for number in range(60)]
            while studies.writers.inside < 50:
                time.sleep(0.05)
            for path in ("/static/css/study.css", "/study/", "/healthz", "/admin"):
                assert client.get(path).status_code == 200
            assert studies.writers.inside, "they were answered before the others were"
            assert {each.result() for each in sent} == {503}


FINAL = {
    "a value off the scale": ({"value": "9"}, 422),
    "a field too many": ({"more": 1}, 422),
    "another's trial": ({"trial": "x"}, 404),
}


def test_a_refusal_says_of_this_very_answer_whether_it_is_for_good(studies, create, app):
    name = create()
    one, other = (RaterBrowser(app, each.token).start() for each in invite(studies, name, 2, "test"))
    for about, (change, status) in FINAL.items():
        given = one.given() | change
        answer = one.post("answer", given)
        assert (answer.status_code, answer.json()["refused"]) == (status, given["key"]), about
    given = one.given()
    assert one.post("answer", given).json()["stored"] == given["key"]
    later = given | {"key": "another-key-123"}
    assert one.post("answer", later).json()["refused"] == "another-key-123"

    waiting = other.given()
    assert "refused" not in other.post("answer", waiting, **{"X-CSRF-Token": one.csrf}).json()
    set_status(studies, name, "closed", "test")
    closed = other.post("answer", waiting)
    assert (closed.status_code, "refused" in closed.json()) == (409, False)  # the owner may open it again
    set_status(studies, name, "open", "test")
    assert other.post("answer", waiting).json()["stored"] == waiting["key"]


def test_a_rater_keeps_the_name_under_which_the_browser_keeps_answers_and_nobody_shares_it(app, studies, create):
    one, other = invite(studies, create(), 2, "test")
    names = [RaterBrowser(app, each.token).start().post("session").json()["rater"] for each in (one, one, other)]
    assert names[0] == names[1] != names[2]
    assert one.code not in names


def test_a_service_without_studies_says_so_and_makes_no_database(app, study_settings):
    app.state.studies = studies = Studies(study_settings, patience=0.4)
    client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
    assert client.get("/s/wrong").status_code == 404
    assert client.post("/study/api/session", json={}, headers={"Origin": ORIGIN}).status_code == 404
    assert OwnerBrowser(app, OWNER).client.get("/admin").status_code == 200
    studies.check()
    if studies._made.file:
        assert not studies._made.file.exists()

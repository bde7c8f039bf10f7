"""A rater's answer while the service cannot store it, in a real browser: kept, said to be kept, and sent later."""

from __future__ import annotations

import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page
from study_service import StudyService
from study_steps import READY, forget, to_trials

from app.settings import STATIC
from evaluation.study.ratings import read_ratings

KEPT = "Object.keys(localStorage).filter(name => name.startsWith('lfi-study-kept:')).length"


@pytest.fixture(scope="module")
def service(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyService]:
    service = StudyService(tmp_path_factory.mktemp("study"), models, STATIC / "samples")
    plan = service.folder / "pilot.toml"
    plan.write_text(plan.read_text().replace("overlap = 1\ntrials = 4", "overlap = 6\ntrials = 4"))
    service.lfi("create", plan)
    service.lfi("open", "pilot")
    service.start()
    yield service
    service.kill()


@pytest.fixture
def context(profile: BrowserContext, service: StudyService) -> Iterator[BrowserContext]:
    """A browser that remembers nobody."""
    profile.set_default_timeout(240_000)
    yield profile
    forget(profile, profile.new_page(), service)
    for page in profile.pages:
        page.close()


@pytest.fixture
def link(service: StudyService, tmp_path: Path) -> str:
    service.lfi("invite", "pilot", 1, "--out", tmp_path / "links.csv", "--address", service.address)
    return (tmp_path / "links.csv").read_text().splitlines()[1].partition(",")[2]


@pytest.fixture
def page(context: BrowserContext, link: str) -> Page:
    """A rater at the first trial that counts."""
    page = context.new_page()
    page.goto(link)
    page.wait_for_selector("#study[data-stage=consent]")
    to_trials(page)
    return page


@contextmanager
def away(service: StudyService) -> Iterator[None]:
    """As where the volume with the database is not mounted; the service is restarted meanwhile."""
    folder, elsewhere = service.folder / "study", service.folder / "elsewhere"
    folder.rename(elsewhere)
    yield
    assert not (folder / "study.db").exists()
    elsewhere.rename(folder)


@contextmanager
def locked(service: StudyService) -> Iterator[None]:
    with closing(sqlite3.connect(service.folder / "study" / "study.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full(service: StudyService) -> Iterator[None]:
    """The process can write no byte to any file."""
    _, most = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (0, most))
    yield
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (most, most))


def stored(service: StudyService, folder: Path) -> list[str]:
    """Comments of all answers."""
    service.lfi("export", "pilot", "--out", folder)
    return [comment for comment in read_ratings(folder / "ratings.parquet")["comment"] if comment]


def answer(page: Page, comment: str) -> None:
    page.fill("#study-comment", comment)
    page.locator(".lfi-study-answer").nth(1).click()


def told(page: Page, text: str) -> None:
    page.wait_for_selector(f"#study-banner:has-text('{text}')")


def moves_on(page: Page, done: int) -> None:
    page.wait_for_function(
        "start => document.querySelector('#study-progress')?.textContent.startsWith(start)", arg=f"{done} of "
    )
    page.wait_for_selector("#study-banner", state="hidden")
    assert page.evaluate(KEPT) == 0


@pytest.mark.slow
@pytest.mark.parametrize("fault", [locked, full], ids=["locked", "full"])
def test_an_answer_waits_on_the_page_until_it_can_be_stored(service, page, fault, tmp_path):
    with fault(service):
        answer(page, fault.__name__)
        told(page, "It is kept here and sent again")
        time.sleep(12)  # longer than the service waits for a lock, and the page until its next try
        assert page.evaluate(KEPT) == 1
        assert page.locator(READY).count() == 0
    moves_on(page, 1)
    assert stored(service, tmp_path).count(fault.__name__) == 1


@pytest.mark.slow
def test_a_service_that_comes_back_without_its_database_loses_nothing(service, page, tmp_path):
    service.kill()
    answer(page, "without a database")
    told(page, "It is kept here")
    with away(service):
        service.start()
        with page.expect_response("**/study/api/answer") as refused:
            pass
        assert (refused.value.status, "retry-after" in refused.value.headers) == (503, True)
        page.reload()
        told(page, "It is kept here")
        assert page.evaluate(KEPT) == 1
    moves_on(page, 1)
    assert stored(service, tmp_path).count("without a database") == 1


def test_opening_the_invitation_again_sends_what_another_tab_could_not(service, page, link, tmp_path):
    context = page.context
    with locked(service):
        answer(page, "of a closed tab")
        told(page, "It is kept here and sent again")
        page.close()
        context.clear_cookies()  # a browser may forget them sooner than what a page keeps
        stranger = context.new_page()
        stranger.goto(f"{service.address}/study")
        stranger.wait_for_selector("#study[data-stage=stranger]")
        told(stranger, "sent when you open your invitation again")
        stranger.close()
    again = context.new_page()
    again.goto(link)
    moves_on(again, 1)
    assert stored(service, tmp_path).count("of a closed tab") == 1


def test_an_answer_of_somebody_else_on_this_machine_stays_theirs(service, page, tmp_path):
    service.lfi("invite", "pilot", 1, "--out", tmp_path / "other.csv", "--address", service.address)
    other = (tmp_path / "other.csv").read_text().splitlines()[1].partition(",")[2]
    context = page.context
    with locked(service):
        answer(page, "the first rater's")
        told(page, "It is kept here and sent again")
        page.close()
    second = context.new_page()
    second.goto(other)
    second.wait_for_selector("#study[data-stage=consent]")
    second.wait_for_timeout(2000)
    assert second.evaluate(KEPT) == 1
    assert "the first rater's" not in stored(service, tmp_path / "out")


def test_what_can_never_be_stored_is_dropped_and_the_rater_is_told(service, page, context, tmp_path):
    other = context.new_page()
    other.goto(f"{service.address}/study")
    other.wait_for_selector(READY)
    with locked(service):
        answer(page, "the second to come")
        told(page, "It is kept here and sent again")
    # Whichever of the two comes first is stored; the other is told.
    answer(other, "from the other window")
    for each in (page, other):
        each.wait_for_function(
            "() => document.querySelector('#study-progress').textContent.startsWith('1 of ')", timeout=240_000
        )
    page.wait_for_function(f"() => {KEPT} === 0")
    found = stored(service, tmp_path)
    assert len({"the second to come", "from the other window"} & set(found)) == 1


@pytest.mark.slow
def test_somebody_else_s_answer_in_the_service_s_place_drops_nothing(service, page, tmp_path):
    """A proxy, a captive portal, an older service: none has said that the answer is stored."""
    said = [
        {"status": 404, "body": "<h1>no such site</h1>", "content_type": "text/html"},
        {"status": 200, "body": "<h1>sign in to our network</h1>", "content_type": "text/html"},
        {"status": 200, "json": {"ok": True}},
        {"status": 422, "body": "{}", "content_type": "application/json"},
    ]

    def instead(route) -> None:
        if said:
            route.fulfill(**said.pop(0))
        else:
            route.continue_()

    page.route("**/study/api/answer", instead)
    answer(page, "past a proxy")
    told(page, "It is kept here and sent again")
    assert page.evaluate(KEPT) == 1
    moves_on(page, 1)
    assert said == []
    assert stored(service, tmp_path).count("past a proxy") == 1


def test_a_closed_study_keeps_the_answer_for_when_it_opens_again(service, page, tmp_path):
    service.lfi("close", "pilot")
    answer(page, "while it was closed")
    page.wait_for_selector("#study[data-stage=closed]")
    told(page, "sent when you open your invitation again")
    assert page.evaluate(KEPT) == 1
    service.lfi("open", "pilot")
    page.reload()
    moves_on(page, 1)
    assert stored(service, tmp_path).count("while it was closed") == 1


def test_while_nothing_answers_the_page_says_so_and_claims_no_answer(service, page):
    with locked(service):
        page.reload()
        told(page, "The service is not available")
        assert page.inner_text("#study-banner") == "The service is not available at the moment. This page keeps trying."
    page.wait_for_selector(READY)

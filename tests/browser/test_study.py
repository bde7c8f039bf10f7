"""A whole study in a real browser: as a rater, with a reload and a killed server on the way, and as its owner."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from study_service import OWNER, StudyService

from app.settings import STATIC
from evaluation.study.ratings import read_ratings

READY = ".lfi-study-answer:enabled"
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def service(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyService]:
    service = StudyService(tmp_path_factory.mktemp("study"), models, STATIC / "samples")
    service.lfi("create", service.folder / "pilot.toml")
    service.lfi("open", "pilot")
    service.start()
    yield service
    service.kill()


@pytest.fixture
def page(chromium: Browser, service: StudyService) -> Iterator[Page]:
    """A fresh browser. Its pages may ask no other host and break nothing."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(120_000)  # of popups, too: a report takes a busy machine a while
    page = context.new_page()
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert [url for url in requests if not url.startswith((service.address, "data:", "blob:"))] == []
    assert errors == []


def preview(page: Page, service: StudyService) -> None:
    page.goto(service.lfi("preview", "pilot", "--address", service.address))
    page.wait_for_selector("#study[data-stage=consent]")


def to_trials(page: Page, practice: str = "5") -> None:
    page.check("#study-agree")
    page.click("#study-continue")
    page.wait_for_selector("#study[data-stage=instructions]")
    page.click("#study-continue")
    page.wait_for_selector(f"#study[data-stage=practice] {READY}")
    page.keyboard.press(practice)
    page.click("#study-feedback button")
    page.wait_for_selector(f"#study[data-stage=trial] {READY}")


def progress(page: Page) -> str:
    return page.inner_text("#study-progress").partition(" ·")[0]


def answer(page: Page) -> None:
    """One key, and wait for what comes next."""
    page.wait_for_selector(READY)
    before = progress(page)
    pair = page.get_attribute("#study-answers", "data-kind") == "pair"
    page.keyboard.press("ArrowLeft" if pair else "2")
    page.wait_for_function(
        "before => !document.querySelector('#study-progress').textContent.startsWith(before + ' ')"
        " || document.querySelector('#study').dataset.stage === 'thanks'",
        arg=before,
    )


def sign_in(page: Page, service: StudyService) -> None:
    """To the owner's page of the study."""
    page.goto(f"{service.address}/admin")
    page.fill("#token", OWNER)
    page.click("text=Sign in")
    page.click("text=pilot")
    page.wait_for_selector("text=Response times")


def violations(page: Page) -> str:
    report = Axe().run(page)
    return report.generate_report() if report.violations_count else ""


def test_a_rater_goes_all_the_way_over_a_reload_and_a_killed_server(page, service, tmp_path):
    csv = tmp_path / "invitations.csv"
    service.lfi("invite", "pilot", 1, "--out", csv, "--address", service.address)
    page.goto(csv.read_text().splitlines()[1].partition(",")[2])
    assert page.url == f"{service.address}/study"  # the address holds no token
    page.wait_for_selector("#study[data-stage=consent]")
    page.click("#study-continue")
    assert page.locator("#study[data-stage=consent]").count() == 1  # not without the tick
    to_trials(page)
    assert progress(page) == "0 of 7"
    answer(page)

    page.wait_for_selector(READY)
    word = page.inner_text("#study-question")
    page.reload()
    page.wait_for_selector(READY)
    assert (progress(page), page.inner_text("#study-question")) == ("1 of 7", word)

    page.fill("#study-comment", "12345")  # digits in a comment are no answers
    assert progress(page) == "1 of 7"
    service.kill()
    page.locator(".lfi-study-answer").nth(3).dblclick()
    page.wait_for_selector("#study-banner:not([hidden])")
    assert "kept here" in page.inner_text("#study-banner")
    starting = threading.Thread(target=service.start)
    starting.start()
    page.wait_for_function(
        "() => document.querySelector('#study-progress').textContent.startsWith('2 of 7')", timeout=240_000
    )
    starting.join()
    assert page.is_hidden("#study-banner")

    page.wait_for_selector(READY)
    page.keyboard.press("Backspace")
    page.wait_for_selector("#study-answered:not([hidden])")
    page.wait_for_selector(READY)
    assert page.input_value("#study-comment") == "12345"
    page.keyboard.press("5")
    page.wait_for_selector("#study-answered", state="hidden")
    while page.get_attribute("#study", "data-stage") == "trial":
        answer(page)
    assert page.inner_text("#study-code") == "C0DE-42"

    service.lfi("export", "pilot", "--out", tmp_path / "out")
    table = read_ratings(tmp_path / "out" / "ratings.parquet")
    table = table[~table["preview"]]
    assert len(table) == 1 + 7 + 1  # practice, trials, one answered anew
    assert table["response_ms"].between(150, 240_000).all()
    assert table["comment"].tolist().count("12345") == 2

    sign_in(page, service)
    assert page.locator("text=Analyse as planned").count() == 0  # nobody looks before the study is closed
    page.click("button:has-text('Close')")
    with page.expect_popup() as popup:
        page.click("text=Analyse as planned")
    report = popup.value
    report.wait_for_selector("h1:has-text('Study pilot: report')")
    assert "4 ratings and 2 pairs by 1 raters of" in report.inner_text("main")
    assert "The analysis followed it without change." in report.inner_text("main")
    assert report.locator("figure svg").count() >= 3
    assert report.evaluate("getComputedStyle(document.querySelector('.verdict')).borderLeftStyle") == "solid"
    page.click("button:has-text('Open again')")
    page.wait_for_selector(".lfi-admin-status[data-status=open]")


def test_of_two_tabs_one_stores_and_the_other_is_told(page, service):
    preview(page, service)
    to_trials(page)
    other = page.context.new_page()
    other.goto(f"{service.address}/study")
    other.wait_for_selector(READY)
    answer(other)
    page.keyboard.press("4")
    page.wait_for_selector("#study-banner:not([hidden])")
    page.wait_for_selector(READY)
    assert "another window" in page.inner_text("#study-banner")
    assert progress(page) == "1 of 7"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_axe_finds_nothing_on_any_stage_and_nothing_scrolls_sideways(page, service, dark, phone):
    def check(stage: str) -> None:
        assert violations(page) == "", stage
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), stage

    page.emulate_media(color_scheme="dark" if dark else "light")
    if phone:
        page.set_viewport_size(PHONE)
    preview(page, service)
    check("consent")
    page.check("#study-agree")
    page.click("#study-continue")
    page.wait_for_selector("#study[data-stage=instructions]")
    check("instructions")
    page.click("#study-continue")
    page.wait_for_selector(READY)
    check("practice")
    page.keyboard.press("1")
    page.wait_for_selector("#study-feedback:not([hidden])")
    assert page.inner_text("#study-feedback p >> nth=0") == "Not quite."
    check("feedback")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#study[data-stage=trial] {READY}")
    check("rating")
    while page.get_attribute("#study-answers", "data-kind") != "pair":
        answer(page)
    page.wait_for_selector(READY)
    check("pair")
    while page.get_attribute("#study", "data-stage") == "trial":
        answer(page)
    check("thanks")


def test_the_map_can_be_faded_and_held_away_by_hand_and_by_key(page, service):
    preview(page, service)
    to_trials(page)
    opacity = "getComputedStyle(document.querySelector('.lfi-study-map')).opacity"
    visible = "getComputedStyle(document.querySelector('.lfi-study-map')).visibility"
    page.focus("#study-opacity")
    page.keyboard.press("Home")
    assert page.evaluate(opacity) == "0"
    page.keyboard.press("End")
    assert page.evaluate(opacity) == "1"
    page.locator("#study-question").focus()
    page.keyboard.down(" ")
    assert page.evaluate(visible) == "hidden"
    page.keyboard.up(" ")
    assert page.evaluate(visible) == "visible"
    page.hover("#study-bare")
    page.mouse.down()
    assert page.evaluate(visible) == "hidden"
    page.mouse.up()
    assert page.evaluate(visible) == "visible"
    page.uncheck("#study-keys")
    page.locator("#study-question").focus()
    page.keyboard.press("3")
    assert progress(page) == "0 of 7"


def test_the_page_speaks_german(page, service):
    preview(page, service)
    page.select_option("#study-language", "de")
    page.get_by_role("heading", name="Teilnahme").wait_for()
    page.get_by_role("button", name="Dunkel").click()
    page.get_by_role("button", name="Hell").click()
    assert page.get_attribute("html", "lang") == "de"
    to_trials(page)
    assert page.inner_text("#study-question").startswith("Wie gut passt")
    assert page.get_by_role("button", name="gar nicht").is_visible()


def test_somebody_without_an_invitation_is_told_so(page, service):
    page.goto(f"{service.address}/study")
    page.wait_for_selector("#study[data-stage=stranger]")
    assert "needs an invitation" in page.inner_text("h1:visible")
    assert page.is_hidden("#study-banner")
    assert violations(page) == ""
    for address in ("study", "s/wrong"):
        page.goto(f"{service.address}/{address}")
        page.click("text=To the start page")
        page.wait_for_url(f"{service.address}/ui/")
    page.goto(f"{service.address}/s/wrong")
    assert "needs an invitation" in page.inner_text("h1 >> nth=0")
    assert violations(page) == ""


def test_a_real_failure_is_called_one_and_nobody_a_stranger(page, service):
    page.route("**/study/api/session", lambda route: route.fulfill(status=422, json={"detail": "no"}))
    page.goto(f"{service.address}/study")
    page.wait_for_selector("#study-banner:has-text('Something went wrong')")
    assert page.get_attribute("#study", "data-stage") == "loading"


def test_the_brand_leads_home_but_not_out_of_a_session(page, service):
    preview(page, service)
    assert page.locator("#study-title a").count() == 0
    page.goto(f"{service.address}/admin")
    page.click(".lfi-wordmark a")
    page.wait_for_url(f"{service.address}/ui/")
    sign_in(page, service)
    page.click(".lfi-wordmark a")
    page.wait_for_url(f"{service.address}/ui/")


@pytest.mark.parametrize("size", [{}, PHONE], ids=["desktop", "phone"])
def test_the_owner_sees_the_study_and_runs_it(page, service, size):
    if size:
        page.set_viewport_size(size)
    preview(page, service)  # what there is to download
    to_trials(page)
    answer(page)
    page.goto(f"{service.address}/admin")
    assert violations(page) == ""
    sign_in(page, service)
    assert violations(page) == ""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("button:has-text('Pause')")
    page.wait_for_selector(".lfi-admin-status[data-status=paused]")
    page.click("button:has-text('Go on')")
    page.wait_for_selector(".lfi-admin-status[data-status=open]")
    page.fill("#count", "3")
    with page.expect_download() as download:
        page.click("text=Download links")
    assert len(Path(download.value.path()).read_text().splitlines()) == 4
    with page.expect_download() as download:
        page.click("text=ratings.csv")
    assert download.value.suggested_filename == "pilot-ratings.csv"
    page.click("text=Sign out")
    page.wait_for_selector("#token")


def test_an_owner_adds_what_the_inspector_shows_to_a_draft(page, service):
    plan = service.folder / "next.toml"
    plan.write_text((service.folder / "pilot.toml").read_text().replace('name = "pilot"', 'name = "next"'))
    service.lfi("create", plan)
    page.goto(f"{service.address}/ui/")
    page.click("[data-sample=paper]")
    page.wait_for_selector(".lfi[data-stage=maps]:not([data-busy])")
    assert not page.is_visible("#lfi-drafts")  # nobody is signed in

    sign_in(page, service)
    page.goto(f"{service.address}/ui/")
    page.click("[data-sample=paper]")
    page.wait_for_selector(".lfi[data-stage=maps]:not([data-busy])")
    assert page.locator("#lfi-draft option").all_text_contents() == ["next"]  # the pilot is open
    words = page.locator(".lfi-chip-word").all_text_contents()
    page.click("#lfi-add-items")
    page.get_by_text(f"{len(words)} items added to “next”.").wait_for()
    page.click("#lfi-add-items")
    page.get_by_text("Nothing added: “next” has these words on this picture already.").wait_for()
    assert not violations(page)

    with page.expect_download() as started:
        page.click("text=Items of a study, zip")
    page.goto(f"{service.address}/admin/next")
    assert all(page.get_by_role("row", name=f" {word} ").count() for word in words)
    page.set_input_files("#items", started.value.path())
    page.click("text=Add to this draft")
    page.get_by_text("Items added: 0.").wait_for()
    assert not violations(page)

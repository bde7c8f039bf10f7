"""The owner's pages, and the ways into a study that an owner can choose, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from plans import CHECK
from playwright.sync_api import BrowserContext, Page
from study_service import StudyService
from study_steps import DESK, PHONE, READY, answer, preview, sign_in, to_trials, violations, visitor

from app.settings import STATIC

GUARDED = """
[rules]
prolific = true
prolific_study = "P1"
entry = "signed"
"""
CODES = 'code = "C0DE-42"\nno_consent_code = "N0"\nscreened_out_code = "0UT"'


@pytest.fixture(scope="module")
def service(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyService]:
    """Two studies: `pilot` by invitation, and `guarded`, whose link leads past questions."""
    service = StudyService(tmp_path_factory.mktemp("study"), models, STATIC / "samples")
    pilot, guarded = service.folder / "pilot.toml", service.folder / "guarded.toml"
    text = pilot.read_text().replace('code = "C0DE-42"', CODES).replace('name = "pilot"', 'name = "guarded"')
    guarded.write_text(text + GUARDED + CHECK)
    for plan in (pilot, guarded):
        service.lfi("create", plan)
        service.lfi("open", plan.stem)
    service.start()
    yield service
    service.kill()


@pytest.fixture(scope="module")
def link(service: StudyService) -> str:
    """As Prolific is given it."""
    return service.lfi("link", "guarded", "--address", service.address)


@pytest.fixture
def page(profile: BrowserContext, service: StudyService) -> Iterator[Page]:
    with visitor(profile, service) as page:
        yield page


def test_the_brand_leads_home_but_not_out_of_a_session(page, service):
    preview(page, service)
    assert page.locator("#study-title a").count() == 0
    page.goto(f"{service.address}/admin")
    page.click(".lfi-wordmark a")
    page.wait_for_url(f"{service.address}/ui/")
    sign_in(page, service)
    page.click(".lfi-wordmark a")
    page.wait_for_url(f"{service.address}/ui/")


def test_the_owner_sees_the_study_and_runs_it(page, service):
    preview(page, service)  # what there is to download
    to_trials(page)
    answer(page)
    page.goto(f"{service.address}/admin")
    assert violations(page) == ""
    sign_in(page, service)
    page.click("summary:has-text('Invite')")
    for size in (PHONE, DESK):
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert violations(page) == ""
    page.fill("#count", "3")
    with page.expect_download() as download:
        page.click("text=Download links")
    assert len(Path(download.value.path()).read_text().splitlines()) == 4
    with page.expect_download() as download:
        page.click("text=ratings.csv")
    assert download.value.suggested_filename == "pilot-ratings.csv"
    page.click("button:has-text('Pause')")
    page.wait_for_selector(".lfi-admin-status[data-status=paused]")
    page.click("button:has-text('Resume')")
    page.wait_for_selector(".lfi-admin-status[data-status=open]")
    page.click("text=Sign out")
    page.wait_for_selector("#token")


@pytest.mark.slow
def test_the_report_is_made_once_the_study_is_closed(page, service, tmp_path):
    service.lfi("invite", "pilot", 1, "--out", tmp_path / "links.csv", "--address", service.address)
    page.goto((tmp_path / "links.csv").read_text().splitlines()[1].partition(",")[2])
    to_trials(page)
    while page.get_attribute("#study", "data-stage") == "trial":
        answer(page)
    sign_in(page, service)
    assert page.locator("text=Analyse as planned").count() == 0  # nobody looks before the study is closed
    page.click("button:has-text('Close')")
    with page.expect_popup() as popup:
        page.click("text=Analyse as planned")
    report = popup.value
    report.wait_for_selector("h1:has-text('Study pilot: report')")
    assert "4 ratings and 2 pairs by 1 rater of" in report.inner_text("main")
    assert "The analysis followed it without change." in report.inner_text("main")
    assert report.locator("figure svg").count() >= 3
    assert report.evaluate("getComputedStyle(document.querySelector('.verdict')).borderLeftStyle") == "solid"
    page.click("button:has-text('Reopen')")
    page.wait_for_selector(".lfi-admin-status[data-status=open]")


@pytest.mark.slow
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
        page.click("text=Study items, zip")
    page.goto(f"{service.address}/admin/next")
    assert all(page.get_by_role("row", name=f" {word} ").count() for word in words)
    page.set_input_files("#items", started.value.path())
    page.click("text=Add to this draft")
    page.get_by_text("Items added: 0.").wait_for()
    assert not violations(page)

    page.click("summary:has-text('Open')")
    card = page.inner_text(".lfi-admin-card:visible")
    assert f"{5 + len(words)} on " in card
    assert page.inner_text("#live code") in card  # the plan's hash, as the page has it
    assert not violations(page)
    page.click("text=Open with this plan")
    page.wait_for_selector(".lfi-admin-status[data-status=open]")


def enter(page: Page, service: StudyService, link: str, pid: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for name, value in (("PROLIFIC_PID", pid), ("STUDY_ID", "P1"), ("SESSION_ID", f"s-{pid}")):
        link = link.replace(f"{{{{%{name}%}}}}", value)
    page.goto(link)
    page.wait_for_selector("#study[data-stage=consent]")
    assert page.url == service.page  # neither ids nor the link's token stay in the address


def consent(page: Page) -> None:
    page.check("#study-agree")
    page.click("#study-continue")
    page.wait_for_selector("#study[data-stage=instructions]")


def choose(page: Page, *answers: str) -> None:
    for place, label in enumerate(answers):
        page.locator("#study-check fieldset").nth(place).get_by_label(label).check()
    page.click("#study-continue")


def test_a_second_try_at_the_instructions_leads_to_the_trials(page, service, link):
    enter(page, service, link, "second")
    assert violations(page) == ""
    consent(page)
    page.click("#study-continue")
    assert page.get_attribute("#study", "data-stage") == "instructions"  # not without answers
    assert violations(page) == ""
    choose(page, "the picture", "no")
    page.wait_for_selector("#study-check :text('one more try')")
    assert violations(page) == ""
    page.select_option("#study-language", "de")
    page.wait_for_selector("#study-check :text('noch einen Versuch')")
    choose(page, "die Hervorhebung", "nein")
    page.wait_for_selector(f"#study[data-stage=practice] {READY}")
    assert page.is_hidden("#study-check")


def test_who_fails_twice_is_screened_out_with_a_code(page, service, link):
    enter(page, service, link, "never")
    consent(page)
    choose(page, "the picture", "no")
    page.wait_for_selector("#study-check :text('one more try')")
    choose(page, "the picture", "yes")
    page.wait_for_selector("#study[data-stage=screened]")
    assert page.inner_text("#study-code") == "0UT"
    assert page.inner_text("#study-text-title") == "You cannot take part"
    assert violations(page) == ""


def test_who_declines_gets_a_code_and_is_asked_nothing(page, service, link):
    enter(page, service, link, "no")
    page.click("#study-decline")
    page.wait_for_selector("#study[data-stage=declined]")
    assert page.inner_text("#study-code") == "N0"
    assert page.is_hidden("#study-continue")
    assert page.is_hidden("#study-decline")
    page.reload()
    page.wait_for_selector("#study[data-stage=declined]")
    assert violations(page) == ""


def test_without_the_link_s_token_nobody_enters(page, service, link):
    page.goto(link.partition("&entry=")[0].replace("{{%", "").replace("%}}", ""))
    assert "needs an invitation" in page.inner_text("h1 >> nth=0")

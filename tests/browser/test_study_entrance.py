"""What comes before the first trial, in a real browser: consent or not, questions, a signed link."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from study_service import StudyService

from app.settings import STATIC

MORE = """
[rules]
prolific = true
prolific_study = "P1"
entry = "signed"
[[check]]
question = { en = "What do you judge?", de = "Was beurteilen Sie?" }
answers = { en = ["the picture", "the highlight"], de = ["das Bild", "die Hervorhebung"] }
right = 2
[[check]]
question = { en = "Is your name stored?", de = "Wird Ihr Name gespeichert?" }
answers = { en = ["no", "yes"], de = ["nein", "ja"] }
right = 1
"""
CODES = 'code = "C0DE-42"\nno_consent_code = "N0"\nscreened_out_code = "0UT"'
READY = ".lfi-study-answer:enabled"


@pytest.fixture(scope="module")
def service(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyService]:
    service = StudyService(tmp_path_factory.mktemp("study"), models, STATIC / "samples")
    plan = service.folder / "pilot.toml"
    text = plan.read_text().replace('code = "C0DE-42"', CODES).replace("overlap = 1\n", "overlap = 5\n")
    plan.write_text(text + MORE)
    service.lfi("create", plan)
    service.lfi("open", "pilot")
    service.start()
    yield service
    service.kill()


@pytest.fixture(scope="module")
def link(service: StudyService) -> str:
    """As Prolific is given it."""
    return service.lfi("link", "pilot", "--address", service.address)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(120_000)
    yield context.new_page()
    context.close()


def enter(page: Page, link: str, pid: str) -> None:
    for name, value in (("PROLIFIC_PID", pid), ("STUDY_ID", "P1"), ("SESSION_ID", f"s-{pid}")):
        link = link.replace(f"{{{{%{name}%}}}}", value)
    page.goto(link)
    page.wait_for_selector("#study[data-stage=consent]")
    assert page.url.endswith("/study")  # neither ids nor the link's token stay in the address


def violations(page: Page) -> str:
    report = Axe().run(page)
    return report.generate_report() if report.violations_count else ""


def consent(page: Page) -> None:
    page.check("#study-agree")
    page.click("#study-continue")
    page.wait_for_selector("#study[data-stage=instructions]")


def choose(page: Page, *answers: str) -> None:
    for place, label in enumerate(answers):
        page.locator("#study-check fieldset").nth(place).get_by_label(label).check()
    page.click("#study-continue")


def test_a_second_try_at_the_instructions_leads_to_the_trials(page, service, link):
    enter(page, link, "second")
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
    enter(page, link, "never")
    consent(page)
    choose(page, "the picture", "no")
    page.wait_for_selector("#study-check :text('one more try')")
    choose(page, "the picture", "yes")
    page.wait_for_selector("#study[data-stage=screened]")
    assert page.inner_text("#study-code") == "0UT"
    assert page.inner_text("#study-text-title") == "You cannot take part"
    assert violations(page) == ""


def test_who_declines_gets_a_code_and_is_asked_nothing(page, service, link):
    enter(page, link, "no")
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

"""The steps that raters and owners take on the study's pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page
from study_service import OWNER, StudyService

READY = ".lfi-study-answer:enabled"
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}


@contextmanager
def visitor(profile: BrowserContext, service: StudyService) -> Iterator[Page]:
    """A page of a browser that remembers nobody. It may ask no other host and break nothing."""
    page = profile.new_page()
    page.set_viewport_size(DESK)
    page.set_default_timeout(120_000)  # of popups, too: a report takes a busy machine a while
    forget(profile, page, service)
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    for each in profile.pages:
        each.close()
    assert [url for url in requests if not url.startswith((service.address, "data:", "blob:"))] == []
    assert errors == []


def forget(profile: BrowserContext, page: Page, service: StudyService) -> None:
    """Cookies and what pages kept; scripts that were compiled stay."""
    where = {"origin": service.address, "storageTypes": "cookies,local_storage"}
    profile.new_cdp_session(page).send("Storage.clearDataForOrigin", where)


def preview(page: Page, service: StudyService) -> None:
    page.goto(service.lfi("preview", "pilot", "--address", service.address))
    page.wait_for_selector("#study[data-stage=consent]")


def to_practice(page: Page) -> None:
    page.check("#study-agree")
    page.click("#study-continue")
    page.wait_for_selector("#study[data-stage=instructions]")
    page.click("#study-continue")
    page.wait_for_selector(f"#study[data-stage=practice] {READY}")


def to_trials(page: Page) -> None:
    to_practice(page)
    page.keyboard.press("5")
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

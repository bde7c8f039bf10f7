"""The owner's pages in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from study_service import StudyService
from study_steps import PHONE, answer, preview, sign_in, to_trials, violations, visitor

from app.settings import STATIC


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
    with visitor(chromium, service) as page:
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
    page.click("summary:has-text('Invite')")
    assert violations(page) == ""
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
    page.click("[data-sample]")
    page.wait_for_selector(".lfi[data-stage=maps]:not([data-busy])")
    assert not page.is_visible("#lfi-drafts")  # nobody is signed in

    sign_in(page, service)
    page.goto(f"{service.address}/ui/")
    page.click("[data-sample]")
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

    page.click("summary:has-text('Open')")
    card = page.inner_text(".lfi-admin-card:visible")
    assert f"{5 + len(words)} on " in card
    assert page.inner_text("#live code") in card  # the plan's hash, as the page has it
    assert not violations(page)
    page.click("text=Open with this plan")
    page.wait_for_selector(".lfi-admin-status[data-status=open]")

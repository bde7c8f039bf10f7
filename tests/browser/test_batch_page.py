"""The page for many images, from the files to the gallery, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from app.settings import STATIC

SAMPLES = STATIC / "samples"


@pytest.fixture
def page(profile: BrowserContext, service: str):
    """A tab that may ask no other host and log no error."""
    tab = profile.new_page()
    asked: list[str] = []
    errors: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.goto(f"{service}/batch")
    yield tab
    tab.close()
    assert [url for url in asked if not url.startswith((service, "data:"))] == []
    assert [text for text in errors if "404" not in text and "422" not in text] == []


def start(page: Page, files: list[Path], words: str) -> None:
    page.set_input_files("#batch-images", files)
    page.fill("#batch-words", words)
    page.click("#batch-start")


def accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_images_become_a_gallery_that_sorts_and_that_is_deleted(page, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((SAMPLES / "paper.jpg").read_bytes()[:2000])
    expect(page.locator("#batch-known")).to_contain_text("star")
    accessible(page)
    start(page, [SAMPLES / "paper.jpg", SAMPLES / "table.jpg", broken], "star, red circle")

    expect(page.locator("#batch-state")).to_have_text("Done: star, red circle")
    expect(page.locator("#batch-unread summary")).to_have_text("1 could not be read")
    gallery = page.frame_locator("#batch-gallery")
    rows = gallery.locator("tbody tr")
    expect(rows).to_have_count(4)
    gallery.get_by_role("button", name="Nearness").click()
    values = [float(each.get_attribute("data-value") or 0) for each in gallery.locator("td:nth-child(6)").all()]
    assert values == sorted(values, reverse=True)
    gallery.get_by_label("Word").select_option("star")
    expect(gallery.locator("tbody tr:visible")).to_have_count(2)
    with page.expect_download() as download:
        page.click("#batch-archive")
    assert download.value.suggested_filename == "batch.zip"
    accessible(page)

    page.reload()  # the address knows the batch
    expect(page.locator("#batch-state")).to_have_text("Done: star, red circle")
    page.click("#batch-delete")
    expect(page.locator("#batch-form")).to_be_visible()
    assert "#" not in page.url


def test_a_refusal_is_in_the_services_words_and_nothing_is_lost(page):
    start(page, [SAMPLES / "paper.jpg"], "starr")
    expect(page.get_by_role("alert")).to_contain_text("This model does not know 'starr'")
    expect(page.locator("#batch-words")).to_have_value("starr")
    expect(page.locator("#batch-start")).to_be_enabled()


def test_a_narrow_window_shows_everything(page):
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360

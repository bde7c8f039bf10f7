"""The page for many images, from the files to the gallery, in a real browser."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

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
    tab.evaluate("localStorage.clear()")
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


def test_the_samples_can_be_tried_and_bring_their_words(page):
    page.get_by_role("button", name="Try it with our samples").click()
    expect(page.locator("#batch-said")).to_contain_text("4 samples and their words are chosen")
    assert page.locator("#batch-words").input_value() == "red circle, green ring, moon"
    names = "[...document.querySelector('#batch-images').files].map(each => each.name)"
    assert page.evaluate(names) == ["paper.jpg", "table.jpg", "solids.jpg", "evening.jpg"]
    page.click("#batch-start")
    expect(page.locator("#batch-state")).to_contain_text("red circle, green ring, moon")


def test_images_become_a_gallery_that_sorts_and_that_is_deleted(page, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((SAMPLES / "paper.jpg").read_bytes()[:2000])
    expect(page.locator("#batch-known")).to_contain_text("star")
    accessible(page)
    start(page, [SAMPLES / "paper.jpg", SAMPLES / "table.jpg", broken], "star, red circle")

    expect(page.locator("#batch-state")).to_have_text("Done: star, red circle")
    expect(page.locator("#batch-left")).to_have_text("2 of 3 images, 1 could not be read")
    page.click("#batch-unread summary")
    expect(page.locator("#batch-unread li")).to_contain_text("broken.jpg: the image is damaged")
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
    accessible(page)
    page.keyboard.press("Enter")  # whoever does not read keeps it
    expect(page.locator("#batch-sure")).to_be_hidden()
    expect(page.locator("#batch-state")).to_be_visible()
    page.click("#batch-delete")
    page.click("#batch-sure-delete")
    expect(page.locator("#batch-said")).to_have_text("The batch and all of its files are deleted.")
    expect(page.locator("#batch-form")).to_be_visible()
    assert "#" not in page.url


def test_rows_of_the_gallery_become_a_figure_for_a_paper(page):
    start(page, [SAMPLES / "paper.jpg", SAMPLES / "table.jpg"], "star, red circle")
    gallery = page.frame_locator("#batch-gallery")
    expect(gallery.locator("tbody tr")).to_have_count(4)
    page.click("#batch-figure summary")
    rows = page.locator("#batch-figure-rows label")
    expect(rows).to_have_count(4)
    accessible(page)
    gallery.get_by_role("button", name="Image").click()
    gallery.get_by_role("button", name="Image").click()  # from the last one to the first
    gallery.get_by_label("Word").select_option("star")
    expect(rows).to_have_text([" star in table.jpg", " star in paper.jpg"])
    page.get_by_label("Baseline", exact=True).uncheck()
    page.locator("#batch-figure-width").select_option("8.5")
    page.locator("#batch-figure-format").select_option("svg")
    with page.expect_download() as download:
        page.click("#batch-figure-make")
    expect(page.locator("#batch-figure-said")).to_have_text("figure.zip is ready.")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.namelist() == ["figure.svg", "caption.tex", "provenance.json"]
        about = json.loads(archive.read("provenance.json"))
    assert [(each["image"], each["word"]) for each in about["rows"]] == [("table.jpg", "star"), ("paper.jpg", "star")]
    assert list(about["columns"]) == ["teacher", "lfi"]
    assert about["figure"]["width"] == 8.5

    for row in rows.all():
        row.get_by_role("checkbox").uncheck()
    page.click("#batch-figure-make")
    expect(page.locator("#batch-figure-said")).to_have_text("Choose at least one row and one column for the figure.")
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_new_batch_and_ways_to_one_image_lose_nothing(page, service):
    start(page, [SAMPLES / "paper.jpg"], "star, red circle")
    gallery = page.frame_locator("#batch-gallery")
    expect(gallery.locator("tbody tr")).to_have_count(2)
    address = page.url
    expect(gallery.locator("#home")).to_be_hidden()
    for link, words in (
        (page.locator("#batch-one"), "star,red circle"),
        (gallery.get_by_role("link", name="star"), "star"),
    ):
        with page.context.expect_page() as opened:
            link.click()
        query = parse_qs(urlsplit(opened.value.url).query)
        assert (urlsplit(opened.value.url).path, query["words"]) == ("/ui/", [words])
        opened.value.close()

    page.goto(f"{service}/v1/batches/{address.partition('#')[2]}/gallery")
    accessible(page)
    page.click("#home a")
    page.wait_for_url(f"{service}/ui/**")
    page.goto(address)
    page.click("text=New batch")
    expect(page.locator("#batch-form")).to_be_visible()
    page.go_back()
    expect(page.locator("#batch-state")).to_have_text("Done: star, red circle")


def test_the_gallery_says_what_its_columns_are_and_that_there_are_more(page):
    start(page, [SAMPLES / "paper.jpg"], "star")
    gallery = page.frame_locator("#batch-gallery")
    expect(gallery.get_by_role("definition").first).to_contain_text("Cosine between the word")
    page.set_viewport_size({"width": 360, "height": 800})
    expect(gallery.locator("#more")).to_be_visible()
    expect(gallery.locator("#wide.lfi-cut")).to_be_visible()
    gallery.locator("#wide").evaluate("wide => wide.scrollTo(wide.scrollWidth, 0)")
    expect(gallery.locator("#wide.lfi-cut")).to_have_count(0)
    page.set_viewport_size({"width": 2400, "height": 800})
    expect(gallery.locator("#more")).to_be_hidden()
    bar, last = (gallery.locator(each).bounding_box() for each in (".lfi-ramp", ".lfi-ticks span:last-child"))
    assert last["x"] + last["width"] <= bar["x"] + bar["width"] + 1


def test_dark_is_chosen_once_for_all_pages(page, service):
    start(page, [SAMPLES / "paper.jpg"], "star")
    gallery = page.frame_locator("#batch-gallery").locator("html")
    expect(gallery).not_to_have_class("dark")
    page.get_by_role("button", name="Dark").click()
    for each in (page.locator("html"), gallery):
        expect(each).to_have_class("dark")
    page.goto(f"{service}/nothing")
    expect(page.locator("body")).to_have_css("background-color", "rgb(20, 22, 26)")
    page.go_back()
    page.goto(f"{service}/study")
    expect(page.locator("html")).to_have_class("dark")
    page.get_by_role("button", name="Light").click()
    expect(page.get_by_role("button", name="Dark")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("button", name="Dark")).to_be_visible()
    expect(page.locator("html")).not_to_have_class("dark")


def test_a_refusal_is_in_the_services_words_and_nothing_is_lost(page):
    start(page, [SAMPLES / "paper.jpg"], "starr")
    expect(page.get_by_role("alert")).to_contain_text("This model does not know 'starr'")
    expect(page.locator("#batch-words")).to_have_value("starr")
    expect(page.locator("#batch-start")).to_be_enabled()


def test_a_narrow_window_shows_everything(page):
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_error_is_as_wide_as_the_form_and_apart_from_the_text_above(page):
    start(page, [SAMPLES / "paper.jpg"], "starr")
    page.locator("#batch-error").wait_for()
    boxes = {name: page.locator(name).bounding_box() for name in ("#batch-error", "#batch-form", "main h1 + p")}
    error, form, intro = boxes.values()
    assert (error["x"], error["width"]) == (form["x"], form["width"])
    assert error["y"] >= intro["y"] + intro["height"] + 8

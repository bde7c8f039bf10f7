"""The page for many images, from the files to the gallery, in a real browser."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Route, expect

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
    assert [text for text in errors if not re.search("404|422|503", text)] == []


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


def batch(state: str, done: int, finished: bool) -> dict[str, object]:
    """What the service says of a batch of forty images."""
    lists: dict[str, object] = {name: [] for name in ("unread", "noted", "other_names")}
    said = {"id": "b" * 32, "state": state, "words": ["star"], "models": ["lfi"], "total": 40, "done": done}
    return {**said, **lists, "ahead": 0, "seconds_left": None, "problem": "", "finished": finished}


class Played:
    """A service of one batch that runs until it is stopped; its answers to polls can be held back."""

    def __init__(self, page: Page):
        self.page = page
        self.polls = 0
        self.holding = False
        self.held: list[Route] = []
        self.now = batch("running", 5, False)
        self.fails = False
        page.route(re.compile(r"/v1/batches/b+"), self._answer)

    def hold(self) -> None:
        """Until a poll is under way."""
        self.holding = True
        for _ in range(200):
            if self.held:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("the page does not poll")

    def let_go(self, **answer: object) -> None:
        self.holding = False
        for route in self.held:
            with self.page.expect_response(route.request.url):
                route.fulfill(**answer)
        self.held.clear()

    def _answer(self, route: Route) -> None:
        method, path = route.request.method, urlsplit(route.request.url).path
        if path.endswith("/gallery"):
            route.fulfill(content_type="text/html", body="<title>Gallery</title>")
        elif method == "GET" and self.holding:
            self.held.append(route)
        elif method == "GET":
            self.polls += 1
            route.fulfill(json=self.now)
        elif self.fails:
            route.fulfill(status=503, json={"detail": "busy"})
        elif method == "DELETE":
            route.fulfill(status=204)
        else:
            self.now = batch("running", 6, False)  # the image that is under way is finished first
            route.fulfill(json=self.now)


@pytest.fixture
def played(page, service) -> Played:
    found = Played(page)
    page.goto("about:blank")
    page.goto(f"{service}/batch#{'b' * 32}")
    expect(page.locator("#batch-state")).to_have_text("Looking: star")
    return found


def test_a_deleted_batch_does_not_come_back_with_an_answer_from_before(page, played):
    played.hold()
    page.click("#batch-delete")
    page.click("#batch-sure-delete")
    expect(page.locator("#batch-said")).to_have_text("The batch and all of its files are deleted.")
    played.let_go(json=batch("running", 5, False))
    page.wait_for_timeout(1500)  # longer than the pause between polls
    expect(page.locator("#batch-form")).to_be_visible()
    expect(page.locator("#batch-run")).to_be_hidden()
    expect(page.locator("#batch-error")).to_be_hidden()
    expect(page.locator("#batch-said")).to_have_text("The batch and all of its files are deleted.")
    assert played.polls == 1


def test_a_stopped_batch_is_asked_about_once_at_a_time(page, played):
    played.hold()
    page.click("#batch-stop")
    expect(page.locator("#batch-left")).to_have_text("6 of 40 images")
    played.let_go(json=batch("running", 5, False))
    expect(page.locator("#batch-left")).to_have_text("6 of 40 images")
    before = played.polls
    page.wait_for_timeout(4200)
    assert 1 <= played.polls - before <= 4  # one chain asks every second


def test_a_batch_that_could_not_be_stopped_is_still_followed(page, played):
    played.fails = True
    page.click("#batch-stop")
    expect(page.locator("#batch-error")).to_have_text("Busy.")
    played.now = batch("done", 40, True)
    expect(page.locator("#batch-state")).to_have_text("Done: star", timeout=20_000)

"""A link reopens what is on screen; one's own picture goes along only where one chose to have it kept."""

from __future__ import annotations

import re
import zipfile
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from inspector_page import InspectorPage
from PIL import Image

from app.settings import STATIC


@pytest.fixture
def opened(chromium, service):
    """`opened(link)`: the link in a browser that has never been here."""
    contexts = []

    def opened(link: str, stage: str = "maps") -> InspectorPage:
        context = chromium.new_context()
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = InspectorPage(context.new_page(), service)
        page.page.goto(link)
        page.page.wait_for_selector(f".lfi[data-stage={stage}]:not([data-busy])")
        return page

    yield opened
    for context in contexts:
        context.close()


def link_of(page) -> str:
    return page.find("#lfi-address").input_value()


@pytest.fixture
def own(open_page, tmp_path):
    """The page with a visitor's own picture and a word."""
    file = tmp_path / "mine.png"
    Image.open(STATIC / "samples" / "table.jpg").resize((300, 200)).save(file)
    page = open_page()
    page.upload(file)
    page.type_word("red circle, blue square")
    page.wait_for_maps("blue square")
    return page


def test_a_link_to_a_sample_shows_others_the_same_maps(open_page, opened):
    page = open_page()
    page.choose_sample()
    page.find(".lfi-chip-word").nth(1).click()
    page.find("#lfi-depth").fill("1")
    page.page.get_by_label("Colours").select_option("magma")
    page.find(".lfi-choice").nth(2).select_option("lfi:rollout")
    page.wait_for_maps("blue star")
    other = opened(link_of(page))
    assert other.maps() == page.maps()
    assert other.chips() == page.chips()
    assert [each.input_value() for each in other.find(".lfi-choice").all()] == ["teacher", "lfi", "lfi:rollout"]
    assert link_of(other) == link_of(page)


def test_the_link_leaves_out_what_is_as_it_is_by_itself(open_page):
    page = open_page()
    assert urlsplit(link_of(page)).query == ""
    page.choose_sample()
    assert set(parse_qs(urlsplit(link_of(page)).query)) == {"image", "words"}


def test_a_reload_comes_back_to_what_was_on_screen(open_page):
    page = open_page()
    page.choose_sample("table")
    page.find("#lfi-depth").fill("2")
    before = page.maps()
    page.page.reload()
    page.wait_for_maps()
    assert page.maps() == before


def test_an_own_picture_is_in_the_link_only_once_it_is_kept_and_until_it_is_deleted(own, opened):
    assert parse_qs(urlsplit(link_of(own)).query)["image"] == ["own"]
    assert "leaves out your picture" in own.find("#lfi-share-note").inner_text()
    own.find("#lfi-keep").click()
    own.find("#lfi-forget").wait_for()
    assert re.search(r"kept until \w+ \d+, \d{4}", own.find("#lfi-share-note").inner_text())
    link = link_of(own)
    other = opened(link)
    assert other.maps() == own.maps()
    assert other.find("#lfi-forget").is_hidden()
    assert re.search(r"Kept here until \w+ \d+, \d{4}\.$", other.find("#lfi-picture-hint").inner_text())
    own.find("#lfi-forget").click()
    own.find("#lfi-keep").wait_for()
    gone = opened(link, stage="empty")
    assert "not kept here any more" in gone.find("#lfi-picture-error").inner_text()
    assert gone.chips() == ["red circle", "blue square"]


def test_a_picture_that_was_kept_twice_from_one_browser_is_deleted_with_one_click(own, opened, service, tmp_path):
    own.find("#lfi-keep").click()
    own.find("#lfi-forget").wait_for()
    link = link_of(own)
    own.page.goto(f"{service}/ui/")
    own.page.wait_for_selector(".lfi[data-stage=empty]:not([data-busy])")
    own.upload(tmp_path / "mine.png")
    own.type_word("red circle, blue square")
    own.wait_for_maps("blue square")
    own.find("#lfi-keep").click()
    own.find("#lfi-forget").wait_for()
    assert link_of(own) == link
    own.find("#lfi-forget").click()
    own.find("#lfi-keep").wait_for()
    assert "not kept here any more" in opened(link, stage="empty").find("#lfi-picture-error").inner_text()


def test_a_link_that_makes_no_sense_opens_the_empty_page(opened, service):
    page = opened(
        f"{service}/ui/?image=../../etc/passwd&words=%3Cimg+src=x%3E&layer=x&columns=a,b&palette=jet&opacity=900",
        stage="empty",
    )
    assert page.errors == []
    assert page.find("#lfi-palette").input_value() == "inferno"
    assert page.chips() == ["<img src=x>"]
    assert page.find("img[src=x]").count() == 0


def test_the_link_can_be_copied(open_page, profile):
    profile.grant_permissions(["clipboard-read", "clipboard-write"])
    page = open_page()
    page.choose_sample()
    page.find("#lfi-copy-address").click()
    page.page.get_by_role("button", name="Copied").wait_for()
    assert page.page.evaluate("navigator.clipboard.readText()") == link_of(page)
    page.find("#lfi-copy-figure").click()
    page.page.get_by_text("The figure is on the clipboard").wait_for()
    types = page.page.evaluate("navigator.clipboard.read().then(items => items.flatMap(item => item.types))")
    assert types == ["image/png"]


def test_a_picture_and_its_words_are_taken_to_a_study(open_page):
    page = open_page()
    page.choose_sample()
    with page.page.expect_download() as started:
        page.page.get_by_role("button", name="Study items, zip").click()
    names = zipfile.ZipFile(started.value.path()).namelist()
    assert names[0] == "items.toml"
    assert names[1].endswith(".webp")


def test_axe_finds_nothing_in_what_looks_closer_and_shares(own):
    own.find("#lfi-keep").click()
    own.find("#lfi-forget").wait_for()
    own.find(".lfi-panel .lfi-stack").first.click(position={"x": 30, "y": 30})
    own.find(".lfi-marking").press("Space")
    own.find(".lfi-inside").wait_for()
    own.page.set_viewport_size({"width": 360, "height": 740})
    report = Axe().run(own.page)
    assert report.violations_count == 0, report.generate_report()
    assert own.page.evaluate("document.documentElement.scrollWidth") == 360
    own.find("#lfi-forget").click()


def draw_box(page, left: float, top: float, right: float, bottom: float) -> None:
    """Draw a box on the picture; sides in shares of it."""
    pad = page.find(".lfi-marking")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    mouse = page.page.mouse
    mouse.move(box["x"] + left * box["width"] + 0.2, box["y"] + top * box["height"] + 0.2)
    mouse.down()
    mouse.move(box["x"] + right * box["width"] - 0.2, box["y"] + bottom * box["height"] - 0.2, steps=3)
    mouse.up()
    page.find(".lfi-inside").wait_for()


def regions(page) -> dict[str, str]:
    """What is said of the region beside every map, once it is measured."""
    page.page.wait_for_function(
        "() => [...document.querySelectorAll('.lfi-panel')].every(each => /peak (in|out)side/.test(each.textContent))"
    )
    return {model: panel.facts["Your region"] for model, panel in page.panels().items()}


def test_a_drawn_box_goes_along_in_the_link(open_page, opened):
    page = open_page()
    page.choose_sample()
    draw_box(page, 0.5, 0, 1, 0.5)
    drawn = regions(page)
    assert parse_qs(urlsplit(link_of(page)).query)["region"] == ["0.5,0,1,0.5"]
    other = opened(link_of(page))
    assert regions(other) == drawn
    assert link_of(other) == link_of(page)


def test_a_free_drawing_is_said_not_to_go_along(open_page):
    page = open_page()
    page.choose_sample()
    draw_box(page, 0.5, 0, 1, 0.5)
    draw_box(page, 0, 0.7, 0.2, 1)
    page.find("#lfi-share-note").get_by_text("Your mask is not in it").wait_for()
    assert "region" not in parse_qs(urlsplit(link_of(page)).query)


@pytest.mark.parametrize("box", ["1,1,0,0", "0,0,2,2", "0.1,0.2", "a,b,c,d", "-1,0,1,1"])
def test_a_region_that_makes_no_sense_is_left_out_and_said_to_be(opened, service, box):
    page = opened(f"{service}/ui/?image=sample:paper&words=red+circle&region={box}")
    assert "region of this link cannot be read" in page.find("#lfi-region-note.lfi-wrong").inner_text()
    assert page.errors == []
    assert "region" not in parse_qs(urlsplit(link_of(page)).query)


def test_keeping_a_picture_keeps_its_region_and_its_numbers(own, opened):
    draw_box(own, 0.25, 0.25, 0.75, 0.75)
    drawn, maps = regions(own), own.maps()
    own.find("#lfi-keep").click()
    own.find("#lfi-forget").wait_for()
    assert regions(own) == drawn
    assert own.maps() == maps
    other = opened(link_of(own))
    assert regions(other) == drawn
    own.find("#lfi-forget").click()
    own.find("#lfi-keep").wait_for()
    assert regions(own) == drawn


def test_a_link_without_the_picture_says_so_to_who_copies_and_to_who_opens_it(own, opened):
    assert own.find("#lfi-copy-address").inner_text() == "Copy link without the picture"
    assert own.find("#lfi-keep").is_visible()
    other = opened(link_of(own), stage="empty")
    assert "is not part of the link" in other.find("#lfi-picture-error").inner_text()
    assert other.chips() == ["red circle", "blue square"]
    other.choose_sample()
    assert other.find("#lfi-picture-error").inner_text() == ""


def test_a_layer_out_of_range_is_the_last_one(opened, service):
    empty = opened(f"{service}/ui/?layer=99", stage="empty")
    most = empty.find("#lfi-depth-value").inner_text().split(" of ")[1]
    assert empty.find("#lfi-depth-value").inner_text() == f"{most} of {most}"
    page = opened(f"{service}/ui/?image=sample:paper&words=red+circle&layer=99")
    assert page.find("#lfi-depth-value").inner_text() == f"{most} of {most}"
    assert parse_qs(urlsplit(link_of(page)).query)["layer"] == [most]
    assert page.errors == []


def test_an_unknown_word_in_a_link_is_left_out_and_named(opened, service):
    page = opened(f"{service}/ui/?image=sample:paper&words=dog,the+red+circle,!!&word=the+red+circle")
    assert page.chips() == ["red circle"]
    assert "“dog” and “!!” were left out" in page.find("#lfi-words-message.lfi-wrong").inner_text()
    assert page.find("#lfi-words-message .lfi-suggestion").count() == 0
    assert page.errors == []


def test_leaving_an_own_picture_is_asked_about_until_it_is_kept(own):
    dialogs = []
    own.page.on("dialog", lambda dialog: (dialogs.append(dialog.type), dialog.accept()))
    own.find("#lfi-keep").click()
    own.find("#lfi-forget").wait_for()
    own.page.reload()
    own.wait_for_maps()
    assert dialogs == []
    own.find("#lfi-forget").click()
    own.page.wait_for_selector(".lfi[data-stage=empty]")
    own.upload(STATIC / "samples" / "table.jpg")
    own.type_word("red circle")
    own.wait_for_maps("red circle")
    own.page.reload()
    own.page.wait_for_selector(".lfi[data-stage=empty]")
    assert dialogs == ["beforeunload"]
    assert "is not part of the link" in own.find("#lfi-picture-error").inner_text()
    own.choose_sample()
    own.page.reload()
    own.wait_for_maps()
    assert dialogs == ["beforeunload"]


def test_a_picture_that_is_not_kept_exactly_is_said_to_be_another(open_page, tmp_path):
    file = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (1000, 1200, 3), dtype=np.uint8)).save(file)
    page = open_page()
    page.upload(file)
    page.type_word("red circle")
    page.wait_for_maps("red circle")
    page.find("#lfi-keep").click()
    page.find("#lfi-forget").wait_for()
    assert "numbers are now those of the stored copy" in page.find("#lfi-picture-hint").inner_text()
    page.find("#lfi-forget").click()
    page.find("#lfi-keep").wait_for()
    assert "stored copy" not in page.find("#lfi-picture-hint").inner_text()

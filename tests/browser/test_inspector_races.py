"""Answers that come late, to a page where something else is chosen by then: every test holds one back."""

from __future__ import annotations

from pathlib import Path

import pytest
from inspector_page import HANDLERS
from PIL import Image

from app.settings import STATIC


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Two of a visitor's own, and a file that is none."""
    files = [tmp_path / f"{name}.png" for name in ("first", "second")]
    for file, sample in zip(files, ("table", "paper"), strict=True):
        Image.open(STATIC / "samples" / f"{sample}.jpg").resize((300, 200)).save(file)
    broken = tmp_path / "broken.png"
    broken.write_text("this is no picture")
    return [*files, broken]


def shown(page) -> str | None:
    """What the page calls its picture."""
    return page.find("#lfi-drop-frame img").get_attribute("alt")


def draw_box(page, until_released) -> None:
    """Draw a box over the middle of the picture; `until_released` happens before the button is let go."""
    pad = page.find(".lfi-marking")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    mouse = page.page.mouse
    mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.25 * box["height"])
    mouse.down()
    mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.75 * box["height"], steps=3)
    until_released()
    mouse.up()


def measured(page) -> None:
    page.find(".lfi-inside").wait_for()
    page.page.wait_for_function(
        "() => [...document.querySelectorAll('.lfi-panel')].every(each => /peak (in|out)side/.test(each.textContent))"
    )


def test_a_word_that_is_answered_while_a_region_is_drawn_is_a_word_like_others(open_page):
    page = open_page()
    page.choose_sample()
    draw_box(page, lambda: None)
    measured(page)
    held = page.hold("compare")
    page.type_word("yellow triangle")
    held.wait()
    draw_box(page, lambda: (held.end(), page.wait_for_maps("yellow triangle")))
    measured(page)
    page.type_word("green triangle")
    page.wait_for_maps("green triangle")
    measured(page)


def test_a_region_is_measured_on_the_maps_that_are_on_screen(open_page):
    page = open_page()
    page.choose_sample()
    held = page.hold("compare")
    page.find(".lfi-chip-remove").first.click()  # the maps of both words are still there
    held.wait()
    page.find(".lfi-choice").nth(2).select_option("baseline:rollout")
    draw_box(page, lambda: None)
    page.find(".lfi-inside").wait_for()
    held.end()
    page.wait_for_maps()
    measured(page)


def test_a_fault_of_the_page_is_said_and_the_next_word_is_asked(open_page):
    page = open_page()
    page.choose_sample()
    page.page.evaluate("() => { const node = document.querySelector('#lfi-maps-title'); node.id = 'elsewhere' }")
    page.type_word("star")
    message = page.find("#lfi-words-message.lfi-wrong")
    message.wait_for()
    assert message.inner_text().startswith("Something went wrong on this page")
    page.page.evaluate("() => { document.querySelector('#elsewhere').id = 'lfi-maps-title' }")
    page.type_word("yellow triangle")
    page.wait_for_maps("yellow triangle")
    assert len(page.errors) == 1
    page.errors.clear()


def test_a_picture_that_was_kept_does_not_come_back_over_the_next_one(open_page, pictures):
    first, second, _ = pictures
    page = open_page()
    page.upload(first)
    page.type_word("red circle")
    page.wait_for_maps("red circle")
    held = page.hold("keep")
    page.find("#lfi-keep").click()
    held.wait()
    page.upload(second)
    page.find("#lfi-drop-frame img[alt*=second]").wait_for()
    page.wait_for_maps("red circle")
    maps = page.maps()
    with page.page.expect_response(HANDLERS):
        held.end()
    page.find("#lfi-keep:enabled").wait_for()
    page.wait_for_maps()
    assert shown(page) == "Your picture second.png"
    assert page.maps() == maps
    assert page.find("#lfi-forget").is_hidden()
    assert "leaves out your picture" in page.find("#lfi-share-note").inner_text()


@pytest.mark.parametrize("earlier", [True, False])
def test_a_picture_is_refused_although_a_word_was_typed_before_the_answer(open_page, pictures, earlier):
    first, _, broken = pictures
    page = open_page()
    if earlier:
        page.upload(first)
        page.find("#lfi-drop-frame img[alt*=first]").wait_for()
    held = page.hold("compare")
    page.upload(broken)
    held.wait()
    page.type_word("red circle")
    held.end()
    page.find("#lfi-picture-error:not(:empty)").wait_for()
    page.find(".lfi-chip:not(.lfi-pending)").wait_for()
    assert "not an image" in page.find("#lfi-picture-error").inner_text()
    assert page.chips() == ["red circle"]
    assert page.find(".lfi-wrong").count() == 0
    if earlier:
        page.wait_for_maps("red circle")
        assert shown(page) == "Your picture first.png"
    else:
        assert page.find("#lfi").get_attribute("data-stage") == "empty"


def word_and_column(page, word):
    """Type a word on a sample, and choose another column before its answer comes; the words before that."""
    page.choose_sample()
    before = page.chips()
    held = page.hold("compare")
    page.type_word(word)
    held.wait()
    page.find(".lfi-choice").nth(2).select_option("baseline:rollout")
    held.wait(2)
    held.end()
    return before


def test_an_unknown_word_is_refused_although_something_else_was_asked_before_the_answer(open_page):
    page = open_page()
    before = word_and_column(page, "red cirle")
    page.find("#lfi-words-message").get_by_role("button", name="red circle", exact=True).wait_for()
    page.wait_for_maps()
    assert page.chips() == before
    assert page.find("#lfi-word").input_value() == "red cirle"
    assert page.panels()["baseline"].shown


def test_a_known_word_stays_although_something_else_was_asked_before_the_answer(open_page):
    page = open_page()
    before = word_and_column(page, "yellow triangle")
    page.wait_for_maps("yellow triangle")
    assert page.chips() == [*before, "yellow triangle"]
    assert page.find(".lfi-wrong").count() == 0


def test_what_explains_an_earlier_picture_best_changes_no_column_of_the_next_one(open_page):
    page = open_page()
    page.choose_sample()
    before = [each.input_value() for each in page.find(".lfi-choice").all()]
    panel = page.find(".lfi-panel").nth(2)
    held = page.hold("rank")
    panel.get_by_role("button", name="Its best explanation here").click()
    held.wait()
    page.choose_sample("table")
    page.find(".lfi-sample[data-sample=table][aria-pressed=true]").wait_for()
    with page.page.expect_response(HANDLERS):
        held.end()
    panel.locator(".lfi-rank button:enabled").wait_for()
    assert [each.input_value() for each in page.find(".lfi-choice").all()] == before
    assert panel.locator(".lfi-ranked").inner_text() == ""


def test_what_is_best_for_one_word_is_not_said_of_another(open_page):
    page = open_page()
    page.choose_sample()
    said = page.find(".lfi-panel").nth(2).locator(".lfi-ranked")
    page.find(".lfi-panel").nth(2).get_by_role("button", name="Its best explanation here").click()
    said.get_by_text("Best here of").wait_for()
    page.wait_for_maps()
    assert said.inner_text() != ""
    page.find(".lfi-chip-word").nth(1).click()
    assert said.inner_text() == ""

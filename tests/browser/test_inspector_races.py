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

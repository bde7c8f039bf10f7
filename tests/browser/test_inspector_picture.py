"""The picture is the page: maps above the fold, side by side to swipe on a phone; every colour in them is attention."""

from __future__ import annotations

import numpy as np
import pytest
from inspector_page import InspectorPage, picture_in

from lfi.rendering import PALETTES

FRAMES = "[...document.querySelectorAll('.lfi-panel .lfi-frame')].map(each => each.getBoundingClientRect().toJSON())"


def frames(page: InspectorPage) -> list[dict[str, float]]:
    page.page.evaluate("scrollTo(0, 0)")
    return page.page.evaluate(FRAMES)


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768)])
def test_all_maps_are_above_the_fold(open_page, width, height):
    page = open_page(width=width, height=height)
    page.choose_sample()
    found = frames(page)
    assert len(found) == 3
    assert max(each["bottom"] for each in found) <= height
    assert max(each["right"] for each in found) <= width
    assert page.find("#lfi-scale-bar").bounding_box()["y"] < height


def test_on_a_phone_a_map_is_as_wide_as_the_screen_and_a_swipe_brings_the_next(open_page):
    page = open_page(width=390, height=844)
    page.choose_sample()
    first, second, _ = frames(page)
    assert first["width"] > 0.85 * 390
    assert first["bottom"] <= 844
    assert second["left"] < 390 < second["right"]
    page.find("#lfi-panels").evaluate("node => node.scrollBy({ left: 300, behavior: 'instant' })")
    page.page.wait_for_timeout(500)
    left = frames(page)[1]["left"]
    assert 0 <= left <= 390 - second["width"]


def test_the_list_of_words_folds_when_there_is_one_and_comes_back(open_page):
    page = open_page()
    known = page.find("#lfi-vocabulary")
    assert known.is_visible()
    page.choose_sample()
    assert not known.is_visible()
    page.page.get_by_text("Words they know").click()
    assert known.is_visible()
    for _ in page.chips():
        page.find(".lfi-chip-remove").first.click()
        page.page.wait_for_selector(".lfi:not([data-busy])")
    assert known.is_visible()


def test_a_picture_under_a_map_is_grey_until_the_map_is_gone(open_page):
    page = open_page()
    page.choose_sample()
    look = "node => getComputedStyle(node).filter"
    under = page.find(".lfi-panel .lfi-picture").first
    assert under.evaluate(look) == "grayscale(1) brightness(0.85)"
    page.page.get_by_role("slider", name="Opacity").fill("0")
    assert under.evaluate(look) == "grayscale(0) brightness(1)"
    assert page.find("#lfi-region-frame .lfi-picture").evaluate(look) == "none"


def test_patches_are_shown_as_they_are_and_what_is_even_is_not_drawn(open_page):
    page = open_page()
    page.choose_sample()
    smooth = page.maps()["teacher"]
    page.page.get_by_label("show patches").check()
    blocks = page.maps()["teacher"]
    colours, counts = np.unique(np.asarray(picture_in(blocks)).reshape(-1, 4), axis=0, return_counts=True)
    assert len(colours) <= 64 < len(np.unique(np.asarray(picture_in(smooth)).reshape(-1, 4), axis=0))
    assert colours[counts.argmax(), 3] == 0
    opaque = colours[colours[:, 3] == 255]
    assert all(tuple(colour[:3]) in {tuple(each) for each in PALETTES["inferno"]} for colour in opaque)
    assert "draw=patches" in page.page.url


def test_a_ring_marks_each_peak_and_a_line_half_of_it(open_page):
    page = open_page()
    page.choose_sample()
    assert page.find(".lfi-panel .lfi-peak:visible").count() == 3
    stack = page.find(".lfi-panel[data-model=lfi] .lfi-stack").bounding_box()
    ring = page.find(".lfi-panel[data-model=lfi] .lfi-peak").bounding_box()
    across = (ring["x"] + ring["width"] / 2 - stack["x"]) / stack["width"]
    down = (ring["y"] + ring["height"] / 2 - stack["y"]) / stack["height"]
    page.page.get_by_label("show patches").check()
    alpha = np.asarray(picture_in(page.maps()["lfi"]).getchannel("A"))
    height, width = alpha.shape
    assert alpha[int(down * height), int(across * width)] == alpha.max()
    line = page.find(".lfi-panel .lfi-contour path").first
    assert not line.get_attribute("d")
    page.page.get_by_label("outline at half of the peak").check()
    assert line.get_attribute("d").count("M") > 8

"""What helps on the first visit and closer up: the tour, the notes on the maps, zoom, the tip beside the pointer."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from inspector_page import InspectorPage
from PIL import Image


@pytest.fixture
def looking(open_page):
    page = open_page()
    page.find("[data-sample=paper]").click()
    page.wait_for_maps("red circle")
    return page


def test_the_tour_has_three_steps_and_is_offered_once(chromium, service):
    context = chromium.new_context()
    page = InspectorPage(context.new_page(), service)
    page.load()
    page.page.get_by_role("button", name="Show me around").click()
    card = page.page.get_by_role("dialog")
    for step in ("1 of 3", "2 of 3", "3 of 3"):
        assert step in card.inner_text()
        if step == "2 of 3":
            page.wait_for_maps()  # the tour brings a picture along
            assert Axe().run(page.page).violations_count == 0
        card.get_by_role("button", name=re.compile("Next|Done")).click()
    assert card.count() == 0 or not card.is_visible()
    page.load()
    assert not page.find("#lfi-tour-offer").is_visible()
    assert page.errors == []
    context.close()


def test_the_tour_can_be_skipped_and_is_not_offered_again(chromium, service):
    context = chromium.new_context()
    page = InspectorPage(context.new_page(), service)
    page.load()
    page.page.get_by_role("button", name="Show me around").click()
    page.page.keyboard.press("Escape")
    assert not page.find(".lfi-tour").is_visible()
    assert page.find(".lfi-toured").count() == 0
    page.load()
    assert not page.find("#lfi-tour-offer").is_visible()
    context.close()


def test_how_to_read_this_is_written_on_the_maps_that_are_on_screen(looking):
    button = looking.page.get_by_role("button", name="How to read this")
    button.click()
    notes = looking.find(".lfi-guide-note:visible .lfi-guide-text").all_inner_texts()
    assert len(notes) == 3
    peak = re.match(r"[\d.]+", looking.panels()["teacher"].facts["Peak"]).group()
    assert f"{peak} times an even share" in notes[0]
    assert "1× or below" in notes[1]
    r = re.match(r"r (−?[\d.]+)", looking.panels()["baseline"].facts["With teacher"]).group(1)
    assert f"r is {r}" in notes[2]
    assert button.get_attribute("aria-expanded") == "true"
    button.click()
    assert looking.find(".lfi-guide-note:visible").count() == 0


def test_all_maps_are_enlarged_together_and_moved_together(looking):
    stacks = ".lfi-panel .lfi-stack"
    before = [box["width"] for box in looking.boxes(stacks)]
    looking.page.get_by_role("button", name="Zoom in").click()
    looking.page.get_by_role("button", name="Zoom in").click()
    after = looking.boxes(stacks)
    assert [round(box["width"] / old, 2) for box, old in zip(after, before, strict=True)] == [2.25] * 3
    frame = looking.find(".lfi-panel .lfi-frame").first.bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    looking.page.mouse.move(x, y)
    looking.page.mouse.down()
    looking.page.mouse.move(x + 40, y, steps=4)
    looking.page.mouse.up()
    assert [round(new["x"] - old["x"]) for new, old in zip(looking.boxes(stacks), after, strict=True)] == [40] * 3
    assert looking.find("#lfi-probe .lfi-tip").count() == 1
    looking.page.get_by_role("button", name="Whole picture").click()
    assert [box["width"] for box in looking.boxes(stacks)] == before


def test_what_is_read_of_a_patch_stands_beside_the_pointer(looking):
    stack = looking.find(".lfi-panel[data-model=lfi] .lfi-stack")
    stack.hover(position={"x": 100, "y": 80})
    patch = looking.find(".lfi-panel[data-model=lfi] .lfi-patch").bounding_box()
    tip = looking.find(".lfi-tip").bounding_box()
    assert 0 <= tip["x"] - (patch["x"] + patch["width"]) < 30
    assert 0 <= tip["y"] - (patch["y"] + patch["height"]) < 30


def test_what_matters_stands_under_a_map_and_the_rest_behind_details(looking):
    panel = looking.find(".lfi-panel[data-model=lfi]")
    assert panel.locator("dt:visible").all_inner_texts() == ["Peak", "With teacher", "Nearness"]
    panel.get_by_text("details").click()
    assert {"Map", "Layer", "Read from", "Model"} < set(panel.locator("dt:visible").all_inner_texts())


def test_a_panorama_has_the_width_of_the_page(open_page, tmp_path):
    Image.radial_gradient("L").resize((900, 300)).save(tmp_path / "wide.png")
    page = open_page()
    page.upload(tmp_path / "wide.png")
    page.type_word("star")
    page.wait_for_maps("star")
    boxes = page.boxes(".lfi-panel > .lfi-frame")
    assert all(box["width"] / box["height"] == pytest.approx(3, rel=0.02) for box in boxes)
    assert len({box["x"] for box in boxes}) == 1
    assert boxes[0]["width"] > 900


def test_of_an_animation_the_first_frame_is_shown_and_the_page_says_so(open_page, tmp_path):
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "dance.gif", save_all=True, append_images=frames[1:])
    page = open_page()
    page.upload(tmp_path / "dance.gif")
    page.page.get_by_text("The GIF image has several frames; this is the first of them.").wait_for()

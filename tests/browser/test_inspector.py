"""The main path: a picture, words, and three maps side by side."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from inspector_page import picture_in
from PIL import Image

from lfi.data.scenes import Scenes

SCENE = next(scene for scene in Scenes(20, seed=71, size=320, domains=("photo",)) if len(scene.objects) >= 2)
WORDS = [thing.name for thing in SCENE.objects]


@pytest.fixture(scope="session")
def photo(tmp_path_factory) -> Path:
    """A real JPEG of a generated scene."""
    path = tmp_path_factory.mktemp("pictures") / "photo.jpg"
    Image.fromarray(SCENE.image).save(path, quality=92)
    return path


def test_an_uploaded_jpeg_and_a_word_give_three_different_maps(open_page, photo):
    page = open_page()
    page.upload(photo)
    page.type_word(WORDS[0])
    page.wait_for_maps(WORDS[0])
    panels = page.panels()
    assert list(panels) == ["teacher", "lfi", "baseline"]
    assert [panel.picture for panel in panels.values()] == [320, 320, 320]
    assert all(panel.shown for panel in panels.values())
    assert all(len(picture_in(panel.map).getcolors(10**6)) > 20 for panel in panels.values())
    assert len({panel.map for panel in panels.values()}) == 3


def test_every_panel_says_which_model_map_and_layer_it_shows(open_page, photo):
    page = open_page()
    page.upload(photo)
    page.type_word(WORDS[0])
    page.wait_for_maps(WORDS[0])
    panels = page.panels()
    assert len({panel.facts["Model"] for panel in panels.values()}) == 3
    assert all(re.fullmatch(r".+@[0-9a-f]{12}", panel.facts["Model"]) for panel in panels.values())
    assert all(panel.facts["Map"] and panel.facts["Layer"] for panel in panels.values())
    assert re.fullmatch(r"query \d+, nearness −?\.?\d+(\.\d+)?", panels["lfi"].facts["Read from"])
    assert all(
        re.search(rf"{WORDS[0]}: \d.*× uniform, (top|middle|bottom|centre)", panel.label) for panel in panels.values()
    )


def test_all_maps_share_one_labelled_scale(open_page, photo):
    page = open_page()
    page.upload(photo)
    page.type_word(WORDS[0])
    page.wait_for_maps()
    scale = page.page.get_by_role("img", name=re.compile("One colour scale for all maps, from 1×.* uniform"))
    assert scale.count() == 1
    ticks = page.find("#lfi-scale-ticks span").all_text_contents()
    assert ticks[0] == "1×"
    tops = [float(re.match(r"[\d.]+", panel.facts["Peak"]).group()) for panel in page.panels().values()]
    assert float(ticks[-1].strip("≥× ")) >= 0.9 * max(tops)


def test_words_share_a_scale_when_asked_to(open_page, photo):
    page = open_page()
    page.upload(photo)
    page.type_word(", ".join(WORDS[:2]))
    page.wait_for_maps()

    def tops() -> list[str]:
        found = []
        for word in WORDS[:2]:
            page.page.get_by_role("button", name=word, exact=True).first.click()
            found.append(page.find("#lfi-scale-ticks span").last.inner_text())
        return found

    apart = tops()
    assert len(set(apart)) == 2
    page.page.get_by_label("same scale for all my words").check()
    shared = tops()
    assert len(set(shared)) == 1
    assert float(shared[0].strip("≥× ")) == max(float(top.strip("≥× ")) for top in apart)


def test_another_word_asks_once_and_going_back_asks_nothing(open_page, photo):
    page = open_page()
    page.upload(photo)
    page.type_word(WORDS[0])
    page.wait_for_maps(WORDS[0])
    asked = page.questions()
    page.type_word(WORDS[1])
    page.wait_for_maps(WORDS[1])
    assert page.questions() == asked + 1
    second = page.maps()
    page.page.get_by_role("button", name=WORDS[0], exact=True).first.click()
    page.wait_for_maps(WORDS[0])
    first = page.maps()
    assert page.questions() == asked + 1
    assert first["teacher"] != second["teacher"]
    page.page.get_by_role("button", name=WORDS[1], exact=True).first.click()
    assert page.maps() == second


def test_the_layer_slider_shows_other_layers_and_best_comes_back(open_page, photo):
    page = open_page()
    page.upload(photo)
    page.type_word(WORDS[0])
    page.wait_for_maps()
    best, asked = page.panels(), page.questions()
    slider = page.page.get_by_role("slider", name="Layer")
    slider.focus()
    seen = set()
    for key in ("Home", *["ArrowRight"] * 3, "End"):
        page.page.keyboard.press(key)
        seen.add(page.panels()["lfi"].facts["Layer"])
    assert len(seen) > 1
    assert not page.find("#lfi-best").is_checked()
    page.find("#lfi-best").check()
    assert page.panels() == best
    assert page.questions() == asked


def test_opacity_and_colours_change_at_once(open_page, photo):
    page = open_page()
    page.upload(photo)
    page.type_word(WORDS[0])
    page.wait_for_maps()
    before, asked = page.maps(), page.questions()
    page.page.get_by_role("slider", name="Opacity").fill("20")
    assert page.find(".lfi-panel canvas").first.evaluate("node => getComputedStyle(node).opacity") == "0.2"
    assert page.maps() == before
    page.page.get_by_label("Colours").select_option("magma")
    assert page.maps()["lfi"] != before["lfi"]
    assert page.questions() == asked


def test_the_gallery_shows_every_query_and_marks_the_one_that_answers(open_page, photo):
    page = open_page()
    page.upload(photo)
    page.type_word(WORDS[0])
    page.wait_for_maps()
    queries = page.find(".lfi-query")
    texts = queries.all_inner_texts()
    assert len(texts) > 1
    assert all(re.search(r"query \d+\s+near “.+” −?\.?\d", text) for text in texts)
    answering = page.find(".lfi-answering")
    assert answering.count() == 1
    query = page.panels()["lfi"].facts["Read from"].split(",")[0]
    assert answering.inner_text().startswith(query)
    assert f"answers “{WORDS[0]}”" in answering.inner_text()


def test_a_sample_brings_its_words_and_its_maps(open_page):
    page = open_page()
    page.page.get_by_role("button", name="See an example").click()
    page.wait_for_maps()
    assert len(page.chips()) > 0
    assert page.find("[data-sample][aria-pressed=true]").count() == 1
    assert len(set(page.maps().values())) == 3


def test_words_are_removed_by_click_delete_and_backspace(open_page):
    page = open_page()
    page.choose_sample()
    page.page.get_by_role("button", name=f"Remove {page.chips()[0]}").click()
    page.wait_for_maps()
    left = page.chips()
    page.type_word("circle, star")
    page.wait_for_maps("star")
    assert page.chips() == [*left, *(word for word in ("circle", "star") if word not in left)]
    page.page.get_by_role("button", name="star", exact=True).first.press("Delete")
    assert "star" not in page.chips()
    count = len(page.chips())
    page.find("#lfi-word").press("Backspace")
    assert len(page.chips()) == count - 1


def test_a_word_may_come_before_the_picture(open_page, photo):
    page = open_page()
    page.type_word(WORDS[0])
    page.find(".lfi-chip:not(.lfi-pending)").wait_for()
    page.upload(photo)
    page.wait_for_maps(WORDS[0])
    assert page.chips() == [WORDS[0]]


def test_nothing_moves_when_maps_appear(open_page, photo):
    page = open_page()
    fixed = ".lfi-panel .lfi-frame, #lfi-scale-bar, #lfi-drop-frame, #lfi-field"
    page.upload(photo)
    page.type_word(WORDS[0])
    page.find(".lfi[data-compact] .lfi-chip").wait_for()  # what makes room does so at once
    before = page.boxes(fixed)
    page.wait_for_maps()
    after = page.boxes(fixed)
    assert after == [pytest.approx(box, abs=1.5) for box in before]  # half-pixels are rounded either way


def test_a_pasted_and_a_dropped_picture_are_taken(open_page, photo):
    give = """([kind, bytes]) => {
        const file = new File([new Uint8Array(bytes)], 'given.jpg', { type: 'image/jpeg' });
        const data = new DataTransfer();
        data.items.add(file);
        const target = document.querySelector('#lfi-panels');
        const how = { bubbles: true, cancelable: true };
        target.dispatchEvent(kind === 'paste'
            ? new ClipboardEvent('paste', { ...how, clipboardData: data })
            : new DragEvent('drop', { ...how, dataTransfer: data }));
    }"""
    for kind in ("paste", "drop"):
        page = open_page()
        page.type_word(WORDS[0])
        page.page.evaluate(give, [kind, list(photo.read_bytes())])
        page.wait_for_maps(WORDS[0])
        assert page.panels()["teacher"].picture == 320

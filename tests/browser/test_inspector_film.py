"""Layers as a film strip: how each query travels, and how much of it moves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from app.settings import STATIC
from lfi.drift import drift, mean_drift
from lfi.trio import Trio

DRIFT = re.compile(r"(\d+) % drift per layer|one layer")


@pytest.fixture(scope="module")
def seen(models: Path):
    """What the models say of the sample, asked without the page."""
    return Trio.load(models).compare(
        Image.open(STATIC / "samples" / "paper.jpg").convert("RGB"), ["red circle", "blue star", "heart"]
    )


@pytest.fixture
def looking(open_page):
    page = open_page()
    page.choose_sample()
    return page


def strip(page, selector: str) -> tuple[list[str], str]:
    """The notes under a strip's frames, and its drift."""
    row = page.find(selector)
    total = " ".join(row.locator(".lfi-strip-drift").inner_text().split())
    return [" ".join(text.split()) for text in row.locator(".lfi-strip-note").all_inner_texts()], total


@pytest.mark.parametrize("model", ["teacher", "lfi", "baseline"])
def test_a_word_has_a_frame_per_layer_and_its_drift(looking, seen, model):
    maps = seen.maps[model]
    steps, mean = drift(maps)[0, :, 0].tolist(), mean_drift(maps)[0, 0].item()
    notes, total = strip(looking, f"#lfi-film-words [data-model={model}]")
    assert notes == ["1", *(f"{layer} {round(100 * step)} %" for layer, step in enumerate(steps, start=2))]
    assert total == ("one layer" if not steps else f"{round(100 * mean)} % drift per layer")


def test_every_query_has_a_strip_with_its_name_and_its_drift(looking, seen):
    means = mean_drift(seen.queries)[0].tolist()
    for query, mean in enumerate(means):
        notes, total = strip(looking, f"[data-query='{query}']")
        assert len(notes) == len(seen.queries.layers)
        assert total == f"{round(100 * mean)} % drift per layer"
        assert f"near “{seen.named[query][0]}”" in looking.find(f"[data-query='{query}']").inner_text()


def test_a_strip_says_in_words_where_the_query_travels(looking):
    labels = [each.get_attribute("aria-label") for each in looking.find(".lfi-strip-frames").all()]
    assert all(
        re.search(r"through \d+ layers: peak .*(drift \d+ % per layer|one layer alone)", each) for each in labels
    )


def test_all_frames_share_one_scale_of_their_own(looking):
    bar = looking.page.get_by_role("img", name=re.compile("One colour scale for all frames, from "))
    assert bar.count() == 1


def test_a_frame_is_enlarged_in_place_and_becomes_the_layer_on_screen_when_asked(looking):
    asked, layer = looking.questions(), looking.panels()["lfi"].facts["Layer"]
    row = looking.find("#lfi-film-words [data-model=lfi]")
    frames = row.locator(".lfi-strip-cell")
    frames.nth(1).click()
    detail = row.locator(".lfi-detail")
    assert re.search(r"layer 2 of \d+\s+Peak [\d.]+× uniform, .*; \d+ % of the attention moved", detail.inner_text())
    assert detail.locator("canvas").is_visible()
    assert looking.panels()["lfi"].facts["Layer"] == layer
    detail.get_by_role("button", name="Show layer 2 above").click()
    assert looking.panels()["lfi"].facts["Layer"].startswith("2 of")
    assert "lfi-current" in frames.nth(1).get_attribute("class")
    assert looking.questions() == asked


def test_a_query_s_frame_is_enlarged_and_follows_the_word_until_it_is_closed(looking):
    row = looking.find("[data-query='0']")
    row.locator(".lfi-strip-cell").nth(2).click()
    detail = row.locator(".lfi-detail")
    assert detail.inner_text().startswith("query 1, near ")
    looking.find(".lfi-chip-word").nth(1).click()
    assert detail.is_visible()
    detail.get_by_role("button", name="Close").click()
    assert detail.is_hidden()


def test_a_keyboard_opens_a_frame_and_walks_through_its_layers(looking):
    row = looking.find("#lfi-film-words [data-model=lfi]")
    row.get_by_role("button", name="Enlarge a layer of LFI student").press("Enter")
    detail = row.locator(".lfi-detail")
    last = detail.inner_text()
    assert re.search(r"layer (\d+) of \1", last)
    assert detail.get_by_role("button", name="Layer after").is_disabled()
    before = detail.get_by_role("button", name="Layer before")
    before.press("Enter")
    assert detail.inner_text() != last
    assert before.evaluate("each => each === document.activeElement"), "so that Enter goes on"


def test_later_steps_are_a_line_each_until_there_are_maps(open_page):
    page = open_page()
    height = "document.documentElement.scrollHeight"
    assert page.find("#lfi-film .lfi-frame:visible, .lfi-closer .lfi-frame:visible").count() == 0
    assert page.find(".lfi-later:visible").count() == 3
    assert page.page.evaluate(height) < 2400
    page.page.get_by_role("button", name="Share", exact=True).click()
    page.page.wait_for_function("() => document.querySelector('#lfi-share').getBoundingClientRect().top < innerHeight")
    assert page.find("#lfi-share-title").is_visible()
    page.choose_sample()
    assert page.find(".lfi-later:visible").count() == 0
    assert page.find("#lfi-film .lfi-frame:visible").count() > 0

"""Looking closer: patches, regions of words, differences and numbers of agreement, on any columns."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from inspector_page import picture_in
from PIL import Image

from app.settings import STATIC
from app.ui.agreement import agreement
from lfi.rendering import difference, difference_scales, ground, shared_scale, times_uniform, veil
from lfi.trio import Trio

WORDS = ["red circle", "blue star", "heart"]
SAMPLE = STATIC / "samples" / "paper.jpg"


@pytest.fixture(scope="module")
def seen(models: Path):
    """What the models say of the sample at the layers shown first, asked without the page."""
    comparison = Trio.load(models).compare(Image.open(SAMPLE).convert("RGB"), WORDS)
    return {model: maps.layer(comparison.default_layer[model]) for model, maps in comparison.maps.items()}


@pytest.fixture
def looking(open_page):
    page = open_page()
    page.choose_sample()
    return page


def said(agreed) -> str:
    r = "–" if agreed.correlation is None else f"{agreed.correlation:.2f}".replace("0.", ".").replace("-", "−")
    return f"r {r}, {round(100 * agreed.shared)} % shared"


def test_every_map_says_how_it_agrees_with_the_teacher(looking, seen):
    panels = looking.panels()
    assert panels["teacher"].facts["With teacher"] == "–"
    for model in ("lfi", "baseline"):
        expected = agreement(seen[model], seen["teacher"])[0]
        assert panels[model].facts["With teacher"] == said(expected)


def test_a_patch_pointed_at_tells_its_numbers_and_who_looks_there(looking, seen):
    weights = seen["lfi"].weights[0, 0, 0]
    rows, columns = seen["lfi"].grid
    row, column = divmod(int(weights.argmax()), columns)
    stack = looking.find(".lfi-panel[data-model=lfi] .lfi-stack")
    box = stack.bounding_box()
    stack.hover(position={"x": (column + 0.5) / columns * box["width"], "y": (row + 0.5) / rows * box["height"]})
    text = looking.find("#lfi-probe").inner_text()
    assert f"Row {row + 1}, column {column + 1} of {rows} × {columns}" in text
    peak = float(times_uniform(weights).max())
    assert f"LFI student {peak:.0f}×" in text or f"LFI student {peak:.1f}×" in text
    query = looking.panels()["lfi"].facts["Read from"].split(",")[0]
    assert re.search(rf"Queries that look here: .*{query} \(near “.+”\)", text)
    assert looking.find(".lfi-patch:visible").count() == 3
    looking.page.mouse.move(2, 2)
    assert looking.find(".lfi-patch:visible").count() == 0


def test_the_arrow_keys_read_patches(looking):
    stack = looking.find(".lfi-panel[data-model=teacher] .lfi-stack")
    stack.focus()
    keyboard = looking.page.keyboard
    keyboard.press("ArrowRight")
    place = re.compile(r"Row (\d+), column (\d+)")

    def at() -> tuple[int, int]:
        row, column = place.search(looking.find("#lfi-probe").inner_text()).groups()
        return int(row), int(column)

    row, column = at()
    keyboard.press("ArrowUp")
    keyboard.press("ArrowLeft")
    assert at() == (row - 1, column - 1)
    keyboard.press("Escape")
    assert "Point at a patch" in looking.find("#lfi-probe").inner_text()


def test_a_tap_holds_a_patch_and_another_one_lets_go(looking):
    stack = looking.find(".lfi-panel[data-model=teacher] .lfi-stack")
    stack.click(position={"x": 20, "y": 20})
    looking.page.mouse.move(2, 2)
    assert "Row 1, column 1" in looking.find("#lfi-probe").inner_text()
    stack.click(position={"x": 20, "y": 20})
    looking.page.mouse.move(2, 2)
    assert "Point at a patch" in looking.find("#lfi-probe").inner_text()


def test_a_word_pointed_at_shows_its_region_on_every_map(looking, seen):
    looking.find(".lfi-chip-word").nth(1).hover()
    for model, maps in seen.items():
        region = looking.find(f".lfi-panel[data-model={model}] .lfi-region")
        weights = maps.weights[0, 0, 1].numpy()
        inside = np.pad(weights >= weights.max() / 2, 1)
        edges = sum(int((inside != np.roll(inside, 1, axis)).sum()) for axis in (0, 1))
        assert region.locator("path").last.get_attribute("d").count("M") == edges
    assert "region of “blue star”" in looking.find("#lfi-probe").inner_text()
    looking.page.mouse.move(2, 2)
    assert looking.find(".lfi-region path").count() == 0


def test_the_difference_is_that_of_the_rendering_with_its_own_scale(looking, seen):
    looking.find("#lfi-difference-first").select_option("lfi")
    looking.find("#lfi-difference-second").select_option("teacher")
    (scale, *_) = difference_scales(seen["lfi"], seen["teacher"])
    bar = looking.find("#lfi-difference-scale")
    ticks = bar.locator(".lfi-scale-ticks span").all_inner_texts()
    assert ticks == [tick.label.replace("-", "−") for tick in scale.ticks()]
    assert said(agreement(seen["lfi"], seen["teacher"])[0]) in looking.find("#lfi-difference-note").inner_text()
    uri = looking.find(".lfi-close canvas").first.evaluate("node => node.toDataURL()")
    painted = picture_in(uri)
    white = Image.new("RGB", painted.size, "white")
    paper = ground(white, 1)
    first, second = (seen[model].weights[0, 0, 0].numpy() for model in ("lfi", "teacher"))
    expected = difference(white, first, second, scale, opacity=1)
    paper.paste(painted.convert("RGB"), mask=painted.getchannel("A"))
    apart = np.abs(np.asarray(paper, float) - np.asarray(expected, float))
    assert apart.mean() < 2


def test_maps_and_their_bar_are_those_of_the_rendering(looking, seen):
    scale = shared_scale(maps.select(queries=[0]) for maps in seen.values())
    for model, maps in seen.items():
        painted = picture_in(
            looking.find(f".lfi-panel[data-model={model}] canvas").first.evaluate("node => node.toDataURL()")
        )
        expected = veil(maps.weights[0, 0, 0], scale, painted.size, opacity=1, peak=False)
        white = [Image.new("RGB", painted.size, "white") for _ in range(2)]
        for paper, layer in zip(white, (painted, expected), strict=True):
            paper.paste(layer.convert("RGB"), mask=layer.getchannel("A"))
        assert np.abs(np.asarray(white[0], float) - np.asarray(white[1], float)).mean() < 0.5, model
    ticks = looking.find("#lfi-scale .lfi-scale-ticks span").all()
    places = {each.inner_text(): float(re.search(r"[\d.]+", each.get_attribute("style")).group()) for each in ticks}
    assert places == {
        tick.label: pytest.approx(100 * float(scale.share(tick.value)), abs=0.01) for tick in scale.ticks()
    }


def test_what_is_subtracted_can_be_turned_round_and_never_from_itself(looking):
    first, second = looking.find("#lfi-difference-first"), looking.find("#lfi-difference-second")
    first.select_option("baseline")
    second.select_option("baseline")
    assert first.input_value() != "baseline"


def test_a_column_swaps_with_the_one_that_shows_the_same(looking):
    before = looking.maps()
    looking.find(".lfi-choice").nth(0).select_option("baseline")
    looking.wait_for_maps()
    answers = [each.get_attribute("data-answer") for each in looking.find(".lfi-panel").all()]
    assert answers == ["baseline", "lfi", "teacher"]
    assert looking.maps() == before


def test_two_columns_share_a_scale_of_their_own_and_a_third_comes_back(looking):
    top = looking.find("#lfi-scale-ticks span").last.inner_text()
    looking.find(".lfi-choice").nth(0).select_option("baseline")
    looking.find(".lfi-choice").nth(1).select_option("teacher")
    looking.find(".lfi-choice").nth(2).select_option("")
    looking.wait_for_maps()
    assert looking.find(".lfi-panel:visible").count() == 2
    assert float(looking.find("#lfi-scale-ticks span").last.inner_text().strip("≥× ")) <= float(top.strip("≥× "))
    looking.page.get_by_role("button", name="Compare a third one").click()
    looking.wait_for_maps()
    assert looking.find(".lfi-panel:visible").count() == 3

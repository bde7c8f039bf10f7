"""A region marked by hand, by keys or by a mask: how much of every map lies inside, and whether its peak does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from app.settings import STATIC
from app.ui.agreement import inside
from lfi.trio import Trio

SAMPLE = Image.open(STATIC / "samples" / "paper.jpg").convert("RGB")
QUARTER = Image.new("L", (100, 100))
QUARTER.paste(255, (50, 0, 100, 50))


@pytest.fixture(scope="module")
def expected(models: Path) -> dict[str, str]:
    """What stands beside every map once the upper right quarter is marked."""
    comparison = Trio.load(models).compare(SAMPLE, ["red circle"])
    region = torch.zeros(128, 128, dtype=torch.bool)
    region[:64, 64:] = True
    found = {}
    for model, maps in comparison.maps.items():
        one = inside(maps, region)[comparison.default_layer[model]][0]
        found[model] = f"{round(100 * one.energy)} % inside, peak {'inside' if one.hit else 'outside'}"
    return found


@pytest.fixture
def looking(open_page):
    page = open_page()
    page.choose_sample()
    return page


def facts(page) -> dict[str, str]:
    page.find(".lfi-inside").wait_for()
    return {model: panel.facts["Your region"] for model, panel in page.panels().items()}


def test_a_drawn_box_is_measured_on_every_map(looking, expected):
    pad = looking.find(".lfi-marking")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    mouse = looking.page.mouse
    mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    mouse.down()
    mouse.move(box["x"] + box["width"] - 0.2, box["y"] + 0.2, steps=3)
    mouse.up()
    assert facts(looking) == expected
    assert looking.find(".lfi-inside").inner_text().split("\n")[:2] == ["An even map", "25 %"]
    assert "Attention for “red circle” inside your region" in looking.find("#lfi-region-note").inner_text()


def test_an_uploaded_mask_is_measured_and_can_be_cleared(looking, expected, tmp_path):
    file = tmp_path / "mask.png"
    QUARTER.save(file)
    looking.find("#lfi-region-file").set_input_files(file)
    assert facts(looking) == expected
    looking.find("#lfi-region-clear").click()
    assert {panel.facts["Your region"] for panel in looking.panels().values()} == {"–"}
    assert looking.find("#lfi-region-clear").is_disabled()


def test_keys_mark_a_region_and_take_it_back(looking):
    pad = looking.find(".lfi-marking")
    pad.focus()
    for key in ("ArrowRight", "ArrowDown", "Space"):
        pad.press(key)
    assert all("peak" in fact for fact in facts(looking).values())
    assert looking.find(".lfi-inside").inner_text().split("\n")[1] == "0 %"  # one cell of 256
    pad.press("Space")
    assert looking.find(".lfi-inside").count() == 0


def test_another_word_is_measured_in_the_same_region(looking, tmp_path):
    file = tmp_path / "mask.png"
    QUARTER.save(file)
    looking.find("#lfi-region-file").set_input_files(file)
    before = facts(looking)
    looking.find(".lfi-chip-word").nth(1).click()
    assert facts(looking) != before
    looking.type_word("yellow triangle")
    looking.wait_for_maps("yellow triangle")
    assert all("inside" in fact or "outside" in fact for fact in facts(looking).values())


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (Image.new("L", (200, 100), 255), "both need the same shape"),
        (Image.new("L", (100, 100), 0), "dark everywhere"),
        (None, "not an image"),
    ],
)
def test_a_mask_that_cannot_be_one_is_refused_at_the_region(looking, tmp_path, mask, said):
    file = tmp_path / "mask.png"
    if mask is None:
        file.write_text("no picture")
    else:
        mask.save(file)
    looking.find("#lfi-region-file").set_input_files(file)
    looking.find("#lfi-region-note.lfi-wrong").wait_for()
    assert said in looking.find("#lfi-region-note").inner_text()

"""What a visitor takes away is what they saw."""

from __future__ import annotations

import io
import re
import zipfile

import numpy as np
import pytest
from inspector_page import picture_in
from PIL import Image
from playwright.sync_api import expect

from lfi.rendering import ground


@pytest.fixture
def looking(open_page):
    page = open_page()
    page.choose_sample()
    return page


def take(page, name: str) -> tuple[str, bytes]:
    with page.page.expect_download() as started:
        page.page.get_by_role("button", name=name).click()
    return started.value.suggested_filename, started.value.path().read_bytes()


def test_the_zip_holds_one_overlay_per_model_and_word(looking):
    name, data = take(looking, "Overlays, zip")
    assert name.endswith(".zip")
    files = zipfile.ZipFile(io.BytesIO(data)).namelist()
    for model in ("teacher", "lfi", "baseline"):
        assert len([file for file in files if file.startswith(model + "-")]) == len(looking.chips())


def test_an_overlay_looks_like_the_panel_it_was_taken_from(looking):
    looking.find("#lfi-all-words").check()  # a zip has one scale for all its overlays
    shown = picture_in(looking.panels()["lfi"].map)
    opacity = float(looking.find("#lfi-opacity").input_value()) / 100
    archive = zipfile.ZipFile(io.BytesIO(take(looking, "Overlays, zip")[1]))
    first = next(name for name in archive.namelist() if name.startswith("lfi-01"))
    taken = Image.open(io.BytesIO(archive.read(first))).convert("RGB").resize(shown.size)
    plain = picture_in(looking.find("#lfi-drop-frame img").get_attribute("src"))
    base = ground(plain.resize(shown.size), opacity)
    mask = shown.getchannel("A").point(lambda alpha: round(alpha * opacity))
    expected = Image.composite(shown.convert("RGB"), base, mask)
    painted, given = (np.asarray(each, float) - np.asarray(base, float) for each in (expected, taken))
    # the page draws the peak's ring beside the canvas
    ring = looking.find(".lfi-panel[data-model=lfi] .lfi-peak")
    across, down = ring.evaluate("node => [node.style.left, node.style.top].map(share => parseFloat(share) / 100)")
    rows, columns = np.indices(shown.size[::-1])
    rest = np.hypot(rows - down * shown.height, columns - across * shown.width) > 0.05 * max(shown.size)
    painted, given = painted[rest], given[rest]
    assert np.abs(painted - given).mean() < 3
    assert np.corrcoef(painted.ravel(), given.ravel())[0, 1] > 0.9


def test_the_npz_holds_raw_maps_of_every_layer(looking):
    _, data = take(looking, "Raw maps, npz")
    maps = np.load(io.BytesIO(data), allow_pickle=False)
    assert maps["words"].tolist() == looking.chips()
    for model in ("teacher", "lfi", "baseline"):
        weights = maps[f"{model}_weights"]
        assert weights.shape[1] == len(looking.chips())
        assert weights.sum((-2, -1)) == pytest.approx(np.ones(weights.shape[:2]), abs=1e-3)


@pytest.mark.parametrize(
    ("button", "start"), [("Figure, SVG", b"<?xml"), ("Figure, PDF", b"%PDF"), ("Figure, PNG", b"\x89PNG")]
)
def test_the_figure_comes_in_three_formats(looking, button, start):
    name, data = take(looking, button)
    assert name.endswith(button[-3:].lower())
    assert data.startswith(start)


def test_the_figure_shows_the_layers_and_the_palette_on_screen(looking):
    _, best = take(looking, "Figure, SVG")
    looking.page.get_by_label("Colours").select_option("magma")
    looking.page.get_by_role("slider", name="Layer").fill("0")
    layer = looking.panels()["lfi"].facts["Layer"]
    _, first = take(looking, "Figure, SVG")
    assert first != best
    name = re.search(r"\((.+)\)", layer)
    assert (name.group(1) if name else layer).encode() in first


@pytest.mark.parametrize("button", ["[data-download=overlays]", "#lfi-paper-make"])
def test_a_button_stays_off_until_its_file_is_there_even_if_the_page_is_drawn_again(looking, button):
    looking.page.locator("details:has(#lfi-paper-make)").evaluate("node => (node.open = true)")
    held = looking.hold("download")
    looking.find(button).click()
    held.wait()
    looking.page.get_by_role("slider", name="Layer").fill("0")  # draws everything again
    expect(looking.find(button)).to_be_disabled()
    with looking.page.expect_download():
        held.end()
    expect(looking.find(button)).to_be_enabled()

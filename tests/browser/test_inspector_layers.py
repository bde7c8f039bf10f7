"""Layers that play, the film under each map, and what judges a column: hit rates, agreement by layer, its rivals."""

from __future__ import annotations

import io
import json
import re
import zipfile

import pytest
from PIL import Image

from app.settings import STATIC
from app.ui.agreement import agreement
from lfi.drift import drift
from lfi.trio import Trio

WORDS = ["red circle", "blue star", "heart"]


@pytest.fixture(scope="module")
def trio(models):
    return Trio.load(models)


@pytest.fixture(scope="module")
def seen(trio):
    """What the models say of the sample, asked without the page."""
    return trio.compare(Image.open(STATIC / "samples" / "paper.jpg").convert("RGB"), WORDS)


@pytest.fixture
def looking(open_page):
    page = open_page()
    page.find("[data-sample=paper]").click()
    page.wait_for_maps(WORDS[0])
    return page


def test_playing_moves_all_columns_through_their_layers_on_one_scale_until_paused(looking, seen):
    asked = looking.questions()
    button = looking.page.get_by_role("button", name="Play the layers")
    button.click()
    last = max(len(maps.layers) for maps in seen.maps.values())
    for depth in (1, 2):
        looking.page.wait_for_function(
            f"() => document.querySelector('#lfi-depth-value').textContent === '{depth} of {last}'"
        )
    assert looking.page.get_by_label("for all layers").is_checked()
    top = looking.find("#lfi-scale-ticks span").last.inner_text()
    looking.page.get_by_role("button", name="Pause").click()
    assert button.inner_text() == "▶ Play the layers"
    stopped = looking.find("#lfi-depth-value").inner_text()
    looking.page.wait_for_timeout(1500)
    assert looking.find("#lfi-depth-value").inner_text() == stopped
    assert looking.find("#lfi-scale-ticks span").last.inner_text() == top
    assert "scale=layers" in looking.page.url
    assert looking.questions() == asked


def test_between_two_layers_the_maps_fade(looking):
    looking.page.emulate_media(reduced_motion="no-preference")
    looking.page.get_by_role("button", name="Play the layers").click()
    looking.page.wait_for_function("""() => {
        const map = document.querySelector('.lfi-panel[data-model=lfi] .lfi-heat').toDataURL();
        const layer = document.querySelector('#lfi-depth-value').textContent;
        window.maps ??= {};
        (window.maps[layer] ??= new Set()).add(map);
        return Object.values(window.maps).some(those => those.size > 1);
    }""")


def test_a_film_under_each_map_has_a_frame_per_layer_and_the_drift_as_a_line(looking, seen):
    for model, maps in seen.maps.items():
        reel = looking.find(f".lfi-panel[data-model={model}] .lfi-reel")
        assert reel.locator(".lfi-reel-cell").count() == len(maps.layers)
        moved = [f"{round(100 * step)} %" for step in drift(maps)[0, :, 0].tolist()]
        label = reel.get_attribute("aria-label")
        assert f"{seen.default_layer[model] + 1} is the best" in label
        assert ", ".join(moved) in label
        assert reel.locator(".lfi-spark-point").count() == len(moved)


def test_a_frame_of_the_film_is_the_layer_on_screen_when_it_is_clicked(looking, seen):
    last = len(seen.maps["lfi"].layers)
    looking.find(".lfi-panel[data-model=lfi] .lfi-reel-cell").nth(last - 1).click()
    assert looking.panels()["lfi"].facts["Layer"].startswith(f"{last} of {last}")
    current = looking.find(".lfi-panel[data-model=lfi] .lfi-reel-cell.lfi-current")
    assert current.get_attribute("title").startswith(seen.maps["lfi"].layers[-1])


def test_best_says_which_layers_those_are_and_each_layer_s_agreement_stands_above_the_slider(looking, seen):
    best = " · ".join(str(layer + 1) for layer in seen.default_layer.values())
    assert looking.find("#lfi-depth-value").inner_text() == f"best {best}"
    assert looking.find("#lfi-depth").get_attribute("aria-valuetext").startswith("best layer of each model: Teacher")
    label = looking.find("#lfi-depth-marks").get_attribute("aria-label")
    last = len(seen.maps["lfi"].layers) - 1
    r = agreement(seen.maps["lfi"].layer(last), seen.maps["teacher"].layer(len(seen.maps["teacher"].layers) - 1))[0]
    said = re.search(r"LFI student: ([^;]*)", label).group(1).rstrip(".").split(", ")
    assert len(said) == last + 1
    assert float(said[-1].replace("−", "-")) == pytest.approx(r.correlation, abs=0.006)


def test_under_each_name_stands_how_often_it_is_right(looking, trio):
    for model in ("teacher", "lfi", "baseline"):
        figures = trio.cards[model].get("figures", {})
        said = looking.find(f".lfi-panel[data-model={model}] .lfi-hits").inner_text()
        share = next((value for name, value in figures.items() if name.startswith("map peaks in ")), None)
        assert said == "" if share is None else f"{100 * share:.0f} % of" in said
        title = looking.find(f".lfi-panel[data-model={model}] .lfi-hits").get_attribute("title")
        assert title == (
            "" if share is None else "Measured on test images; the layer and the explanation were chosen on others."
        )


def test_the_explanation_that_does_best_in_this_picture_can_be_picked(looking):
    panel = looking.find(".lfi-panel[data-model=baseline]")
    panel.get_by_role("button", name="Its best explanation here").click()
    said = panel.locator(".lfi-ranked")
    said.get_by_text("Best here of").wait_for()
    looking.wait_for_maps()
    r = re.search(r", r (−?[\d.]+)\. The others: (.*)\.$", said.inner_text())
    others = [float(each.replace("−", "-")) for each in re.findall(r"r (−?[\d.]+)", r.group(2))]
    best = float(r.group(1).replace("−", "-"))
    assert best >= max(others)
    agreed = looking.panels()["baseline"].facts["With teacher"]
    assert float(re.match(r"r (−?[\d.]+)", agreed).group(1).replace("−", "-")) == best


def test_the_film_is_taken_as_an_animation(looking):
    with looking.page.expect_download() as started:
        looking.page.get_by_role("button", name="Film, GIF").click()
    assert started.value.suggested_filename == "lfi-film-red-circle.gif"
    film = Image.open(io.BytesIO(started.value.path().read_bytes()))
    assert film.n_frames > 6


def test_a_figure_for_a_paper_has_the_words_and_the_width_that_were_chosen(looking):
    looking.page.get_by_text("Figure for a paper").click()
    looking.find("#lfi-paper-words").get_by_label("heart").uncheck()
    looking.find("#lfi-paper-columns").get_by_label("Teacher").uncheck()
    looking.page.get_by_label("film of the layers").check()
    looking.page.get_by_label("Width").select_option("8.5")
    with looking.page.expect_download() as started:
        looking.page.get_by_role("button", name="Make the figure").click()
    archive = zipfile.ZipFile(io.BytesIO(started.value.path().read_bytes()))
    assert set(archive.namelist()) == {
        "provenance.json",
        "maps.pdf",
        "film-red-circle.pdf",
        "film-blue-star.pdf",
        "caption.tex",
    }
    about = json.loads(archive.read("provenance.json"))
    assert about["words"] == ["red circle", "blue star"]
    assert list(about["columns"]) == ["lfi", "baseline"]
    assert about["figure"]["width"] == 8.5

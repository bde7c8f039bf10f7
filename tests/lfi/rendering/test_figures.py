"""Figures and film strips, in every format."""

from __future__ import annotations

import base64
import io
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from drawings import Comparison, spot
from PIL import Image

from lfi.errors import ConfigError
from lfi.rendering import LONG_TITLES, Paper, Scale, animation, figure, film_strip, fonts, overlay, shared_scale, titled

EMBEDDED = re.compile(rb'<image [^>]*xlink:href="data:image/\w+;base64,([^"]+)"')


@pytest.mark.parametrize(("format", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")])
def test_a_figure_is_written_in_the_format_of_its_file_name(comparison, photo, tmp_path: Path, format, start):
    path = tmp_path / f"figure.{format}"
    drawn = figure(comparison, photo, path)
    assert drawn.startswith(start)
    assert path.read_bytes() == drawn


def svg_text(svg: bytes) -> str:
    return "\n".join(
        "".join(each.itertext()) for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("text")
    )


def test_a_figure_names_words_models_fingerprints_layers_and_the_unit(comparison, photo):
    text = svg_text(figure(comparison, photo, format="svg"))
    expected = [
        "star",
        "red circle",
        "Teacher",
        "LFI student",
        "Baseline",
        "coca@aaaaaaaaaaaa",
        "layer blocks.0",
    ]
    expected += ["vit@bbbbbbbbbbbb", "vit@cccccccccccc", "multiples of uniform", "1×", "peak", "outside 0%"]
    assert [name for name in expected if name not in text] == []


def test_a_figure_shows_the_chosen_layer(comparison, photo):
    chosen = figure(comparison, photo, format="svg", layer={"teacher": 2})
    assert "layer blocks.2" in svg_text(chosen)
    with pytest.raises(ConfigError, match="lfi has no layer 2; 0 to 1 were expected"):
        figure(comparison, photo, layer=2)


def test_equal_comparisons_give_equal_files(comparison, photo):
    for format in ("svg", "pdf", "png"):
        assert figure(comparison, photo, format=format) == figure(comparison, photo, format=format)


def test_figures_drawn_by_many_threads_are_the_figures_drawn_by_one(comparison, photo):
    alone = [figure(comparison, photo, format=format) for format in ("svg", "png")] * 2
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda f: figure(comparison, photo, format=f), ("svg", "png") * 2))
    assert together == alone


def test_drawing_leaves_matplotlib_as_it_was(comparison, photo):
    import matplotlib

    before = dict(matplotlib.rcParams)
    figure(comparison, photo, format="svg")
    assert dict(matplotlib.rcParams) == before


def test_a_word_with_dollar_signs_is_not_mathematics(photo):
    maps = {"teacher": spot(4, 3, ("$x^{$",))}
    assert "$x^{$" in svg_text(figure(Comparison(maps, {"teacher": 0}), photo, format="svg"))


def test_the_map_of_an_absent_word_is_fainter_and_its_note_says_so(comparison, photo):
    plain = figure(comparison, photo, format="svg")
    told = figure(replace(comparison, said=(("lfi", "star", "finds no star here (p = .03)"),)), photo, format="svg")
    assert "finds no star here (p = .03)" in svg_text(told)
    assert "finds no" not in svg_text(plain)
    before, after = (set(EMBEDDED.findall(drawn)) for drawn in (plain, told))
    # LFI's map of the star is another one, over a ground of its own; the other word keeps the one they shared
    assert (len(before - after), len(after - before)) == (0, 2)


def test_maps_of_an_absent_word_have_no_say_in_the_scale_of_a_figure_or_a_film(comparison, photo):
    peaks = {
        model: float(maps.weights.max()) * maps.weights[0, 0, 0].numel() for model, maps in comparison.maps.items()
    }
    strongest = f"{max(peaks.values()):.3g}×"
    others = f"{max(peak for model, peak in peaks.items() if model != 'teacher'):.3g}×"
    assert strongest == f"{peaks['teacher']:.3g}×" != others
    layers = {"teacher": 2, "lfi": 1, "baseline": 1}
    absent = tuple(("teacher", word, f"finds no {word} here") for word in ("star", "red circle"))
    for told, top in ((absent, others), (absent[:1], strongest), ((), strongest)):
        text = svg_text(figure(replace(comparison, said=told), photo, format="svg", layer=layers))
        before, _, _ = text.partition("\nattention, as multiples of uniform")
        assert before.endswith("\n" + top)
    for missing, top in ((["teacher"], others), ([], strongest)):
        assert top in svg_text(film_strip(comparison.maps, photo, "star", format="svg", absent=missing)).split("\n")


def test_an_svg_holds_the_photograph_once(comparison, photo):
    svg = figure(comparison, photo, format="svg")
    shown = [Image.open(io.BytesIO(base64.b64decode(each))).convert("RGB") for each in EMBEDDED.findall(svg)]
    away = [
        np.abs(np.asarray(each, float) - np.asarray(photo, float)).mean() for each in shown if each.size == photo.size
    ]
    assert len(away) == 2 + 3, "the photograph, its grey, and three models' maps, which both words share"
    assert sum(each < 6 for each in away) == 1


def test_an_animation_fades_from_layer_to_layer_on_one_scale(comparison, photo):
    steps = [{"teacher": 0, "lfi": 0}, {"teacher": 2, "lfi": 1}]
    maps = {model: comparison.maps[model] for model in ("teacher", "lfi")}
    film = Image.open(io.BytesIO(animation(maps, photo, "star", steps)))
    assert (film.format, film.n_frames) == ("GIF", 2 + 3)
    frames = []
    for number in range(film.n_frames):
        film.seek(number)
        frames.append(np.asarray(film.convert("RGB"), float)[68 : 68 + photo.height])  # the maps, not their labels
    away = [np.abs(frame - frames[-1]).mean() for frame in frames]
    assert away == sorted(away, reverse=True)
    assert away[0] > 0
    faint, plain = (animation(maps, photo, "star", steps, absent=each, scale=None) for each in (["teacher"], []))
    assert (
        animation(maps, photo, "star", steps, absent=["teacher"], scale=shared_scale([maps["lfi"].select(queries=[0])]))
        == faint
    )
    assert faint != plain
    with pytest.raises(ConfigError, match="teacher, lfi has no map for 'cat'"):
        animation(maps, photo, "cat", steps)


def texts_of(monkeypatch, *given, **how) -> tuple[Image.Image, dict[str, tuple[float, float]]]:
    """The animation, and where its texts begin and end, by their text."""
    found = {}

    def write(draw, at, text, ink, size):
        found[text] = at[0], at[0] + fonts.length(text, size)
        fonts.write(draw, at, text, ink, size)

    monkeypatch.setitem(animation.__globals__, "write", write)
    return Image.open(io.BytesIO(animation(*given, **how))), found


def test_names_in_an_animation_of_a_portrait_picture_do_not_overlap(comparison, monkeypatch):
    columns = ("baseline:dense-similarity", "lfi:similarity")
    maps, step = dict.fromkeys(columns, comparison.maps["lfi"]), dict.fromkeys(columns, 0)
    portrait = Image.new("RGB", (120, 320))
    film, texts = texts_of(monkeypatch, maps, portrait, "star", [step], titles=LONG_TITLES)
    first, second = (texts[titled(column, LONG_TITLES)] for column in columns)
    assert first[1] < second[0]
    assert second[1] < film.width


def test_a_long_phrase_over_an_animation_is_shortened_in_its_middle(monkeypatch):
    phrase = "the small brown dog that sleeps under the old wooden table beside the door"
    maps = {"teacher": spot(4, 9, (phrase,))}
    film, texts = texts_of(monkeypatch, maps, Image.new("RGB", (120, 320)), phrase, [{"teacher": 0}])
    (title,) = [text for text in texts if "layer by layer" in text]
    assert re.fullmatch("“the small brown .*….* the door”, layer by layer", title)
    assert texts[title][1] <= film.width - 16


@pytest.mark.parametrize("word", ["a", "ox", "cat"])
def test_a_short_word_over_an_animation_is_whole(monkeypatch, word):
    maps = {"teacher": spot(4, 9, (word,))}
    _, texts = texts_of(monkeypatch, maps, Image.new("RGB", (120, 320)), word, [{"teacher": 0}])
    assert f"“{word}”, layer by layer" in texts


def test_a_figure_for_a_paper_that_is_too_narrow_is_refused(comparison, photo):
    maps = {f"model {number}": comparison.maps["lfi"] for number in range(12)}
    with pytest.raises(ConfigError, match=r"13 columns do not fit into 8.5 cm"):
        figure(Comparison(maps, {}), photo, paper=Paper(8.5))


def test_a_film_strip_shows_every_layer_of_every_model_that_knows_the_query(comparison, photo):
    svg = film_strip({**comparison.maps, "other": spot(4, 1, ("dog",))}, photo, "star", format="svg")
    assert svg.count(b"<image") == 1 + 1 + (3 + 2 + 2) + 1  # the photograph and its grey once; one colour bar
    assert svg.count(b'<use xlink:href="#picture') == 3 + 2 * (3 + 2 + 2) + 1  # each row its photograph
    assert "blocks.2" in svg_text(svg)


def test_what_cannot_be_drawn_is_said_in_one_line(comparison, photo):
    flat = torch.full((4, 4), 1 / 16)
    refused = {
        "unknown palette 'jet'; known: inferno": lambda: overlay(photo, flat, Scale(1, 2), palette="jet"),
        "opacity is 7": lambda: overlay(photo, flat, Scale(1, 2), opacity=7),
        "unknown figure format 'gif'; one of svg, pdf, png": lambda: figure(comparison, photo, "figure.gif"),
        "no map for 'cat'; there are maps for star, red circle": lambda: film_strip(comparison.maps, photo, "cat"),
        "the figure has 60 rows; 1 to 48": lambda: figure(
            Comparison({"teacher": spot(2, 1, [f"word {n}" for n in range(60)])}, {}), photo
        ),
    }
    for message, attempt in refused.items():
        with pytest.raises(ConfigError, match=message):
            attempt()

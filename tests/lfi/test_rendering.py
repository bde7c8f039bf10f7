"""Overlays and figures: one honest scale, readable by everybody, quick enough for a request."""

from __future__ import annotations

import base64
import io
import random
import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops

from lfi.errors import ConfigError
from lfi.maps import InteractionMaps
from lfi.rendering import (
    DEFAULT,
    DIVERGING,
    PALETTES,
    DifferenceScale,
    Paper,
    Scale,
    animation,
    colour_bar,
    difference,
    difference_scales,
    encode_webp,
    figure,
    film_strip,
    ground,
    heatmap,
    overlay,
    shared_scale,
    veil,
)

EMBEDDED = re.compile(rb'<image [^>]*xlink:href="data:image/\w+;base64,([^"]+)"')

# Machado, Oliveira & Fernandes 2009, full strength, on linear RGB.
COLOUR_VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deuteranopia": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritanopia": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}


@dataclass(frozen=True)
class Comparison:
    """The part of a comparison that a figure reads."""

    maps: dict[str, InteractionMaps]
    default_layer: dict[str, int]
    said: tuple[tuple[str, str, str], ...] = ()

    def absences(self) -> tuple[tuple[str, str, str], ...]:
        return self.said


def spot(grid: int, peak: float, words=("star",), layers: int = 2, model: str = "tiny@0123456789ab"):
    """Maps with a spot in the upper left that gets stronger from layer to layer."""
    row, column = torch.meshgrid(torch.arange(grid) / grid, torch.arange(grid) / grid, indexing="ij")
    bump = torch.exp(-((row - 0.25) ** 2 + (column - 0.25) ** 2) / 0.02)
    scores = torch.stack([0.2 + peak * (layer + 1) / layers * bump for layer in range(layers)])
    return InteractionMaps.from_scores(
        scores[None, :, None].expand(1, layers, len(words), grid, grid).flatten(-2),
        grid=(grid, grid),
        queries=[words],
        layers=[f"blocks.{layer}" for layer in range(layers)],
        kind="cross-attention",
        model=model,
    )


@pytest.fixture
def photo() -> Image.Image:
    noise = np.random.default_rng(0).integers(60, 200, (90, 160, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.fixture
def comparison() -> Comparison:
    words = ("star", "red circle")
    return Comparison(
        maps={
            "teacher": spot(8, 9, words, layers=3, model="coca@aaaaaaaaaaaa"),
            "lfi": spot(6, 5, words, model="vit@bbbbbbbbbbbb"),
            "baseline": spot(4, 1, words, model="vit@cccccccccccc"),
        },
        default_layer={"teacher": 0, "lfi": 1, "baseline": 1},
    )


@pytest.mark.parametrize("vision", COLOUR_VISION)
@pytest.mark.parametrize("palette", PALETTES)
def test_every_palette_grows_steadily_lighter_for_every_kind_of_colour_vision(palette, vision):
    share = PALETTES[palette] / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(COLOUR_VISION[vision]).T, 0, 1)
    lightness = 116 * np.cbrt(seen @ [0.2126, 0.7152, 0.0722]) - 16
    smoothed = np.convolve(lightness, np.ones(8) / 8, "valid")  # eight steps: below what an eye tells apart
    assert (np.diff(smoothed) > 0).all()
    assert lightness[-1] - lightness[0] > 60


@pytest.mark.parametrize("vision", COLOUR_VISION)
def test_the_ends_of_a_difference_differ_for_every_kind_of_colour_vision(vision):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    share = DIVERGING / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(COLOUR_VISION[vision]).T, 0, 1)
    x, y, z = np.cbrt(seen @ xyz.T / xyz.sum(1)).T
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)
    assert np.linalg.norm(lab[0] - lab[-1]) > 50
    assert lab[127:129, 0].min() > 85
    assert max(lab[0, 0], lab[-1, 0]) < 50


def test_a_difference_is_brown_where_the_first_map_has_more_and_purple_where_it_has_less(photo):
    first, second = np.array([[1.0, 0, 0, 0]]), np.array([[0, 0, 0, 1.0]])
    drawn = np.asarray(difference(photo, first, second, DifferenceScale(4), opacity=1), int)
    assert drawn[45, 10].tolist() == DIVERGING[-1].tolist()
    assert drawn[45, -10].tolist() == DIVERGING[0].tolist()


def test_equal_maps_leave_the_grey_picture_alone(photo):
    even = np.full((4, 4), 1 / 16)
    assert (np.asarray(difference(photo, even, even, DifferenceScale(2))) == np.asarray(ground(photo))).all()


def test_a_difference_scale_holds_the_largest_difference_on_the_finer_grid():
    fine, coarse = spot(8, 9).layer(1), spot(4, 1).layer(1)
    (scale,) = difference_scales(fine, coarse)
    largest = (fine.weights - coarse.resized((8, 8)).weights).abs().max() * 64
    assert scale.limit == pytest.approx(float(largest), rel=1e-5)
    assert [tick.label[0] for tick in scale.ticks()] == ["-", "0", "+"]


def test_nearly_equal_maps_look_equal():
    (scale,) = difference_scales(spot(8, 9).layer(0), spot(8, 9).layer(0))
    assert scale.limit == 2


def test_uniform_attention_is_one_times_uniform_on_every_grid():
    scale = Scale(0, 4)
    assert {grid: int(scale.levels(torch.full((grid, grid), 1 / grid**2))[0, 0]) for grid in (2, 7, 14)} == {
        2: 64,
        7: 64,
        14: 64,
    }


def test_models_with_different_grids_share_the_scale_of_the_strongest():
    strong, weak = spot(8, 9), spot(4, 1)
    scale = shared_scale([strong, weak])
    assert scale == Scale(1.0, float(strong.weights.max() * 64))
    assert scale.levels(strong.weights[0, -1, 0]).max() == 255
    assert scale.levels(weak.weights[0, -1, 0]).max() < 150


def test_a_nearly_even_map_is_not_stretched_to_full_contrast():
    assert shared_scale([spot(8, 0.01)]) == Scale(1.0, 2.0)


def test_one_attention_sink_does_not_darken_a_whole_comparison():
    scores = torch.ones(1, 1, 1, 20 * 20)
    scores[..., 0] = 500
    scores[..., 210:215] = 6
    maps = InteractionMaps.from_scores(
        scores, grid=(20, 20), queries=[["dog"]], layers=["0"], kind="rollout", model="tiny"
    )
    scale = shared_scale([maps])
    assert scale.clipped
    assert scale.levels(maps.weights[0, 0, 0])[10, 12] == 255
    assert scale.ticks()[-1].label.startswith("≥")


def test_raw_weights_stay_raw(photo):
    maps = spot(8, 9)
    before = maps.weights.clone()
    overlay(photo, maps.weights[0, 1, 0], shared_scale([maps]))
    assert torch.equal(maps.weights, before)


def test_ticks_name_both_ends_and_uniform_attention_without_crowding():
    labels = [tick.label for tick in Scale(0, 8.34).ticks()]
    assert labels == ["0×", "1×", "2×", "4×", "6×", "8.34×"]


def test_the_ground_of_a_map_is_grey_and_as_detailed_as_the_picture(photo):
    grey = np.asarray(ground(photo), int)
    assert (grey.max(-1) == grey.min(-1)).all()
    luminance = np.asarray(photo, int) @ [0.2126, 0.7152, 0.0722]
    assert np.abs(grey[..., 0] - 0.85 * luminance).max() <= 1.5


def test_a_faint_map_lies_on_a_picture_that_keeps_some_of_its_colours(photo):
    def colourfulness(opacity: float) -> float:
        pixels = np.asarray(ground(photo, opacity), int)
        return float((pixels.max(-1) - pixels.min(-1)).mean())

    assert ground(photo, 0).tobytes() == photo.tobytes()
    assert colourfulness(0) > colourfulness(0.25) > colourfulness(0.5) == colourfulness(1) == 0


def test_attention_at_or_below_uniform_is_not_drawn(photo):
    values = torch.tensor([[1.0, 0.5], [0.5, 2.0]])
    drawn = np.asarray(veil(values / 4, Scale(1, 2), (40, 40), smooth=False, peak=False))
    assert drawn[:20].max(where=[False, False, False, True], initial=0) == 0
    assert drawn[20:, :20, 3].max() == 0
    assert (drawn[20:, 20:] == [*PALETTES[DEFAULT][255], round(0.9 * 255)]).all()


def test_twice_uniform_is_a_hint_where_others_reach_twelve_times():
    drawn = veil(torch.tensor([[2 / 4, 0.0], [0.0, 0.0]]), Scale(1, 12), (20, 20), smooth=False, peak=False)
    assert 0 < np.asarray(drawn)[5, 5, 3] < 0.2 * 255


def test_a_ring_marks_the_strongest_patch_and_no_patch_of_an_even_map():
    weights = torch.full((8, 8), 0.5 / 63)
    weights[5, 2] = 0.5
    scale, size = Scale(1, 64), (320, 240)
    plain, marked = (np.asarray(veil(weights, scale, size, peak=peak), int) for peak in (False, True))
    rows, columns = np.nonzero(np.abs(plain - marked).max(-1))
    centre = ((columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2)
    assert centre == pytest.approx((320 * 2.5 / 8, 240 * 5.5 / 8), abs=1)
    assert (columns.max() - columns.min()) < 24
    assert np.asarray(veil(torch.full((8, 8), 1 / 64), scale, size))[..., 3].max() == 0


def test_a_line_runs_where_attention_is_half_of_the_peak():
    weights = torch.tensor([[0.6, 0.3, 0.1, 0.0]])
    drawn = np.asarray(veil(weights, Scale(1, 2.4), (400, 100), smooth=False, peak=False, contour=True))
    white = (drawn == 255).all(-1)
    columns = np.nonzero(white.any(0))[0]
    assert set(columns.tolist()) <= set(range(3)) | set(range(197, 200))
    assert white[:, 199].all()


def test_an_overlay_colours_the_spot_and_leaves_the_rest_of_the_ground_alone(photo):
    weights = torch.zeros(8, 8)
    weights[2, 2] = 1
    laid = overlay(photo, weights, Scale(1, 64))
    assert (laid.mode, laid.size) == ("RGB", photo.size)
    changed = np.asarray(ImageChops.difference(laid, ground(photo))).max(-1)
    assert changed[int(90 * 2.5 / 8), int(160 * 2.5 / 8)] > 20
    assert changed[45:, 80:].max() == 0


def test_a_flipped_map_on_a_flipped_image_is_the_flipped_overlay(photo):
    maps = spot(8, 9)
    scale = shared_scale([maps])
    mirror = Image.Transpose.FLIP_LEFT_RIGHT
    direct = overlay(photo.transpose(mirror), maps.flipped().weights[0, 1, 0], scale)
    there_and_back = overlay(photo, maps.weights[0, 1, 0], scale).transpose(mirror)
    assert np.abs(np.asarray(direct, int) - np.asarray(there_and_back, int)).max() <= 2


def test_smoothing_never_shows_more_attention_than_was_measured():
    weights = torch.zeros(8, 8)
    weights[3, 3], weights[3, 4] = 0.6, 0.4
    scale = Scale(0, 64)
    smooth = np.asarray(heatmap(weights, scale, (800, 800)))
    top = scale.levels(weights).max()
    assert {tuple(colour) for colour in smooth.reshape(-1, 3)} <= {tuple(c) for c in PALETTES[DEFAULT][: top + 1]}


def test_patches_can_be_shown_as_they_are():
    weights = spot(4, 9).weights[0, 1, 0]
    scale = Scale(0, 10)
    blocks = np.asarray(heatmap(weights, scale, (40, 40), smooth=False))
    assert np.array_equal(blocks[::10, ::10], PALETTES[DEFAULT][scale.levels(weights)])


def test_zero_opacity_is_the_image(photo):
    assert overlay(photo, torch.full((4, 4), 1 / 16), Scale(0, 1), opacity=0).tobytes() == photo.tobytes()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_an_overlay_of_any_image_mode_is_rgb(photo, mode):
    assert overlay(photo.convert(mode), torch.full((4, 4), 1 / 16), Scale(0, 2)).mode == "RGB"


def test_an_overlay_of_a_megapixel_costs_two_thirds_of_encoding_it_at_most():
    """As a rule, not at best: the median over rounds, each with another map, in an order drawn anew."""
    noise = np.random.default_rng(0).integers(0, 255, (27, 36, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((1154, 866))
    drawn, draw = overlay(image, spot(14, 9).weights[0, 1, 0], Scale(0, 9)), random.Random(0)
    shares = []
    for peak in range(1, 10):
        maps = spot(14, peak)
        work = {
            "overlay": partial(overlay, image, maps.weights[0, 1, 0], shared_scale([maps])),
            "encode": partial(encode_webp, drawn),
        }
        seconds = {}
        for name in draw.sample(sorted(work), 2):
            started = time.process_time()  # of all threads of this process; other work on the machine does not count
            work[name]()
            seconds[name] = time.process_time() - started
        shares.append(seconds["overlay"] / seconds["encode"])
    assert statistics.median(shares) < 2 / 3  # .2 to .4, by machine


def test_webp_opens_again_as_the_same_picture(photo):
    small = photo.resize((32, 18)).resize((320, 180))
    again = Image.open(io.BytesIO(encode_webp(small, quality=95)))
    assert (again.format, again.size) == ("WEBP", (320, 180))
    assert np.abs(np.asarray(again.convert("RGB"), int) - np.asarray(small, int)).mean() < 5


def test_a_colour_bar_runs_through_the_palette_and_keeps_its_text_inside():
    bar = colour_bar(Scale(0, 12.345, clipped=True), size=(400, 60))
    pixels = np.asarray(bar)
    ramp = pixels[30][pixels[30, :, 3] == 255][:, :3]
    assert ramp[0].tolist() == PALETTES[DEFAULT][0].tolist()
    assert ramp[-1].tolist() == PALETTES[DEFAULT][-1].tolist()
    assert pixels[[0, -1], :, 3].max() == 0
    assert pixels[:, [0, -1], 3].max() == 0


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
    with pytest.raises(ConfigError, match="teacher, lfi has no map for 'cat'"):
        animation(maps, photo, "cat", steps)


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
        "unknown palette 'jet'; known: inferno": lambda: overlay(photo, flat, Scale(0, 2), palette="jet"),
        "opacity is 7": lambda: overlay(photo, flat, Scale(0, 2), opacity=7),
        "unknown figure format 'gif'; one of svg, pdf, png": lambda: figure(comparison, photo, "figure.gif"),
        "no map for 'cat'; there are maps for star, red circle": lambda: film_strip(comparison.maps, photo, "cat"),
        "the figure has 60 rows; 1 to 48": lambda: figure(
            Comparison({"teacher": spot(2, 1, [f"word {n}" for n in range(60)])}, {}), photo
        ),
    }
    for message, attempt in refused.items():
        with pytest.raises(ConfigError, match=message):
            attempt()


def test_a_scale_that_does_not_rise_is_refused():
    for low, high in [(1, 1), (2, 1), (0, float("nan"))]:
        with pytest.raises(ValueError, match="two finite, increasing bounds"):
            Scale(low, high)
    with pytest.raises(ValueError, match="at least one map"):
        shared_scale([])

"""Overlays, differences and heat maps show what was measured, quickly enough for a request."""

from __future__ import annotations

import io
import random
import statistics
import time
from functools import partial

import numpy as np
import pytest
import torch
from drawings import spot
from PIL import Image, ImageChops

from lfi.rendering import (
    DEFAULT,
    DIVERGING,
    PALETTES,
    DifferenceScale,
    Scale,
    difference,
    encode_webp,
    ground,
    heatmap,
    overlay,
    shared_scale,
    times_uniform,
    veil,
)


def test_a_difference_is_brown_where_the_first_map_has_more_and_purple_where_it_has_less(photo):
    first, second = np.array([[1.0, 0, 0, 0]]), np.array([[0, 0, 0, 1.0]])
    drawn = np.asarray(difference(photo, first, second, DifferenceScale(4), opacity=1), int)
    assert drawn[45, 10].tolist() == DIVERGING[-1].tolist()
    assert drawn[45, -10].tolist() == DIVERGING[0].tolist()


def test_equal_maps_leave_the_grey_picture_alone(photo):
    even = np.full((4, 4), 1 / 16)
    assert (np.asarray(difference(photo, even, even, DifferenceScale(2))) == np.asarray(ground(photo))).all()


def test_raw_weights_stay_raw(photo):
    maps = spot(8, 9)
    before = maps.weights.clone()
    overlay(photo, maps.weights[0, 1, 0], shared_scale([maps]))
    assert torch.equal(maps.weights, before)


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
    scale = Scale(0.5, 64)
    smooth = np.asarray(heatmap(weights, scale, (800, 800)))
    top = scale.levels(times_uniform(weights)).max()
    assert {tuple(colour) for colour in smooth.reshape(-1, 3)} <= {tuple(c) for c in PALETTES[DEFAULT][: top + 1]}


def test_patches_can_be_shown_as_they_are():
    weights = spot(4, 9).weights[0, 1, 0]
    scale = Scale(0.5, 10)
    blocks = np.asarray(heatmap(weights, scale, (40, 40), smooth=False))
    assert np.array_equal(blocks[::10, ::10], PALETTES[DEFAULT][scale.levels(times_uniform(weights))])


def test_zero_opacity_is_the_image(photo):
    assert overlay(photo, torch.full((4, 4), 1 / 16), Scale(0.5, 1), opacity=0).tobytes() == photo.tobytes()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_an_overlay_of_any_image_mode_is_rgb(photo, mode):
    assert overlay(photo.convert(mode), torch.full((4, 4), 1 / 16), Scale(0.5, 2)).mode == "RGB"


def test_an_overlay_of_a_megapixel_costs_two_thirds_of_encoding_it_at_most():
    """As a rule, not at best: the median over rounds, each with another map, in an order drawn anew."""
    noise = np.random.default_rng(0).integers(0, 255, (27, 36, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((1154, 866))
    drawn, draw = overlay(image, spot(14, 9).weights[0, 1, 0], Scale(0.5, 9)), random.Random(0)
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

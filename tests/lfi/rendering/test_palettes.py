"""Every palette and colour bar can be read whatever colours an eye tells apart."""

from __future__ import annotations

import numpy as np
import pytest

from lfi.rendering import DEFAULT, DIVERGING, PALETTES, Scale, colour_bar

# Machado, Oliveira & Fernandes 2009, full strength, on linear RGB.
COLOUR_VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deuteranopia": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritanopia": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}


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


def test_a_colour_bar_runs_through_the_palette_and_keeps_its_text_inside():
    bar = colour_bar(Scale(1, 12.345, clipped=True), size=(400, 60))
    pixels = np.asarray(bar)
    ramp = pixels[30][pixels[30, :, 3] == 255][:, :3]
    assert ramp[0].tolist() == PALETTES[DEFAULT][0].tolist()
    assert ramp[-1].tolist() == PALETTES[DEFAULT][-1].tolist()
    assert pixels[[0, -1], :, 3].max() == 0
    assert pixels[:, [0, -1], 3].max() == 0

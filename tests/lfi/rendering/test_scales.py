"""One honest scale for all maps of a comparison."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawings import spot

from lfi.maps import InteractionMaps
from lfi.rendering import Scale, difference_scales, shared_scale, times_uniform
from lfi.rendering.scale import found_scale


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
    scale, even = Scale(0.5, 4), [torch.full((grid, grid), 1 / grid**2) for grid in (2, 7, 14)]
    assert [int(scale.levels(times_uniform(each))[0, 0]) for each in even] == [85, 85, 85]


def test_each_doubling_is_an_equal_step_of_colour():
    scale = Scale(1, 16)
    assert scale.share(np.array([0.0, 1, 2, 4, 8, 16, 99])) == pytest.approx([0, 0, 0.25, 0.5, 0.75, 1, 1], abs=1e-6)
    assert scale.levels(np.array([[1, 4, 16]])).tolist() == [[0, 128, 255]]
    assert scale.facts == {"low": 1, "high": 16, "unit": "times uniform attention", "spacing": "logarithmic"}


def test_a_weak_map_is_seen_beside_a_peaked_one():
    """A student's 4x beside an explanation's 28x, which left it a ninth of the colours on a linear scale."""
    assert Scale(1, 28).share(4.0) > 0.4


def test_maps_of_absent_words_have_no_say_in_the_scale():
    even, peaked = torch.ones(4, 4).numpy() / 16, spot(4, 9).weights[0, 1, 0].numpy()
    assert found_scale([("lfi", even, False), ("baseline", peaked, True)]) == Scale(1.0, 2.0)
    assert found_scale([("lfi", even, True), ("baseline", peaked, True)]).high > 8


def test_models_with_different_grids_share_the_scale_of_the_strongest():
    strong, weak = spot(8, 9), spot(4, 1)
    scale = shared_scale([strong, weak])
    assert scale == Scale(1.0, float(strong.weights.max() * 64))
    assert scale.levels(times_uniform(strong.weights[0, -1, 0])).max() == 255
    assert scale.levels(times_uniform(weak.weights[0, -1, 0])).max() < 160


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
    assert scale.levels(times_uniform(maps.weights[0, 0, 0]))[10, 12] == 255
    assert scale.ticks()[-1].label.startswith("≥")


def test_ticks_name_both_ends_and_uniform_attention_without_crowding():
    """Powers of two between; 1.5x, 3x and so on where the scale is short."""
    labels = {high: [tick.label.rstrip("×") for tick in Scale(1, high).ticks()] for high in (2, 4.11, 8.34, 28.1, 100)}
    assert labels == {
        2: ["1", "1.5", "2"],
        4.11: ["1", "1.5", "2", "3", "4.11"],
        8.34: ["1", "2", "4", "8.34"],
        28.1: ["1", "2", "4", "8", "16", "28.1"],
        100: ["1", "4", "16", "100"],
    }
    assert [tick.label for tick in Scale(1, 20.7, clipped=True).ticks()] == ["1×", "2×", "4×", "8×", "≥ 20.7×"]
    assert [tick.value for tick in Scale(1, 28.1).ticks(4)] == [1, 4, 16, 28.1]
    assert [tick.label for tick in Scale(0.5, 4).ticks()] == ["0.5×", "1×", "2×", "4×"]


def test_a_scale_that_does_not_rise_is_refused():
    for low, high in [(1, 1), (2, 1), (0, 4), (1, float("nan"))]:
        with pytest.raises(ValueError, match="two positive, finite, increasing bounds"):
            Scale(low, high)
    with pytest.raises(ValueError, match="at least one map"):
        shared_scale([])

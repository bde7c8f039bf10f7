"""One honest scale for all maps of a comparison."""

from __future__ import annotations

import pytest
import torch
from drawings import spot

from lfi.maps import InteractionMaps
from lfi.rendering import Scale, difference_scales, shared_scale


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


def test_ticks_name_both_ends_and_uniform_attention_without_crowding():
    labels = [tick.label for tick in Scale(0, 8.34).ticks()]
    assert labels == ["0×", "1×", "2×", "4×", "6×", "8.34×"]


def test_a_scale_that_does_not_rise_is_refused():
    for low, high in [(1, 1), (2, 1), (0, float("nan"))]:
        with pytest.raises(ValueError, match="two finite, increasing bounds"):
            Scale(low, high)
    with pytest.raises(ValueError, match="at least one map"):
        shared_scale([])

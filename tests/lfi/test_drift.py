"""Drift: the share of a query's attention that moves from one layer to the next."""

from __future__ import annotations

import pytest
import torch

from lfi.drift import drift, mean_drift
from lfi.maps import InteractionMaps


def maps(rows: list[list[float]]) -> InteractionMaps:
    """One query's maps over four patches, a row per layer."""
    weights = torch.tensor(rows)[None, :, None]
    layers = [f"layer {number}" for number in range(len(rows))]
    return InteractionMaps.from_scores(
        weights, grid=(2, 2), queries=[["star"]], layers=layers, kind="interaction-query", model="m@0"
    )


def test_a_map_that_stands_still_does_not_drift():
    assert drift(maps([[1, 2, 3, 4]] * 3)).flatten().tolist() == [0, 0]


def test_a_map_that_leaves_all_its_patches_drifts_wholly():
    assert drift(maps([[1, 0, 0, 0], [0, 1, 1, 2]])).flatten().tolist() == [1]


def test_drift_is_the_share_of_attention_that_moved():
    moved = maps([[4, 0, 0, 0], [3, 1, 0, 0], [1, 1, 2, 0]])
    assert drift(moved).flatten().tolist() == pytest.approx([0.25, 0.5])
    assert mean_drift(moved).item() == pytest.approx(0.375)


def test_every_query_has_its_own_drift():
    made = InteractionMaps.from_scores(
        torch.tensor([[[[1.0, 0.0], [1.0, 1.0]], [[0.0, 1.0], [1.0, 1.0]]]]),
        grid=(1, 2),
        queries=[["star", "moon"]],
        layers=["first", "last"],
        kind="interaction-query",
        model="m@0",
    )
    assert mean_drift(made).tolist() == [[1, 0]]


def test_one_layer_alone_has_no_drift_to_speak_of():
    alone = maps([[1, 2, 3, 4]])
    assert drift(alone).shape == (1, 0, 1)
    assert mean_drift(alone).isnan().all()

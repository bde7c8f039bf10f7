"""How two maps agree, word by word, whatever their grids."""

from __future__ import annotations

import pytest
import torch

from app.ui.agreement import agreement
from lfi.maps import InteractionMaps


def maps(*rows: list[float], side: int = 2) -> InteractionMaps:
    return InteractionMaps.from_scores(
        torch.tensor(rows)[None, None],
        grid=(side, side),
        queries=[[f"word {number}" for number in range(len(rows))]],
        layers=["last"],
        kind="gradient",
        model="m@0",
    )


def test_equal_maps_agree_wholly_and_disjoint_ones_not_at_all():
    same, apart = agreement(maps([4, 3, 2, 1], [1, 0, 0, 0]), maps([4, 3, 2, 1], [0, 1, 1, 1]))
    assert (same.correlation, same.shared) == (pytest.approx(1), pytest.approx(1))
    assert (apart.correlation, apart.shared) == (pytest.approx(-1), 0)


def test_an_even_map_correlates_with_nothing_and_still_shares():
    (one,) = agreement(maps([1, 1, 1, 1]), maps([1, 0, 0, 0]))
    assert one.correlation is None
    assert one.shared == pytest.approx(0.25)


def test_maps_on_different_grids_are_compared_on_the_coarser_one():
    fine = maps([1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], side=4)
    (one,) = agreement(fine, maps([1, 0, 0, 0]))
    assert one.shared == pytest.approx(1)

"""Mass moves between grids by area, and none of it is lost or counted twice."""

import pytest
import torch

from lfi.grids import poured, regridded

GRIDS = [((14, 14), (8, 8)), ((14, 14), (12, 12)), ((7, 10), (3, 4)), ((8, 12), (4, 3)), ((4, 4), (7, 3))]


@pytest.mark.parametrize(("source", "grid"), GRIDS)
def test_an_even_map_stays_even_and_no_mass_is_lost(source, grid):
    even = torch.full((2, *source), 1 / (source[0] * source[1]))
    found = poured(even, grid)
    assert found.unique().numel() == 1, "to the bit"
    assert found[0, 0, 0].item() == pytest.approx(1 / (grid[0] * grid[1]))
    maps = torch.rand(3, *source, generator=torch.Generator().manual_seed(0)).double()
    assert torch.allclose(poured(maps, grid).sum((1, 2)), maps.sum((1, 2)), rtol=1e-12)


def test_every_patch_weighs_the_same_wherever_it_lies():
    """Whole cells pooled would give patches between .58 and 1.46 of their mass."""
    for row in range(14):
        alone = torch.zeros(14, 14)
        alone[row, 3] = 1
        assert poured(alone, (8, 8)).sum().item() == pytest.approx(1, abs=1e-6)


def test_mass_in_two_corners_stays_half_and_half():
    maps = torch.zeros(14, 14)
    maps[0, 0] = maps[4, 4] = 0.5
    found = poured(maps, (12, 12))
    assert found[0, 0].item() == pytest.approx(0.5)
    assert found[3:5, 3:5].sum().item() == pytest.approx(0.5)
    assert found[3, 3:5].sum().item() == pytest.approx(0.5 * 2 / 3), "row 4 reaches from 24/7 to 30/7, cut at 4"


@pytest.mark.parametrize("move", [poured, regridded])
def test_on_the_same_grid_nothing_is_touched(move):
    maps = torch.rand(2, 3, 5, 7)
    assert move(maps, (5, 7)) is maps


def test_along_one_side_a_map_is_poured_and_along_the_other_interpolated():
    maps = torch.tensor([[[[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]]])
    found = regridded(maps, (2, 4))
    assert found.shape == (1, 1, 2, 4)
    assert torch.equal(found, found.flip(-1, -2)), "it is its own half turn"
    poured_first = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    expected = torch.nn.functional.interpolate(poured_first, (2, 4), mode="bilinear", align_corners=False)
    assert torch.allclose(found, expected)

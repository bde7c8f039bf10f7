"""Maps from one grid to another by the area that their cells share.

Two grids seldom divide each other: of 14 columns, each of 8 covers one and three quarters. Pooling by whole cells
(adaptive pooling, interpolation by "area") would count some of them twice. Here every cell gives each other one the
share of itself that lies in it, so that no mass is lost or counted twice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def overlap(low: Tensor, high: Tensor, cells: int, parts: int) -> Tensor:
    """Share of cell `j` of `[0, 1]`, cut into `cells`, that lies in part `i` of `[low, high]`, cut into `parts`.

    Args:
        low, high: `[n]`.

    Returns:
        `[n, parts, cells]`.
    """
    edges = torch.arange(cells + 1, device=low.device, dtype=low.dtype) / cells
    own = torch.arange(parts + 1, device=low.device, dtype=low.dtype) / parts
    own = low[:, None] + (high - low)[:, None] * own
    first = torch.maximum(own[:, :-1, None], edges[None, None, :-1])
    last = torch.minimum(own[:, 1:, None], edges[None, None, 1:])
    return (last - first).clamp_min(0) * cells


def poured(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """The same mass on another grid, `[..., height, width]` to `[..., *grid]`; an even map stays even to the bit."""
    if tuple(maps.shape[-2:]) == tuple(grid):
        return maps
    low = torch.zeros(1, dtype=torch.float64, device=maps.device)
    down, across = (overlap(low, low + 1, cells, parts)[0] for cells, parts in zip(maps.shape[-2:], grid, strict=True))
    return (down @ maps.double() @ across.T).to(maps.dtype)


def regridded(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Maps `[n, k, height, width]` on another grid: poured along sides that shrink, bilinear along those that grow.

    Only where no side grows the mass is kept as it is.
    """
    rows, columns = maps.shape[-2:]
    maps = poured(maps, (min(rows, grid[0]), min(columns, grid[1])))
    if tuple(maps.shape[-2:]) == tuple(grid):
        return maps
    return F.interpolate(maps, grid, mode="bilinear", align_corners=False)

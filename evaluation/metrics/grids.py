"""From the grid of patches to pixels and back."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.grids import poured


def coverage(masks: Tensor, grid: tuple[int, int]) -> Tensor:
    """Share of every patch that the mask covers: bool or float `[n, height, width]` to float32 `[n, *grid]`."""
    return poured(masks.float(), grid) * (math.prod(grid) / math.prod(masks.shape[-2:]))


def enlarge(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps at the image's resolution: every patch spread by a Gaussian of half its own width.

    A patch's attention stands for the whole patch, not for its centre; interpolating between centres would put every
    peak on a centre, which thin and hollow shapes often miss.

    Args:
        maps: `[n, rows, columns]`.
        size: height and width in pixels.

    Returns:
        float32 `[n, height, width]`, with the same mass in every full patch up to what spills into its neighbours.
    """

    def spread(patches: int, pixels: int) -> Tensor:
        centres = (torch.arange(patches) + 0.5) / patches
        at = (torch.arange(pixels) + 0.5) / pixels
        return torch.exp(-0.5 * ((at[:, None] - centres) * patches / 0.5) ** 2)

    rows, columns = maps.shape[-2:]
    return spread(rows, size[0]) @ maps.float() @ spread(columns, size[1]).T


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps `[n, rows, columns]` interpolated bilinearly to `[n, *size]`, float32; an even map stays even to the bit."""
    return F.interpolate(maps[:, None].double(), size, mode="bilinear", align_corners=False)[:, 0].float()


def on_coarser(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Maps `[n, rows, columns]` on the coarser of both grids, with their mass: none gains detail it does not have."""
    rows, columns = min(one.shape[-2:], other.shape[-2:], key=math.prod)
    return poured(one, (rows, columns)), poured(other, (rows, columns))


def undefined(values: Tensor, where: Tensor) -> Tensor:
    """The values `[n]`, NaN where `[n]` says."""
    return values.masked_fill(where, float("nan"))

"""Does a map lie on the thing it should: pointing game and energy in the mask.

Sources: pointing game, Zhang et al. 2018 (arXiv 1608.00507); energy-based pointing, Wang et al. 2020 (Score-CAM,
arXiv 1910.01279). Larger is better for both; an empty mask gives NaN.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def coverage(masks: Tensor, grid: tuple[int, int]) -> Tensor:
    """Share of every patch that the mask covers: bool or float `[n, height, width]` to float32 `[n, *grid]`."""
    return F.adaptive_avg_pool2d(masks.float()[:, None], grid)[:, 0]


def energy_in_mask(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of the map's mass that lies in the mask.

    Args:
        maps: `[n, rows, columns]`, each summing to 1.
        masks: `[n, height, width]`.

    Returns:
        float32 `[n]` in [0, 1]; chance is the mask's area.
    """
    inside = (maps * coverage(masks, (maps.shape[-2], maps.shape[-1]))).flatten(1).sum(1)
    return inside.masked_fill(~masks.flatten(1).any(1), float("nan"))


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


def pointing_hit(maps: Tensor, masks: Tensor, smooth: bool = True) -> Tensor:
    """Whether the map's peak lies in the mask, pixel by pixel and without the usual tolerance of 15 pixels.

    Args:
        maps: `[n, rows, columns]`.
        masks: `[n, height, width]`.
        smooth: enlarge by `enlarge`; False interpolates bilinearly between the patches' centres.

    Returns:
        float32 `[n]` of 0 and 1; chance is the mask's area.
    """
    size = (masks.shape[-2], masks.shape[-1])
    if smooth:
        large = enlarge(maps, size)
    else:
        large = F.interpolate(maps[:, None].float(), size, mode="bilinear", align_corners=False)[:, 0]
    peak = large.flatten(1).argmax(1)
    hit = masks.flatten(1).float().gather(1, peak[:, None])[:, 0]
    return hit.masked_fill(~masks.flatten(1).any(1), float("nan"))

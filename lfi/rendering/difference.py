"""What one map has more than another: A minus B, in multiples of uniform attention, on a scale around zero.

Purple and brown (matplotlib's PuOr without its darkest ends) differ for every kind of colour vision; where both maps
agree the grey picture stays as it is, since the opacity is in proportion to the difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import matplotlib
import numpy as np
from PIL import Image
from torch import Tensor

from lfi.maps import InteractionMaps
from lfi.rendering.overlays import OPACITY, enlarged, ground
from lfi.rendering.scale import SMALLEST_TOP, Tick, times_uniform

DIVERGING: np.ndarray = matplotlib.colormaps["PuOr_r"](np.linspace(0.06, 0.94, 256), bytes=True)[:, :3].copy()
"""uint8 `[256, 3]`: purple where the second map has more, brown where the first one has."""
DIVERGING.flags.writeable = False


@dataclass(frozen=True)
class DifferenceScale:
    """A scale from -`limit` to `limit`, in times uniform attention.

    Raises:
        ValueError: the limit is not positive and finite.
    """

    limit: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.limit) and self.limit > 0):
            raise ValueError(f"the difference scale has the limit {self.limit}; a positive number was expected")

    def share(self, value: float) -> float:
        """Position between the ends, in [0, 1]."""
        return (value / self.limit + 1) / 2

    def ticks(self) -> tuple[Tick, ...]:
        """Both ends and zero."""
        return tuple(Tick(value, f"{value:+.3g}×" if value else "0") for value in (-self.limit, 0.0, self.limit))


def difference_scales(first: InteractionMaps, second: InteractionMaps) -> Iterator[DifferenceScale]:
    """For every query of two batches of one, of one layer each, the scale that holds their difference.

    It never ends below `SMALLEST_TOP`: nearly equal maps must look equal.
    """
    grid = (max(first.grid[0], second.grid[0]), max(first.grid[1], second.grid[1]))
    one, two = (each.resized(grid).weights[0, 0] * (grid[0] * grid[1]) for each in (first, second))
    for largest in (one - two).abs().flatten(1).max(1).values.tolist():
        yield DifferenceScale(max(SMALLEST_TOP, largest))


def difference(
    image: Image.Image,
    first: Tensor | np.ndarray,
    second: Tensor | np.ndarray,
    scale: DifferenceScale,
    opacity: float = OPACITY,
) -> Image.Image:
    """The image, grey, with `first` minus `second` laid over it, RGB, in the image's own size.

    Args:
        first, second: raw maps `[h, w]` that sum to 1, each on its own grid.
    """
    one, two = (enlarged(times_uniform(weights), image.size) for weights in (first, second))
    share = np.clip((one - two) / scale.limit, -1, 1)
    colours = DIVERGING[np.round((share + 1) * 127.5).astype(np.uint8)]
    mask = np.abs(share) * np.float32(opacity * 255) + np.float32(0.5)
    return Image.composite(Image.fromarray(colours), ground(image, opacity), Image.fromarray(mask.astype(np.uint8)))

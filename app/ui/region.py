"""A region that a visitor marks on the picture, and how much of every map lies in it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.engine.decode import decode_image
from app.failures import RegionError
from app.limits import ImageLimits
from app.ui.agreement import agreement, inside
from lfi.comparison import Comparison
from lfi.errors import ImageError

LIMITS = ImageLimits(bytes=100_000, pixels=512 * 512)
"""The page sends regions far smaller than pictures: patches are coarse."""


def read_region(encoded: str) -> Tensor:
    """The region in a base64 image: bool `[height, width]`, true where it is light.

    Raises:
        RegionError: not base64, no image, too large, or nothing marked.
    """
    try:
        image = decode_image(base64.b64decode(encoded, validate=True), LIMITS)
    except (ValueError, ImageError) as error:  # of letters that are not ASCII, base64 raises a plain one
        raise RegionError(f"the region cannot be read: {error}") from error
    region = torch.from_numpy(np.asarray(image.convert("L")) > 127)
    if not region.any():
        raise RegionError("nothing is marked; draw a box or use the brush on the picture")
    return region


def region_view(comparison: Comparison, columns: Sequence[str], region: Tensor) -> dict[str, Any]:
    """The region's area, and for every column `[layer][word]` what share of its map and whether its peak is inside."""
    return {
        "area": float(region.float().mean()),
        "models": {
            column: [[{"energy": one.energy, "hit": one.hit} for one in layer] for layer in inside(maps, region)]
            for column, maps in ((column, comparison.maps[column]) for column in columns)
        },
    }


def ranked(comparison: Comparison, answers: Sequence[str], region: Tensor | None) -> list[dict[str, Any]]:
    """These answers for the one word of a comparison, each at its default layer, the best first.

    Args:
        region: bool `[height, width]`: best is what lies most in it. None: what is most like the teacher's map.
    """
    at = {key: comparison.maps[key].layer(comparison.default_layer[key]) for key in ("teacher", *answers)}
    rows: list[dict[str, Any]] = []
    for key in answers:
        agreed = agreement(at[key], at["teacher"])[0]
        row = {"key": key, "layer": comparison.default_layer[key], "correlation": agreed.correlation}
        rows.append(row | {"inside": None if region is None else inside(at[key], region)[0][0].energy})
    merit = "correlation" if region is None else "inside"
    return sorted(rows, key=lambda row: -2.0 if row[merit] is None else row[merit], reverse=True)

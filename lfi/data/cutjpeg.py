"""Truncated JPEGs, as left by an interrupted copy: what can be recovered, and how much is lost."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

_COMPARED = (256, 256)
"""The smallest size at which is judged how much is lost, as for `Image.draft`."""
MOST_LOST = 0.25
"""Largest share of an image that may be missing before it counts as unreadable."""

_BAND = 16
"""Rows that a decoder makes at a time, at most."""

_END = b"\xff\xd9"
_FILLER = np.random.default_rng(0).integers(0, 255, 1 << 16, np.uint8).tobytes()  # never 255, which begins a marker


def completed(data: bytes, draft: tuple[int, int]) -> tuple[Image.Image, float]:
    """A cut JPEG with an end of its own, and the share of its pixels, from below, that are not in the data.

    With the end mark alone, a decoder makes missing blocks grey; with other bytes before the mark it makes something
    else of them. So where the two first differ the data end. (A progressive file has the rest at a lower quality.)

    Args:
        draft: the smallest size that will do, as for `Image.draft`. Whether too much is lost does not depend on it.

    Raises:
        Exception: whatever Pillow raises for data that are damaged otherwise; `OSError` where too much is lost.
    """
    data = data.rstrip(b"\xff")
    image, other = (_decoded(data + filler + _END, _COMPARED) for filler in (b"", _FILLER))
    lost = _lost(np.asarray(image) != np.asarray(other))
    if lost > MOST_LOST:
        raise OSError(f"image file is truncated: {lost:.0%} of it is missing")
    return _decoded(data + _END, draft), lost


def _lost(differ: np.ndarray) -> float:
    """The differing pixels in the first rows that differ, and all rows below, where the filler may be too short."""
    pixels = differ.reshape(*differ.shape[:2], -1).max(2)
    rows = np.flatnonzero(pixels.max(1))
    if not len(rows):
        return 0.0
    band = pixels[rows[0] : rows[0] + _BAND]
    return float(band.sum() / pixels.size + max(len(pixels) - rows[0] - _BAND, 0) / len(pixels))


def _decoded(data: bytes, draft: tuple[int, int]) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=("JPEG",))
    image.draft(None, draft)
    image.load()
    return image

"""What the instructions show: one photograph with a good, a partial and a bad highlight, and the colours in order.

They are drawn like practice and catch trials (`app.study.stimuli.box_map`) and are the same in every study, so they
favour no condition. Their photograph ships with the samples.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from app.failures import NothingHereError
from app.study.plan import Known
from app.study.stimuli import box_map, known_scale
from lfi.rendering import Scale, encode_webp, overlay, times_uniform

PHOTOGRAPH = "coffee"
BOXES = {
    "good": (0.32, 0.06, 0.66, 0.72),
    "partly": (0.2, 0.34, 0.5, 0.84),
    "bad": (0.78, 0.1, 1.0, 0.5),
}
"""What is highlighted for the word “cup”: the cup itself, a part of it with some of the saucer, the table."""
NAMES = (*BOXES, "colours")
_SIDE = 360
_BAR = (240, 10)
_GREY = "#a0a0a0"


@lru_cache(len(NAMES))
def example_picture(static: Path, name: str) -> bytes:
    """One of `NAMES` as WebP.

    Args:
        static: the folder that holds the samples.

    Raises:
        NothingHereError: there is no example of this name.
    """
    if name == "colours":
        return encode_webp(_colours(), quality=90)
    if name not in BOXES:
        raise NothingHereError(f"there is no example {name!r}; there are: {', '.join(NAMES)}")
    picture = Image.open(static / "samples" / f"{PHOTOGRAPH}.jpg").convert("RGB")
    picture.thumbnail((_SIDE, _SIDE))
    weights = box_map(Known(PHOTOGRAPH, "cup", BOXES[name], expected=(1,)))
    return encode_webp(overlay(picture, weights, known_scale(weights)), quality=85)


def _colours() -> Image.Image:
    """From no attention to the most, as it looks on a grey picture."""
    ramp = np.geomspace(1, 16, _BAR[0], dtype=np.float32)[None].repeat(_BAR[1], 0)
    weights = ramp / ramp.sum()
    values = times_uniform(weights)
    scale = Scale(float(values.min()), float(values.max()))
    return overlay(Image.new("RGB", _BAR, _GREY), weights, scale, peak=False)

"""One picture in the modes in which Pillow's pictures come: what a file of each shows is known to the service."""

from __future__ import annotations

import numpy as np
from PIL import Image


def pictures() -> dict[str, Image.Image]:
    """A picture that is not symmetrical, by what is particular to it."""
    rng = np.random.default_rng(0)
    plain = Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8))
    turned = plain.copy()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.info["exif"] = exif.tobytes()
    clear = plain.convert("RGBA")
    clear.putalpha(Image.fromarray(rng.integers(0, 255, (40, 60), np.uint8)))
    deep = Image.fromarray(rng.integers(0, 65535, (40, 60), np.uint16))
    coded = {mode: plain.convert(mode) for mode in ("L", "P", "CMYK", "YCbCr", "HSV")}
    return {"plain": plain, "turned": turned, "transparent": clear, "of 16 bits": deep, **coded}

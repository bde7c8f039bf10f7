"""A Pillow picture as people see it: the service, readers of data, the models and the client all see it so.

It needs Pillow and NumPy alone, since an exported student's runner is copied without the rest of LFI.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

_ORIENTATION, _PHOTOMETRIC = 0x0112, 0x0106
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_THIRTY_TWO_BIT = ("I", "F")
NO_WHITE = "the image has 32-bit pixels, which have no fixed white; save it with 8 or 16 bits"


def upright_rgb(image: Image.Image, in_place: bool = False) -> Image.Image:
    """The picture upright, as RGB with 8 bits, without metadata.

    It is turned as its EXIF orientation says, transparency is composited on white, and of 16 bits the upper 8 are kept.
    Colour profiles are ignored, as the models' training pipelines ignore them; CMYK is therefore converted without its
    press profile.

    Args:
        image: of any mode.
        in_place: whether the picture itself may be turned: a copy of a large photo is 200 MB.

    Raises:
        ValueError: its pixels have no fixed range, or Pillow cannot convert them.
        Exception: whatever Pillow raises for a picture that is not loaded yet, and damaged.
    """
    if without_white(image):
        raise ValueError(NO_WHITE)
    negative = _negative(image)  # the turn forgets it
    return _as_rgb(_turned(image, in_place), negative)


def without_white(image: Image.Image) -> bool:
    """Whether no value of a pixel is known to be white."""
    return image.mode in _THIRTY_TWO_BIT and not _sixteen_bit_ppm(image)


def _sixteen_bit_ppm(image: Image.Image) -> bool:
    """Pillow opens a 16-bit PGM with 32-bit pixels; it fills 16 of them."""
    return image.format == "PPM" and image.mode == "I"


def _negative(image: Image.Image) -> bool:
    """Whether 0 is white in a 16-bit TIFF: of 8 bits, Pillow turns such pixels over itself."""
    return image.format == "TIFF" and image.mode in _SIXTEEN_BIT and image.tag_v2.get(_PHOTOMETRIC) == 0  # type: ignore[attr-defined]


def _turned(image: Image.Image, in_place: bool) -> Image.Image:
    """Turned as the camera's EXIF orientation says. A damaged EXIF block says nothing, or no more than that."""
    image.load()
    try:
        if image.getexif().get(_ORIENTATION, 1) == 1:
            return image
        image = image if in_place else image.copy()
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # of every kind, also after the turn: Pillow then writes the block anew
        pass
    return image


def _as_rgb(image: Image.Image, negative: bool) -> Image.Image:
    if _sixteen_bit_ppm(image):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode in _SIXTEEN_BIT:
        upper = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        image = Image.fromarray(255 - upper if negative else upper)
    if image.has_transparency_data:
        transparent = image if image.mode == "RGBA" else image.convert("RGBA")
        rgb = Image.new("RGB", image.size, "white")
        rgb.paste(transparent, mask=transparent.getchannel("A"))
        return rgb
    rgb = image.convert("RGB")
    rgb.info = {}  # neither GPS positions nor colour profiles travel on into what is written
    return rgb

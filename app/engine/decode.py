"""One way from uploaded bytes to an RGB image, for the API, the page and the command line.

Everything that can be refused is refused from the header, before a pixel is decoded: a PNG of 109 KB may
decode to 900 megapixels. What is decoded is seen as Python's callers see a picture (`lfi.upright`).
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from PIL import Image, UnidentifiedImageError
from pillow_heif import register_heif_opener

from app.failures import NotAnImageError
from app.limits import ImageLimits
from lfi.data.cutjpeg import completed
from lfi.data.imagefiles import SERVED
from lfi.errors import ImageError, ImageTooLargeError
from lfi.upright import NO_WHITE, upright_rgb, without_white

Image.init()  # all plugins at once, so that no two threads load one at the same time
register_heif_opener(thumbnails=False)
# Pillow warns of large images and then opens them; ours are refused by their header.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

T = TypeVar("T")

FORMATS = SERVED
"""Formats we read; messages name those that people have.

Pillow knows more, some of them by way of other programs (EPS): those stay closed."""

DAMAGED = "the image is damaged or incomplete; save it again and retry"
CUT = "the JPEG lacks its last bytes"

# A phone's MPO and HEIC hold a thumbnail, a depth map or a second exposure next to the photograph itself.
_MANY_PICTURES_ONE_PHOTO = ("MPO", "HEIF")
_JPEG = ("JPEG", "MPO")
_TILE, _TILE_SIDE = (322, 323), 1024
"""Tags of a TIFF's tile width and length, and the largest side that tiles of a smaller picture usually have."""
_ICON = b"\0\0\1\0"  # what such a file begins with
_ICON_SIDE = 1024


class Decoded(NamedTuple):
    """An image as people see it.

    Attributes:
        image: upright, RGB, without metadata.
        note: what of the file was not read; empty where all was.
    """

    image: Image.Image
    note: str = ""


def decode_image(data: bytes, limits: ImageLimits | None = None) -> Image.Image:
    """The image as people see it, of `decoded(opened(data, limits), data)`."""
    return decoded(opened(data, limits), data).image


def opened(data: bytes, limits: ImageLimits | None = None, first_frame: bool = False) -> Image.Image:
    """The image with its header read and checked, and no pixel decoded.

    Args:
        data: a whole file: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC, JPEG 2000, ICO, or PPM and its kin.
        limits: on bytes, pixels and aspect ratio.
        first_frame: whether an animation stands for its first frame; whoever asks says so (`several`).

    Raises:
        NotAnImageError: empty, or in no format we read.
        ImageTooLargeError: more bytes or pixels than `limits` allow.
        ImageError: animated (unless `first_frame`), of an extreme shape, or of a pixel type without a fixed range.
    """
    limits = limits or ImageLimits()
    if not data:
        raise NotAnImageError("the file is empty; send a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC image")
    if len(data) > limits.bytes:
        raise ImageTooLargeError(
            f"the file is {len(data) / 1e6:.1f} MB; at most {limits.bytes / 1e6:g} MB are accepted"
        )
    if data.startswith(_ICON):
        _check_icon(data)  # before it is opened, which decodes its largest picture
    image = _open(data, limits)
    _check_header(image, limits)
    if not first_frame and (what := several(image)):
        raise ImageError(f"the {image.format} image has several {what}; send one of them as a still image")
    return image


def several(image: Image.Image) -> str:
    """`frames` or `pages` where an opened image has more than one of them, else nothing."""
    if image.format in _MANY_PICTURES_ONE_PHOTO or not _guarded(lambda: getattr(image, "is_animated", False)):
        return ""
    return "pages" if image.format == "TIFF" else "frames"


def decoded(image: Image.Image, data: bytes) -> Decoded:
    """An `opened` image as people see it. Takes about 10 bytes a pixel meanwhile.

    A JPEG that lacks its last bytes is read as far as it goes, as `lfi.data` reads it for training, and that is noted.

    Args:
        data: the file.

    Raises:
        ImageError: damaged.
    """
    note = ""
    try:
        image.load()
    except Exception as error:
        if image.format not in _JPEG or not isinstance(error, OSError):
            raise ImageError(DAMAGED) from error
        image, lost = _guarded(lambda: completed(data, image.size))
        note = CUT + (f": {max(lost, 0.001):.1%} of it is missing and shown in grey" if lost else "")
    return Decoded(_guarded(lambda: upright_rgb(image, in_place=True)), note)


def _open(data: bytes, limits: ImageLimits) -> Image.Image:
    """The image with its header read and no pixel decoded."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise NotAnImageError(
            "the file is not an image we can read; send a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC image"
        ) from error
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        stated = int(pixels.group()) / 1e6 if pixels else float("inf")
        raise _too_many_pixels(f"{stated:,.0f} megapixels", limits) from error
    except Exception as error:
        raise ImageError(DAMAGED) from error


def _check_header(image: Image.Image, limits: ImageLimits) -> None:
    width, height = image.size
    if width * height > limits.pixels:
        raise _too_many_pixels(f"{width} x {height} pixels ({width * height / 1e6:,.0f} megapixels)", limits)
    if max(width, height) > limits.aspect * min(width, height):
        raise ImageError(
            f"the image is {width} x {height} pixels; "
            f"its longer side may be at most {limits.aspect:g} times the shorter"
        )
    if without_white(image):
        raise ImageError(NO_WHITE)
    if image.format == "TIFF":
        _check_tiles(image)


def _check_tiles(image: Image.Image) -> None:
    """Tiles may be larger than the picture that lies in them, and libtiff makes room for whole ones."""
    sides = [_guarded(lambda tag=tag: int(image.tag_v2.get(tag, 0))) for tag in _TILE]  # type: ignore[attr-defined, misc]
    if any(side > max(own, _TILE_SIDE) for side, own in zip(sides, image.size, strict=True)):
        raise ImageError(
            f"the TIFF image is {image.width} x {image.height} pixels in tiles of {sides[0]} x {sides[1]}; "
            f"tiles may be no larger than the image, or than {_TILE_SIDE} x {_TILE_SIDE}"
        )


def _check_icon(data: bytes) -> None:
    """The pictures in an ICO have headers of their own, which may say more than the icon's 256 pixels a side."""
    for width, height in _guarded(lambda: list(_icon_sizes(data))):
        if not (0 < width <= _ICON_SIDE and 0 < height <= _ICON_SIDE):
            raise ImageError(f"the icon holds a picture of {width} x {height} pixels; at most {_ICON_SIDE} are read")


def _icon_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    (count,) = struct.unpack_from("<H", data, 4)
    for entry in range(count):
        (start,) = struct.unpack_from("<I", data, 6 + 16 * entry + 12)
        if data[start : start + 4] == b"\x89PNG":
            yield struct.unpack_from(">II", data, start + 16)
        else:
            width, height = struct.unpack_from("<ii", data, start + 4)
            yield width, height // 2  # a mask lies below the picture


def _guarded(step: Callable[[], T]) -> T:
    """The step's answer; whatever a decoder says about damaged data becomes one clear error.

    Decoders raise nearly every built-in exception on hostile files (OSError, SyntaxError, ValueError,
    struct.error, EOFError, MemoryError, ...), so the net is wide on purpose and spans only their calls.
    """
    try:
        return step()
    except Exception as error:
        raise ImageError(DAMAGED) from error


def _too_many_pixels(what: str, limits: ImageLimits) -> ImageTooLargeError:
    return ImageTooLargeError(f"the image has {what}; at most {limits.pixels / 1e6:,.0f} megapixels are accepted")

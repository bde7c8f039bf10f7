"""Valid pictures of every format and pixel type, which the rest of the corpus damages; and chunks to build with."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image
from pillow_heif import register_heif_opener

register_heif_opener(thumbnails=False)

FORMATS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 85},
    "PNG": {},
    "WEBP": {"quality": 80},
    "GIF": {},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "AVIF": {"speed": 10},
    "HEIF": {"quality": 60},
}


def picture(rng: np.random.Generator, mode: str = "RGB") -> Image.Image:
    """Blocks of colour under noise, 24 to 160 pixels a side."""
    width, height = (int(side) for side in rng.integers(24, 160, 2))
    coarse = rng.integers(0, 256, (6, 6, 3), np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST)
    noisy = np.asarray(image).astype(int) + rng.integers(-12, 12, (height, width, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    """A file of this format."""
    buffer = io.BytesIO()
    image.save(buffer, format, **{**FORMATS[format], **options})
    return buffer.getvalue()


def any_format(rng: np.random.Generator) -> tuple[str, bytes]:
    """A valid file of some format."""
    format = str(rng.choice(list(FORMATS)))
    return format, encoded(picture(rng), format)


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(header: bytes, *chunks: bytes) -> bytes:
    """A PNG from the body of its IHDR and further chunks."""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def png_header(width: int, height: int, depth: int = 8, colour: int = 0) -> bytes:
    """The body of an IHDR; colour 0 is grey, 2 RGB, 3 a palette, 4 and 6 the first two with alpha."""
    return struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


def inserted(data: bytes, at: int, more: bytes) -> bytes:
    """`data` with `more` put in at this place."""
    return data[:at] + more + data[at:]


def segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body

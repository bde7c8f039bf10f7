"""Files to upload: one picture in many formats, and files that are not pictures or should not be opened."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def scene(width: int = 96, height: int = 64) -> Image.Image:
    """A picture without any symmetry: a red square upper left, a green bar on the right, a blue gradient."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 2] = np.linspace(60, 200, width).astype(np.uint8)
    pixels[: height // 2, : width // 3] = (220, 30, 30)
    pixels[:, -width // 6 :] = (30, 160, 40)
    return Image.fromarray(pixels)


def as_bytes(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG written by hand, with any size in its header and any compressed data after it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def black_png(width: int, height: int) -> bytes:
    """A whole black PNG of any size, made quickly: one packed row, repeated."""
    row = bytes(1 + width)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    # A full flush ends on a byte and forgets what came before, so that the packed row may be repeated.
    packed = packer.compress(row) + packer.flush(zlib.Z_FULL_FLUSH)
    adler = ((len(row) * height) % 65521) << 16 | 1  # of that many zeros (RFC 1950)
    return png(width, height, b"\x78\xda" + packed * height + b"\x03\x00" + struct.pack(">I", adler))


def nine_hundred_megapixels() -> bytes:
    """A real bomb: 30,000 x 30,000 grey pixels, all of them there, in under two megabytes."""
    return black_png(30_000, 30_000)


def two_frames(format: str = "GIF") -> bytes:
    first, second = scene(), scene().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return as_bytes(first, format, save_all=True, append_images=[second])


def cut_jpeg() -> bytes:
    """A JPEG that lacks its last bytes, and of the picture the last rows."""
    whole = as_bytes(scene(320, 240), "JPEG", quality=95)
    return whole[: len(whole) * 95 // 100]


def truncated_jpeg() -> bytes:
    """Half of a JPEG: too little to be shown."""
    whole = as_bytes(scene(320, 240), "JPEG")
    return whole[: len(whole) // 2]

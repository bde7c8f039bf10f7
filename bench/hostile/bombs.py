"""Small files that unpack to huge ones: pixels, profiles, texts, scans, frames."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image

from bench.hostile.pictures import chunk, encoded, inserted, picture, png, png_header, segment


def black_png(width: int, height: int) -> bytes:
    """A whole black PNG of any size, made quickly: one packed row, repeated."""
    row = bytes(1 + width)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    # A full flush ends on a byte and forgets what came before, so that the packed row may be repeated.
    packed = packer.compress(row) + packer.flush(zlib.Z_FULL_FLUSH)
    adler = ((len(row) * height) % 65521) << 16 | 1  # of that many zeros (RFC 1950)
    data = b"\x78\xda" + packed * height + b"\x03\x00" + struct.pack(">I", adler)
    return png(png_header(width, height), chunk(b"IDAT", data))


def pixel_bomb(rng: np.random.Generator) -> bytes:
    """A PNG of 100 to 900 megapixels, all of them there."""
    return black_png(*(int(side) for side in rng.integers(10_000, 30_000, 2)))


def nearly_too_many_pixels(rng: np.random.Generator) -> bytes:
    """A PNG of 30 to 49 megapixels, which is allowed and has to be worked on."""
    return black_png(7000, int(rng.integers(4300, 7000)))


def data_bomb(rng: np.random.Generator) -> bytes:
    """A PNG of few pixels whose data unpack to 64 MB."""
    return png(png_header(64, 64), chunk(b"IDAT", zlib.compress(bytes(64 * 1024**2))))


def tiff(tags: dict[int, int], data: bytes) -> bytes:
    """A little-endian TIFF of one picture in one tile: its tags but the last two, and its compressed pixels."""
    start = 8 + 2 + 12 * (len(tags) + 2) + 4
    tags = {**tags, 324: start, 325: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


def tile_bomb(rng: np.random.Generator) -> bytes:
    """A grey TIFF of few pixels in a tile of 100 to 900 megapixels."""
    width, height = (int(side) * 16 for side in rng.integers(625, 1875, 2))
    tags = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: width, 323: height}
    return tiff(tags, zlib.compress(bytes(1000)))


def profile_bomb(rng: np.random.Generator) -> bytes:
    """A PNG with a colour profile or a text that unpacks to 64 MB."""
    packed = zlib.compress(bytes(64 * 1024**2))
    more = (
        chunk(b"iCCP", b"icc\0\0" + packed),
        chunk(b"zTXt", b"Comment\0\0" + packed),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + packed),
    )
    return inserted(encoded(picture(rng), "PNG"), 33, more[rng.integers(3)])


def many_texts(rng: np.random.Generator) -> bytes:
    """A PNG with thousands of small compressed texts."""
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000)))
    return inserted(encoded(picture(rng), "PNG"), 33, text * int(rng.integers(1000, 5000)))


def scan_bomb(rng: np.random.Generator) -> bytes:
    """A progressive JPEG whose last scan is repeated a few hundred times."""
    data = encoded(picture(rng), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * int(rng.integers(100, 400)) + data[-2:]


def many_segments(rng: np.random.Generator) -> bytes:
    """A JPEG with megabytes of comments and application data before the picture."""
    marker = int(rng.choice([0xFE, 0xE1, 0xE2, 0xED, 0xEF]))
    body = (b"Exif\0\0", b"ICC_PROFILE\0\1\xff", b"Photoshop 3.0\0", b"")[rng.integers(4)]
    return inserted(encoded(picture(rng), "JPEG"), 2, segment(marker, body.ljust(65_000, b"\0")) * 40)


def animated(rng: np.random.Generator) -> bytes:
    """A GIF, WebP, PNG, TIFF or AVIF with several frames."""
    format = str(rng.choice(["GIF", "WEBP", "PNG", "TIFF", "AVIF"]))
    first = picture(rng)
    frames = [first.transpose(Image.Transpose.ROTATE_180), first] * int(rng.integers(1, 12))
    return encoded(first, format, save_all=True, append_images=frames)


def frame_bomb(rng: np.random.Generator) -> bytes:
    """A GIF that repeats one frame a few thousand times."""
    data = encoded(picture(rng).resize((24, 24)), "GIF")
    frame = data.index(b",", 13 + 3 * 2 ** ((data[10] & 7) + 1))
    return data[:frame] + data[frame:-1] * int(rng.integers(1000, 4000)) + data[-1:]


def long_and_thin(rng: np.random.Generator) -> bytes:
    """A PNG that is one pixel wide, or high."""
    side = int(rng.integers(2, 40_000))
    return black_png(*((side, 1), (1, side))[rng.integers(2)])

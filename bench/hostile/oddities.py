"""Valid pictures that few programs expect: pixel types, profiles, metadata, polyglots."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from bench.hostile.pictures import any_format, chunk, encoded, inserted, picture, png, png_header, segment


def cmyk(rng: np.random.Generator) -> bytes:
    """A JPEG or TIFF of printing colours, at times with Adobe's marker damaged."""
    data = encoded(picture(rng, "CMYK"), str(rng.choice(["JPEG", "TIFF"])))
    return data.replace(b"Adobe", b"adobe") if rng.random() < 0.3 else data


def deep(rng: np.random.Generator) -> bytes:
    """16 or 32 bits per pixel, integers or floats, including NaN and infinity."""
    grey = np.asarray(picture(rng, "L"))
    kind = rng.integers(3)
    if kind == 0:
        return encoded(Image.fromarray(grey.astype(np.uint16) * 257), str(rng.choice(["PNG", "TIFF"])))
    values = grey.astype(np.float32)
    if kind == 1:
        values[0, :3] = (np.nan, np.inf, -np.inf)
    return encoded(Image.fromarray(values if kind == 1 else grey.astype(np.int32) * 2**20), "TIFF")


def palette(rng: np.random.Generator) -> bytes:
    """1, 2, 4 or 8 bits into a palette that is too short, empty or partly transparent."""
    depth = int(rng.choice([1, 2, 4, 8]))
    side, entries = 32, int(rng.integers(0, 2**depth + 1))
    rows = b"".join(b"\0" + rng.bytes(-(-side * depth // 8)) for _ in range(side))
    chunks = [chunk(b"PLTE", rng.bytes(3 * entries)), chunk(b"tRNS", rng.bytes(int(rng.integers(0, entries + 2))))]
    return png(png_header(side, side, depth, 3), *chunks, chunk(b"IDAT", zlib.compress(rows)))


def transparent(rng: np.random.Generator) -> bytes:
    """With an alpha channel, or one colour that stands for nothing."""
    mode = str(rng.choice(["RGBA", "LA"]))
    image = picture(rng, mode)
    image.putalpha(Image.fromarray(rng.integers(0, 256, image.size[::-1], np.uint8)))
    if rng.random() < 0.5:
        return encoded(image, str(rng.choice(["PNG", "TIFF"] if mode == "LA" else ["PNG", "WEBP", "TIFF", "AVIF"])))
    return encoded(picture(rng, "L"), "PNG", transparency=int(rng.integers(256)))


def tiny(rng: np.random.Generator) -> bytes:
    """One to three pixels a side."""
    width, height = (int(side) for side in rng.integers(1, 4, 2))
    return encoded(picture(rng).resize((width, height)), str(rng.choice(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])))


def profiled(rng: np.random.Generator) -> bytes:
    """With a colour profile that is noise, empty, or says that it is longer than it is."""
    profile = (rng.bytes(500), b"", struct.pack(">I", 2**31) + b"lcms" + rng.bytes(120))[rng.integers(3)]
    return encoded(picture(rng), str(rng.choice(["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])), icc_profile=profile)


def turned(rng: np.random.Generator) -> bytes:
    """With an EXIF orientation, of those there are and those there are not, of any type."""
    kind = rng.integers(3)
    value = (int(rng.integers(0, 12)), int(rng.integers(0, 2**16)), int(rng.integers(1, 9)))[kind]
    entry = struct.pack("<HHIHH", 0x0112, (3, 3, int(rng.integers(0, 14)))[kind], 1, value, 0)
    return _with_exif(rng, b"II*\0\x08\0\0\0\1\0" + entry + bytes(4))


def odd_exif(rng: np.random.Generator) -> bytes:
    """With EXIF data that are noise, point at themselves, or state a thousand million entries."""
    endless = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<I", 8)
    many = b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 0x0112, 3, 2**30, 2**31) * 50
    noise = b"MM\0*\0\0\0\x08" + rng.bytes(int(rng.integers(10, 60_000)))
    return _with_exif(rng, (endless, many, noise, rng.bytes(300), b"")[rng.integers(5)])


def polyglot(rng: np.random.Generator) -> bytes:
    """A picture that is something else, too: an archive, a page, a script, a document."""
    data = any_format(rng)[1]
    kind = rng.integers(4)
    if kind == 0:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("../../run.sh", "#!/bin/sh\n")
        return data + archive.getvalue()
    if kind == 1:
        return inserted(encoded(picture(rng), "JPEG"), 2, segment(0xFE, b"<script>alert(1)</script>%PDF-1.7"))
    if kind == 2:
        return inserted(encoded(picture(rng), "PNG"), 33, chunk(b"tEXt", b"Comment\0<?php system($_GET[0]); ?>"))
    return b"GIF89a/*" + data + b"*/=1;alert(1)"


def _with_exif(rng: np.random.Generator, exif: bytes) -> bytes:
    block = b"Exif\0\0" + exif
    format = str(rng.choice(["JPEG", "PNG", "WEBP"]))
    if format == "JPEG":
        return inserted(encoded(picture(rng), "JPEG"), 2, segment(0xE1, block[:65_000]))
    if format == "PNG":
        return inserted(encoded(picture(rng), "PNG"), 33, chunk(b"eXIf", exif))
    return encoded(picture(rng), "WEBP", exif=block)

"""Files that were pictures: cut, flipped, overwritten, and with headers that lie."""

from __future__ import annotations

import struct

import numpy as np

from bench.hostile.pictures import any_format, chunk, encoded, inserted, picture, png, png_header

_SIZES = (0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1)


def truncated(rng: np.random.Generator) -> bytes:
    """Ends somewhere."""
    data = any_format(rng)[1]
    return data[: int(rng.integers(1, len(data)))]


def bits_flipped(rng: np.random.Generator) -> bytes:
    """1 to 64 bits are wrong, anywhere."""
    return _flipped(rng, any_format(rng)[1], reach=None)


def header_flipped(rng: np.random.Generator) -> bytes:
    """1 to 64 bits among the first 64 bytes are wrong."""
    return _flipped(rng, any_format(rng)[1], reach=64)


def overwritten(rng: np.random.Generator) -> bytes:
    """A run of zeros, ones or noise stands in the middle."""
    data = bytearray(any_format(rng)[1])
    start = int(rng.integers(8, len(data)))
    length = int(rng.integers(1, 512))
    data[start : start + length] = (bytes(length), b"\xff" * length, rng.bytes(length))[rng.integers(3)]
    return bytes(data)


def shuffled(rng: np.random.Generator) -> bytes:
    """Blocks of 32 bytes in another order, after the first."""
    data = any_format(rng)[1]
    blocks = [data[at : at + 32] for at in range(32, len(data), 32)]
    return data[:32] + b"".join(blocks[at] for at in rng.permutation(len(blocks)))


def joined(rng: np.random.Generator) -> bytes:
    """Two files in one."""
    return any_format(rng)[1] + any_format(rng)[1]


def png_of_another_size(rng: np.random.Generator) -> bytes:
    """A PNG whose header states another size, depth or colour type than its data have."""
    data = encoded(picture(rng), "PNG")
    width, height = (int(rng.choice([*_SIZES, 7, 300])) for _ in range(2))
    depth, colour = int(rng.choice([1, 2, 4, 8, 16, 3])), int(rng.choice([0, 2, 3, 4, 6, 5]))
    return png(png_header(width, height, depth, colour), data[33:-12])


def jpeg_of_another_size(rng: np.random.Generator) -> bytes:
    """A JPEG whose frame header states another size."""
    data = bytearray(encoded(picture(rng), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    struct.pack_into(">HH", data, at, *(int(rng.choice([0, 1, 9, 4000, 65535])) for _ in range(2)))
    return bytes(data)


def gif_of_another_size(rng: np.random.Generator) -> bytes:
    """A GIF whose screen has another size."""
    data = bytearray(encoded(picture(rng), "GIF"))
    struct.pack_into("<HH", data, 6, *(int(rng.choice([0, 1, 4000, 65535])) for _ in range(2)))
    return bytes(data)


def bmp_of_another_size(rng: np.random.Generator) -> bytes:
    """A BMP with another size (negative ones turn it over), depth, compression or palette."""
    data = bytearray(encoded(picture(rng), "BMP"))
    size = [int(rng.choice([0, 1, -1, 60000, 2**31 - 1, -(2**31)])) for _ in range(2)]
    struct.pack_into("<ii", data, 18, *size)
    if rng.random() < 0.5:
        struct.pack_into("<HI", data, 28, int(rng.choice([1, 4, 8, 16, 24, 32, 33])), int(rng.integers(7)))
    return bytes(data)


def box_of_another_length(rng: np.random.Generator) -> bytes:
    """A WebP, AVIF or HEIC in which one length is wrong."""
    format = str(rng.choice(["WEBP", "AVIF", "HEIF"]))
    data = bytearray(encoded(picture(rng), format))
    names = (b"RIFF", b"VP8 ") if format == "WEBP" else (b"ftyp", b"meta", b"iloc", b"iprp", b"ispe", b"mdat", b"iinf")
    at = data.find(names[rng.integers(len(names))])
    order, place = ("<I", at + 4) if format == "WEBP" else (">I", at - 4)
    if place >= 0:
        struct.pack_into(order, data, place, int(rng.choice([0, 1, 7, 2**16, 2**31, 2**32 - 1])))
    return bytes(data)


def tiff_of_other_tags(rng: np.random.Generator) -> bytes:
    """A TIFF in which one tag has another type, count or value, or whose list of pages comes back to itself."""
    data = bytearray(encoded(picture(rng), "TIFF"))
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    if rng.random() < 0.3:
        struct.pack_into("<I", data, start + 2 + 12 * count, start)
        return bytes(data)
    tag = start + 2 + 12 * int(rng.integers(count))
    struct.pack_into("<H", data, tag + 2, int(rng.integers(0, 14)))
    struct.pack_into("<II", data, tag + 4, *(int(rng.choice([0, 1, 5, 2**16, 2**31, 2**32 - 1])) for _ in range(2)))
    return bytes(data)


def png_of_odd_chunks(rng: np.random.Generator) -> bytes:
    """A PNG with a chunk that is in the wrong place, of the wrong length, twice, or of a wrong checksum."""
    data = encoded(picture(rng), "PNG")
    odd = (
        chunk(b"IHDR", png_header(5, 5)),
        chunk(b"PLTE", rng.bytes(int(rng.integers(1, 800)))),
        chunk(b"tRNS", rng.bytes(int(rng.integers(0, 300)))),
        chunk(b"IDAT", rng.bytes(40)),
        chunk(b"IEND", b""),
        struct.pack(">I", 2**31 - 1) + b"tEXt",
        chunk(b"fcTL", rng.bytes(26)),
        chunk(b"pHYs", rng.bytes(3)),
        chunk(b"abcd", b"x")[:-4] + b"\0\0\0\0",
    )
    return inserted(data, int(rng.choice([8, 33, len(data) - 12])), odd[rng.integers(len(odd))])


def _flipped(rng: np.random.Generator, data: bytes, reach: int | None) -> bytes:
    damaged = np.frombuffer(data, np.uint8).copy()
    places = rng.integers(0, min(len(data), reach or len(data)), int(rng.integers(1, 65)))
    for place in places:
        damaged[place] ^= 1 << int(rng.integers(8))
    return damaged.tobytes()

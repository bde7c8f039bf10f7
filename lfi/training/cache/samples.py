"""Which samples a store is of: their ids, and digests of what the teacher saw of each."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from lfi.data.imageset import ImageSet
from lfi.errors import DataError

Samples = dict[str, list[str]]
"""Of every id, in order, the 128-bit BLAKE2b digests of its pixels (and their shape), its caption and its words."""

_PARTS = ("pixels", "caption", "words")
_CHUNK = 512  # images that a thread takes at once
_TOLD = 3  # samples that an error names


def samples_of(images: ImageSet) -> Samples:
    """Reads every pixel: a second or two for a gigabyte on one core, less on more."""

    def digests(start: int) -> list[str]:
        return [digest_of(image) for image in images.images[start : start + _CHUNK]]

    starts = range(0, len(images), _CHUNK)
    with ThreadPoolExecutor() as pool:  # hashing lets other threads run
        parts = tqdm(
            pool.map(digests, starts), desc="checking images", total=len(starts), unit="chunk", leave=False, delay=2
        )
        pixels = [digest for part in parts for digest in part]
    rows = zip(images.ids, pixels, images.captions, images.words, strict=True)
    return {
        name: [pixel, _digest(caption.encode(errors="surrogatepass")), _digest(json.dumps(words).encode())]
        for name, pixel, caption, words in rows
    }


def digest_of(image: np.ndarray) -> str:
    """Of an image's shape and pixels, 32 hexadecimal digits."""
    return _digest(repr(image.shape).encode(), np.ascontiguousarray(image).data)


def _digest(*parts: bytes | memoryview) -> str:
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(part)
    return found.hexdigest()


def locate(there: Samples, wanted: Samples, where: object) -> np.ndarray:
    """Rows of the wanted samples in a store, int64 `[n]`.

    Raises:
        DataError: samples are missing or have changed; it names some of them and what of them changed.
    """
    place = {name: row for row, name in enumerate(there)}
    wrong = []
    for name, digests in wanted.items():
        if name not in place:
            wrong.append(f"{name} is missing")
        elif digests != there[name]:
            parts = [part for part, old, new in zip(_PARTS, there[name], digests, strict=True) if old != new]
            wrong.append(f"{name} has other {' and '.join(parts)}")
    if wrong:
        more = f", and {len(wrong) - _TOLD:,} more" if len(wrong) > _TOLD else ""
        raise DataError(
            f"the teacher cache {where} does not fit {len(wrong):,} of {len(wanted):,} images: "
            f"{'; '.join(wrong[:_TOLD])}{more}; build one for these images in another folder"
        )
    return np.array([place[name] for name in wanted], np.int64)

"""Image files to one uint8 array: upright, RGB, one size; what cannot be read is counted, named and skipped."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm.auto import tqdm

from lfi.data.cutjpeg import completed
from lfi.data.imagefiles import FORMATS
from lfi.data.notes import Note, Notes
from lfi.devices import cores
from lfi.errors import DataError
from lfi.upright import upright_rgb

Fit = Literal["squash", "crop"]
FITS = ("squash", "crop")
"""`squash` keeps all of an image and not its shape; `crop` keeps its shape and the middle square."""

MAX_PIXELS = 89_000_000
"""A file that decodes to more is refused by its header; Pillow itself warns a little above."""

_CHUNK = 64
_ANIMATED = ("GIF", "WEBP", "PNG", "TIFF", "AVIF")
"""Formats whose further pictures are more of the same; a phone's HEIC or MPO holds a depth map or a thumbnail."""


ANIMATED = "animations and files of several pages, of which the first picture is read"
CUT = "JPEGs that lack their last bytes"


class Decoded(NamedTuple):
    """What `load_images` returns.

    Attributes:
        images: uint8 `[m, size, size, 3]`, RGB.
        kept: int64 `[m]`, which of the files each image came from, ascending.
        skipped: `path: reason` of every file that could not be read.
        notes: what was read in part.
    """

    images: np.ndarray
    kept: np.ndarray
    skipped: tuple[str, ...]
    notes: tuple[Note, ...] = ()


class DecodedImage(NamedTuple):
    """One image, uint8 `[size, size, 3]`, and what is to be noted of it: kind of note and detail of each."""

    pixels: np.ndarray
    remarks: tuple[tuple[str, str], ...] = ()


def decode(file: Path | BinaryIO, size: int, fit: Fit = "squash") -> np.ndarray:
    """The pixels of `read_picture`."""
    return read_picture(file, size, fit).pixels


def read_picture(file: Path | BinaryIO, size: int, fit: Fit = "squash") -> DecodedImage:
    """One image: EXIF orientation applied, transparency on white, resized by antialiased bicubic interpolation.

    Of an animation the first frame. Of a JPEG that lacks its last bytes what there is, if that is nearly all of it.

    Raises:
        Exception: whatever Pillow raises for a file that is empty, truncated, damaged or no image; `ValueError` for
            one of more than `MAX_PIXELS` pixels, before it is decoded.
    """
    remarks = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF blocks and the like; what matters is raised
        with Image.open(file, formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width} x {height} pixels; at most {MAX_PIXELS / 1e6:.0f} megapixels are read")
            if opened.format in _ANIMATED and getattr(opened, "is_animated", False):
                remarks.append((ANIMATED, ""))
            opened.draft(None, (2 * size, 2 * size))  # a large JPEG need not be decoded at full size
            whole: Image.Image = opened
            try:
                opened.load()
            except OSError:
                if opened.format not in ("JPEG", "MPO"):
                    raise
                whole, lost = completed(_bytes_of(file), (2 * size, 2 * size))
                remarks.append((CUT, f"{lost:.1%} of it is grey" if lost else ""))
            image = upright_rgb(whole, in_place=True)
    if fit == "crop":
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    elif image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return DecodedImage(np.asarray(image), tuple(remarks))


def _bytes_of(file: Path | BinaryIO) -> bytes:
    if isinstance(file, Path):
        return file.read_bytes()
    file.seek(0)
    return file.read()


def load_images(
    paths: Sequence[Path],
    size: int,
    *,
    fit: Fit = "squash",
    limit: float = 0.01,
    processes: int | None = None,
    title: str = "reading images",
) -> Decoded:
    """Decode files into memory, in the order given; see `decode`.

    Args:
        paths: the files.
        size: side of the images in pixels.
        fit: `squash` or `crop`.
        limit: the largest share of files that may be unreadable; each is named in `skipped` and on stderr.
        processes: that decode; one per core by default, and one for few files.
        title: of the progress bar.

    Raises:
        DataError: for no files at all, or more unreadable ones than `limit` allows, naming the first few.
    """
    check(paths, size, fit)
    images = np.empty((len(paths), size, size, 3), np.uint8)
    skipped = Skipped(len(paths), limit)
    kept: list[int] = []
    for row, image in readable(paths, size, fit, processes, title, skipped):
        images[len(kept)] = image
        kept.append(row)
    return Decoded(images[: len(kept)], np.array(kept, np.int64), skipped.tell(), skipped.notes.all())


def reason(error: Exception) -> str:
    """Why an image could not be read, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "no image in a format that is read"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


class Skipped:
    """Files left out: counted, named, and too many of them refused.

    Args:
        total: files there are; a stream counts it up as it goes.
        limit: the largest share of them that may be left out.
        least: files that the share is of at least, so that a stream is not given up for its first few.

    Attributes:
        lines: `path: reason` of each.
        notes: of files that were read, but not whole.
    """

    def __init__(self, total: int, limit: float, least: int = 0):
        if not 0 <= limit <= 1:
            raise DataError(f"the share of unreadable images allowed is {limit}; 0 to 1 was expected")
        self.total, self.limit, self.least = total, limit, least
        self.lines: list[str] = []
        self.notes = Notes()

    def add(self, line: str) -> None:
        """Count one more.

        Raises:
            DataError: if that is more than the limit allows.
        """
        self.lines.append(line)
        self.check()

    def check(self) -> None:
        """Refuse more than the limit allows.

        Raises:
            DataError: naming the first few.
        """
        if len(self.lines) > self.limit * max(self.total, self.least):
            raise DataError(
                f"at least {len(self.lines)} of {self.total} images cannot be read, more than the {self.limit:.1%} "
                f"that may be skipped: {_first(self.lines)}"
            )

    def tell(self) -> tuple[str, ...]:
        """What was left out; also printed, if anything was."""
        if self.lines:
            tqdm.write(f"skipped {len(self.lines)} of {self.total} images: {_first(self.lines)}", file=sys.stderr)
        return tuple(self.lines)


def _first(lines: list[str], count: int = 5) -> str:
    rest = len(lines) - count
    return "; ".join(lines[:count]) + (f"; and {rest} more" if rest > 0 else "")


def check(paths: Sequence[Path], size: int, fit: str) -> None:
    """Refuse what cannot be decoded at all.

    Raises:
        DataError: for no files, no size, or an unknown fit.
    """
    if not len(paths):
        raise DataError("there are no images to read")
    if size < 1:
        raise DataError(f"the image size is {size} px; at least 1 px was expected")
    if fit not in FITS:
        raise DataError(f"unknown fit {fit!r}; one of {', '.join(FITS)}")


def _attempt(path: Path, size: int, fit: Fit) -> DecodedImage | str:
    """The image, or why there is none: an exception would end the pool's whole run."""
    try:
        return read_picture(path, size, fit)
    except Exception as error:
        with suppress(OSError, ValueError):  # of a name that no file can have
            if path.is_file() and not path.stat().st_size:
                return "the file is empty"
        return reason(error)


def _results(paths: Sequence[Path], size: int, fit: Fit, processes: int | None) -> Iterator[DecodedImage | str]:
    work = partial(_attempt, size=size, fit=fit)
    processes = processes or cores()
    if processes == 1 or len(paths) < 4 * _CHUNK:
        yield from map(work, paths)
        return
    with ProcessPoolExecutor(processes, initializer=_end_with_parent) as pool:
        for start in range(0, len(paths), 64 * _CHUNK):  # a part at a time, so that results do not pile up
            yield from pool.map(work, paths[start : start + 64 * _CHUNK], chunksize=_CHUNK)


def _end_with_parent() -> None:
    """Without this, a pool's processes wait forever for work from a parent that was killed."""

    def watch() -> None:
        multiprocessing.parent_process().join()  # type: ignore[union-attr]
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def readable(
    paths: Sequence[Path], size: int, fit: Fit, processes: int | None, title: str, skipped: Skipped
) -> Iterator[tuple[int, np.ndarray]]:
    """Index and image of every file that can be read; the others go to `skipped`.

    Raises:
        DataError: for more of those than allowed, or nothing else.
    """
    results: Iterable[DecodedImage | str] = _results(paths, size, fit, processes)
    bar = tqdm(results, title, len(paths), unit=" images", disable=None if len(paths) > 4 * _CHUNK else True)
    for row, found in enumerate(bar):
        if isinstance(found, str):
            skipped.add(f"{paths[row]}: {found}")
            continue
        for what, detail in found.remarks:
            skipped.notes.add(what, f"{paths[row]}: {detail}" if detail else str(paths[row]))
        yield row, found.pixels
    if len(skipped.lines) == len(paths):
        raise DataError(f"none of {len(paths)} images can be read: {_first(skipped.lines)}")

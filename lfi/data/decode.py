"""Image files to one uint8 array: upright, RGB, one size; what cannot be read is counted, named and left out.

A hundred thousand files take minutes on a laptop, so `cached` keeps the decoded array on disk, memory-mapped. Its name
says which files and which decoding it holds, and files that changed since (size, time of change) make it stale.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from tqdm.auto import tqdm

from lfi.errors import DataError

Fit = Literal["squash", "crop"]
FITS = ("squash", "crop")
"""`squash` keeps all of an image and not its shape; `crop` keeps its shape and the middle square."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Formats we read. Pillow knows more, some of them by way of other programs (EPS): those stay closed."""

MAX_PIXELS = 89_000_000
"""A file that unfolds to more is refused by its header; Pillow itself warns a little above."""

_VERSION = 1  # of the cache; raise it when the same file decodes to other pixels
_CHUNK = 64


class Decoded(NamedTuple):
    """What `load_images` returns.

    Attributes:
        images: uint8 `[m, size, size, 3]`, RGB.
        kept: int64 `[m]`, which of the files each image came from, ascending.
        skipped: `path: reason` of every file that could not be read.
    """

    images: np.ndarray
    kept: np.ndarray
    skipped: tuple[str, ...]


def decode(file: Path | BinaryIO, size: int, fit: Fit = "squash") -> np.ndarray:
    """One image, uint8 `[size, size, 3]`: EXIF orientation applied, transparency on white, resized by antialiased
    bicubic interpolation. Of an animation the first frame.

    Raises:
        Exception: whatever Pillow raises for a file that is empty, truncated, damaged or no image; `ValueError` for
            one of more than `MAX_PIXELS` pixels, before it is decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF blocks and the like; what matters is raised
        with Image.open(file, formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width} x {height} pixels; at most {MAX_PIXELS / 1e6:.0f} megapixels are read")
            opened.draft(None, (2 * size, 2 * size))  # a large JPEG need not be unfolded whole
            opened.load()
            image = _as_rgb(ImageOps.exif_transpose(opened))
    if fit == "crop":
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    elif image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)


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
    _check(paths, size, fit)
    images = np.empty((len(paths), size, size, 3), np.uint8)
    skipped = Skipped(len(paths), limit)
    kept = []
    for row, image in _readable(paths, size, fit, processes, title, skipped):
        images[len(kept)] = image
        kept.append(row)
    return Decoded(images[: len(kept)], np.array(kept, np.int64), skipped.tell())


def cached(
    paths: Sequence[Path],
    size: int,
    *,
    fit: Fit = "squash",
    limit: float = 0.01,
    processes: int | None = None,
    title: str = "reading images",
    folder: Path | None = None,
) -> Decoded:
    """As `load_images`, kept in `folder` and memory-mapped (read-only) the next time.

    The array is a NumPy file beside a JSON record of which files it holds. Both are written whole or not at all. When
    a file's size or time of change differs, or the array is truncated, it is read anew and the old one removed.
    Its bytes are not checked.

    Args:
        folder: of the cache; the environment's `LFI_CACHE`, or `~/.cache/lfi`, by default.

    Raises:
        DataError: as `load_images`; also where the limit was wider when the cache was written.
    """
    _check(paths, size, fit)
    folder = (folder or cache_folder()) / "images"
    names = [os.path.abspath(path) for path in paths]
    which = _digest([_VERSION, size, fit, names])
    array = folder / f"{which}-{_digest([_state(name) for name in names])}.npy"
    record = array.with_suffix(".json")
    found = _reopen(array, record, size)
    if found is None:
        folder.mkdir(parents=True, exist_ok=True)
        _write(array, record, paths, size, fit, limit, processes, title)
        for stale in folder.glob(f"{which}-*"):
            if stale not in (array, record) and not stale.name.endswith(".part"):
                stale.unlink(missing_ok=True)
        found = _reopen(array, record, size)
        if found is None:
            raise DataError(f"the cache of decoded images {array} cannot be read back; is the disk full?")
    elif found.skipped:
        again = Skipped(len(paths), limit)
        for line in found.skipped:
            again.add(line)
        again.tell()
    return found


def cache_folder() -> Path:
    """Where derived data is kept: the environment's `LFI_CACHE`, or `~/.cache/lfi`."""
    return Path(os.environ.get("LFI_CACHE") or Path.home() / ".cache" / "lfi")


def image_files(folder: Path) -> list[Path]:
    """All files below a folder whose names end as an image's do, in torchvision's order; hidden ones are left out."""
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            (parent, name) for name in names if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
    return [Path(parent, name) for parent, name in sorted(found)]


class Skipped:
    """Files left out: counted, named, and too many of them refused.

    Args:
        total: files there are; None where that is not known yet, as in a stream, where each `add` states it.
        limit: the largest share of them that may be left out.
    """

    def __init__(self, total: int, limit: float):
        if not 0 <= limit <= 1:
            raise DataError(f"a share of {limit} unreadable files was allowed; 0 to 1 was expected")
        self.total, self.limit = total, limit
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        """Count one more.

        Raises:
            DataError: if that is more than the limit allows.
        """
        self.lines.append(line)
        if len(self.lines) > self.limit * self.total:
            raise DataError(
                f"at least {len(self.lines)} of {self.total} images cannot be read, more than the {self.limit:.1%} "
                f"that may be skipped: {_first(self.lines)}"
            )

    def tell(self) -> tuple[str, ...]:
        """What was left out; also printed, if anything was."""
        if self.lines:
            tqdm.write(f"skipped {len(self.lines)} of {self.total} images: {_first(self.lines)}")
        return tuple(self.lines)


def _first(lines: list[str], count: int = 5) -> str:
    rest = len(lines) - count
    return "; ".join(lines[:count]) + (f"; and {rest} more" if rest > 0 else "")


def _check(paths: Sequence[Path], size: int, fit: str) -> None:
    if not len(paths):
        raise DataError("there are no images to read")
    if size < 1:
        raise DataError(f"images of {size} px were asked for; at least 1 px was expected")
    if fit not in FITS:
        raise DataError(f"unknown fit {fit!r}; one of {', '.join(FITS)}")


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow would clip them to white
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError("32-bit pixels, which have no fixed white")
    if image.has_transparency_data:
        transparent = image.convert("RGBA")
        image = Image.new("RGB", image.size, "white")
        image.paste(transparent, mask=transparent.getchannel("A"))
    return image.convert("RGB")


def _attempt(path: Path, size: int, fit: Fit) -> np.ndarray | str:
    """The image, or why there is none: an exception would end the pool's whole run."""
    try:
        return decode(path, size, fit)
    except Exception as error:
        if path.is_file() and not path.stat().st_size:
            return "the file is empty"
        return " ".join(str(error).split()) or type(error).__name__


def _results(paths: Sequence[Path], size: int, fit: Fit, processes: int | None) -> Iterator[np.ndarray | str]:
    work = partial(_attempt, size=size, fit=fit)
    processes = processes or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    if processes == 1 or len(paths) < 4 * _CHUNK:
        yield from map(work, paths)
        return
    with ProcessPoolExecutor(processes) as pool:
        for start in range(0, len(paths), 64 * _CHUNK):  # a part at a time, so that results do not pile up
            yield from pool.map(work, paths[start : start + 64 * _CHUNK], chunksize=_CHUNK)


def _readable(
    paths: Sequence[Path], size: int, fit: Fit, processes: int | None, title: str, skipped: Skipped
) -> Iterator[tuple[int, np.ndarray]]:
    """Index and image of every file that can be read; the others go to `skipped`."""
    results: Iterable[np.ndarray | str] = _results(paths, size, fit, processes)
    bar = tqdm(results, title, len(paths), unit=" images", disable=None if len(paths) > 4 * _CHUNK else True)
    for row, image in enumerate(bar):
        if isinstance(image, str):
            skipped.add(f"{paths[row]}: {image}")
        else:
            yield row, image


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _state(name: str) -> tuple[int, int] | None:
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _reopen(array: Path, record: Path, size: int) -> Decoded | None:
    """What the cache holds, or None where it is missing, truncated or not ours."""
    try:
        entry = json.loads(record.read_text())
        images = np.load(array, mmap_mode="r", allow_pickle=False)
        kept = np.array(entry["kept"], np.int64)
        skipped = tuple(entry["skipped"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if images.dtype != np.uint8 or images.shape != (len(kept), size, size, 3):
        return None
    return Decoded(images, kept, skipped)


def _write(
    array: Path,
    record: Path,
    paths: Sequence[Path],
    size: int,
    fit: Fit,
    limit: float,
    processes: int | None,
    title: str,
) -> None:
    """Decode straight into the cache, so that a set larger than memory can be read."""
    part = array.with_suffix(f".{os.getpid()}.part")
    skipped = Skipped(len(paths), limit)
    kept: list[int] = []
    try:
        with part.open("wb") as file:
            _header(file, len(paths), size)
            for row, image in _readable(paths, size, fit, processes, title, skipped):
                file.write(image.tobytes())
                kept.append(row)
            file.seek(0)
            _header(file, len(kept), size)  # NumPy pads the header so that the first axis may change in place
            file.flush()
            os.fsync(file.fileno())
        part.replace(array)
        part.write_text(json.dumps({"kept": kept, "skipped": skipped.tell()}))
        part.replace(record)  # last: an array without a record does not count
    finally:
        part.unlink(missing_ok=True)


def _header(file: BinaryIO, count: int, size: int) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
    np.lib.format.write_array_header_1_0(file, header)

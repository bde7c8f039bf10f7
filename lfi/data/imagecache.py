"""Decoded images kept on disk, memory-mapped: a hundred thousand files take minutes to decode on a laptop.

The name of an entry says which files and which decoding it holds; files that changed since (size, time of change) make
it stale.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lfi.data.decode import Decoded, Fit, Skipped, check, readable
from lfi.data.notes import Note
from lfi.errors import DataError

_VERSION = 2  # raise it when the same file decodes to other pixels
_DAY = 24 * 3600


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

    The array is a NumPy file next to a JSON record of which files it holds. Both are written whole or not at all. When
    a file's size or time of change differs, or the array is truncated, it is read again and the old one removed.
    Its bytes are not checked.

    Args:
        folder: of the cache; the environment's `LFI_CACHE`, or `~/.cache/lfi`, by default.

    Raises:
        DataError: as `load_images`; also where the limit was wider when the cache was written.
    """
    check(paths, size, fit)
    folder = (folder or cache_folder()) / "images"
    names = [os.path.abspath(path) for path in paths]
    which = _digest([_VERSION, size, fit, names])
    array = folder / f"{which}-{_digest([_state(name) for name in names])}.npy"
    record = array.with_suffix(".json")
    found, fresh = _reopen(array, record, size), False
    if found is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"{which}.lock").open("w") as lock:  # of a run's processes one decodes, the others wait
                fcntl.flock(lock, fcntl.LOCK_EX)
                if _reopen(array, record, size) is None:
                    _write(array, record, paths, size, fit, limit, processes, title)
                    _tidy(folder, which, keep=(array, record))
                    fresh = True
        except OSError as error:
            raise DataError(
                f"cannot store decoded images in {folder}: {error.strerror}; set LFI_CACHE to another folder"
            ) from None
        found = _reopen(array, record, size)
        if found is None:
            raise DataError(f"the cache of decoded images {array} cannot be read back; remove it and try again")
    if found.skipped and not fresh:
        again = Skipped(len(paths), limit)
        for line in found.skipped:
            again.add(line)
        again.tell()
    return found


def cache_folder() -> Path:
    """Where derived data is kept: the environment's `LFI_CACHE`, or `~/.cache/lfi`."""
    return Path(os.environ.get("LFI_CACHE") or Path.home() / ".cache" / "lfi")


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _state(name: str) -> tuple[int, int] | None:
    try:
        found = os.stat(name)
    except (OSError, ValueError):  # of a name that no file can have
        return None
    return found.st_size, found.st_mtime_ns


def _reopen(array: Path, record: Path, size: int) -> Decoded | None:
    """What the cache holds, or None where it is missing, truncated or not ours."""
    try:
        entry = json.loads(record.read_text())
        images = np.load(array, mmap_mode="r", allow_pickle=False)
        kept = np.array(entry["kept"], np.int64)
        skipped = tuple(entry["skipped"])
        notes = tuple(Note(what, tuple((name, times) for name, times in names)) for what, names in entry["notes"])
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    if images.dtype != np.uint8 or images.shape != (len(kept), size, size, 3):
        return None
    return Decoded(images, kept, skipped, notes)


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
            for row, image in readable(paths, size, fit, processes, title, skipped):
                file.write(image.tobytes())
                kept.append(row)
            file.seek(0)
            _header(file, len(kept), size)  # NumPy pads the header so that the first axis may change in place
            file.flush()
            os.fsync(file.fileno())
        part.replace(array)
        notes = [(note.what, note.names) for note in skipped.notes.all()]
        part.write_text(json.dumps({"kept": kept, "skipped": skipped.tell(), "notes": notes}))
        part.replace(record)  # last: an array without a record does not count
    finally:
        part.unlink(missing_ok=True)


def _header(file: BinaryIO, count: int, size: int) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
    np.lib.format.write_array_header_1_0(file, header)


def _tidy(folder: Path, which: str, keep: tuple[Path, ...]) -> None:
    """Remove what the same files held before they changed, and what a run that was killed left unfinished."""
    for old in folder.glob(f"{which}-*"):
        if old in keep or (old.suffix == ".part" and time.time() - old.stat().st_mtime < _DAY):
            continue
        old.unlink(missing_ok=True)

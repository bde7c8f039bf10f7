"""The files of a teacher cache: written whole or not at all, checked by SHA-256, by one process at a time.

- `index.json`: settings, arrays and, of every shard that is finished, the checksum of each file;
- `samples.json`: id and digests of every sample, in the order of the rows;
- `00000.maps.npy` and on: a NumPy file for each shard and array, its rows the samples from `shard * number` on.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from lfi.errors import DataError
from lfi.training.checkpoints import sync

_LOCK, _PART = ".lock", ".part"


class Array(NamedTuple):
    """Type and shape of what an array holds of one sample."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample."""
        return np.dtype(self.dtype).itemsize * math.prod(self.shape)

    def header(self, rows: int) -> bytes:
        """The header of a NumPy file of `rows` samples (format 1.0)."""
        header = io.BytesIO()
        description = {"descr": self.dtype, "fortran_order": False, "shape": (rows, *self.shape)}
        np.lib.format.write_array_header_1_0(header, description)
        return header.getvalue()


class File(NamedTuple):
    """A finished file."""

    sha256: str
    bytes: int


def path_of(folder: Path, number: int, name: str) -> Path:
    return folder / f"{number:05d}.{name}.npy"


def damage(folder: Path, number: int, files: dict[str, File], *, verify: bool) -> str | None:
    """What is wrong with a shard's files, None where nothing is; their contents are read if `verify`."""
    for name, file in files.items():
        path = path_of(folder, number, name)
        if not path.exists():
            return f"{path} is missing"
        if path.stat().st_size != file.bytes:
            return f"{path} is {path.stat().st_size:,} bytes long instead of {file.bytes:,}"
        if verify and _checksum(path) != file.sha256:
            return f"{path} is damaged: its checksum differs"
    return None


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"the teacher cache {folder} cannot be written: {error.strerror or error}") from None


class ShardWriter:
    """A shard's files, written next to their final names batch by batch; `finish` moves them there.

    Raises:
        DataError: where the disk is full or the folder cannot be written, as do the methods.
    """

    def __init__(self, folder: Path, number: int, rows: int, arrays: dict[str, Array]):
        self._paths = {name: path_of(folder, number, name) for name in arrays}
        self._folder, self._arrays = folder, arrays
        with _writing(folder), ExitStack() as stack:
            self._files = {name: stack.enter_context(_part(path).open("wb")) for name, path in self._paths.items()}
            self._stack = stack.pop_all()
        self._sums = {name: hashlib.sha256() for name in arrays}
        for name, array in arrays.items():
            self._write(name, array.header(rows))

    def _write(self, name: str, data: Any) -> None:
        with _writing(self._folder):
            self._files[name].write(data)
        self._sums[name].update(data)

    def append(self, values: dict[str, np.ndarray]) -> None:
        """The next rows of every array.

        Raises:
            DataError: they are of other arrays or shapes than the store's.
        """
        for name, array in self._arrays.items():
            found = values[name].shape[1:] if name in values else None
            if found != array.shape:
                raise DataError(f"the teacher's {name} are {found} an image now and were {array.shape} before")
            self._write(name, np.ascontiguousarray(values[name], array.dtype).data)

    def finish(self) -> dict[str, File]:
        """Checksum and size of every file, which from now on has its name.

        Every row must have been appended.
        """
        with _writing(self._folder):
            for file in self._files.values():
                file.flush()
                os.fsync(file.fileno())
            self.close()
            for path in self._paths.values():
                _part(path).replace(path)
            sync(self._folder)
        return {name: File(self._sums[name].hexdigest(), path.stat().st_size) for name, path in self._paths.items()}

    def close(self) -> None:
        """Leave the files as they are, unless `finish` was called."""
        self._stack.close()


def write_whole(path: Path, data: bytes) -> None:
    """Write next to it, to the disk, and rename.

    Raises:
        DataError: the disk is full or the folder cannot be written.
    """
    with _writing(path.parent):
        with _part(path).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _part(path).replace(path)
        sync(path.parent)


def unfinished(folder: Path) -> list[int]:
    """Remove what a writer that was killed left; the numbers of its shards."""
    found = sorted(folder.glob(f"*{_PART}"))
    for path in found:
        path.unlink()
    return sorted({int(path.name[:5]) for path in found if path.name[:5].isdigit()})


def _part(path: Path) -> Path:
    return path.with_name(path.name + _PART)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make the folder where it is missing, and hold it. The system lets go when the process ends, however it ends.

    Raises:
        DataError: another process holds it, or it cannot be written.
    """
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise DataError(f"another process is building the teacher cache {folder}; wait for it to end") from None
    try:
        yield
    finally:
        lock.release()

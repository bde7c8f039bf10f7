"""Where the images of a batch come from: a folder, a zip, or files that were sent.

A zip is judged by its table of contents before anything in it is unpacked, and it is never unpacked to disk: images are
read from it one at a time, each no further than an image may be large.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Container, Iterable
from pathlib import Path, PurePosixPath
from typing import Protocol

from PIL import Image

from app.archives import ArchiveLimits, open_archive
from app.engine.decode import DAMAGED, FORMATS
from app.failures import ArchiveError
from app.zipnames import names_of
from lfi.data.imagefiles import has_image_suffix, has_no_type, holds_image
from lfi.errors import ConfigError, ImageError, ImageTooLargeError, reason

_FIRST = 64
"""Bytes by which every format can be told apart; what looks like one is then read further."""
_HEADER = 20_000_000


class Images(Protocol):
    """Attributes:
    names: of the images, sorted; a path within the folder or zip, with slashes.
    others: of the other files, which are left aside.
    """

    names: tuple[str, ...]
    others: tuple[str, ...]

    def read(self, name: str, most: int) -> bytes:
        """The image's file.

        Raises:
            ImageError: it cannot be read, or has more than `most` bytes.
        """
        ...


class FolderImages:
    """The images in a folder and the folders in it; hidden ones, and what batches have written there, are left out.

    Attributes:
        paths: of all files, by name.

    Args:
        out: where this batch will write.

    Raises:
        ArchiveError: there is none.
        ConfigError: the batch would write among them.
    """

    def __init__(self, folder: Path, out: Path | None = None):
        if out is not None and out.resolve() == folder.resolve():
            raise ConfigError(f"{out} is the folder of the images; choose another one, or one in it, for the results")
        files = [path for path in folder.rglob("*") if path.is_file()]
        written = {path.parent for path in files if path.name == "batch.json" and (path.parent / "thumbnails").is_dir()}
        if out is not None and out.resolve().is_relative_to(folder.resolve()):
            written.add(folder / out.resolve().relative_to(folder.resolve()))
        written.discard(folder)
        found = sorted(path.relative_to(folder) for path in files if written.isdisjoint(path.parents))
        self.paths: dict[str, Path] = {}
        for path in found:
            self.paths[free_name(readable(path.as_posix()), self.paths)] = folder / path
        self.names, self.others = _chosen(self.paths, str(folder), self._holds_image)

    def read(self, name: str, most: int) -> bytes:
        try:
            with self.paths[name].open("rb") as file:
                return checked(file.read(most + 1), most)
        except OSError as error:
            raise ImageError(f"cannot be read: {reason(error)}") from error

    def _holds_image(self, name: str) -> bool:
        return holds_image(self.paths[name], FORMATS)


class ZipImages:
    """The images in a zip.

    Raises:
        ArchiveError: it is not a zip, is encrypted, names files outside of itself, has no image, or exceeds `limits`.
    """

    def __init__(self, path: Path, limits: ArchiveLimits | None = None, called: str = ""):
        called = called or path.name
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise ArchiveError(f"{called} cannot be read as a zip") from error
        try:
            self._zip = open_archive(self._file, limits or ArchiveLimits(), called)
            files = [entry for entry in self._zip.infolist() if not entry.filename.endswith("/")]
            self._entries = dict(zip(names_of(files), files, strict=True))
            self.names, self.others = _chosen(sorted(self._entries), called, self._holds_image)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, name: str, most: int) -> bytes:
        try:
            with self._zip.open(self._entries[name]) as file:
                return checked(file.read(most + 1), most)
        except ImageTooLargeError:
            raise
        except Exception as error:  # every compression method has its own errors; LZMA's are not even OSErrors
            raise ImageError(DAMAGED) from error

    def _holds_image(self, name: str) -> bool:
        try:
            with self._zip.open(self._entries[name]) as file:
                first = file.read(_FIRST)
                return _begins_as_image(first) and holds_image(io.BytesIO(first + file.read(_HEADER)), FORMATS)
        except Exception:  # as in `read`
            return False


def open_images(path: Path, out: Path | None = None) -> Images:
    """The images of a folder or a zip.

    Args:
        out: where the batch will write, of which nothing is an image of it.

    Raises:
        ArchiveError, ConfigError: as `FolderImages` and `ZipImages`; or there is nothing of that name.
    """
    if path.is_dir():
        return FolderImages(path, out)
    if not path.exists():
        raise ArchiveError(f"there is no {path}; a folder of images or a zip was expected")
    return ZipImages(path, called=str(path))


def _chosen(names: Iterable[str], called: str, holds: Callable[[str], bool]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """As `images_and_others`; what is hidden, and what systems leave behind (`__MACOSX`), does not count."""
    paths = [PurePosixPath(name) for name in names]
    seen = [str(path) for path in paths if not any(part.startswith((".", "__MACOSX")) for part in path.parts)]
    return images_and_others(seen, called, holds)


def images_and_others(
    names: Iterable[str], called: str, holds: Callable[[str], bool]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of images, and of other files.

    Args:
        holds: whether the file of a name without a type begins as an image does.

    Raises:
        ArchiveError: there is no image.
    """
    kinds: dict[bool, list[str]] = {True: [], False: []}
    for name in names:
        kinds[has_image_suffix(name, FORMATS) or (has_no_type(name) and holds(name))].append(name)
    if not kinds[True]:
        raise ArchiveError(
            f"{called} has no images in it; JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC files can be read"
        )
    return tuple(kinds[True]), tuple(kinds[False])


def readable(name: str) -> str:
    r"""The name of a file; bytes in it that are not UTF-8, which no result could hold, become `\xe9` and the like."""
    return os.fsencode(name).decode(errors="backslashreplace")


def free_name(name: str, taken: Container[str]) -> str:
    """The name, with a number before its suffix where it is taken."""
    stem, dot, suffix = name.rpartition(".")
    free, number = name, 2
    while free in taken:
        free = f"{stem} ({number}).{suffix}" if dot else f"{name} ({number})"
        number += 1
    return free


def _begins_as_image(first: bytes) -> bool:
    """Whether some plug-in of Pillow would look further, so that nothing else need be unpacked any further."""
    checks = [Image.OPEN[format][1] for format in FORMATS if format in Image.OPEN]
    return any(check is not None and check(first) for check in checks)


def checked(data: bytes, most: int) -> bytes:
    """The bytes of a file, of which one more than `most` was read at most.

    Raises:
        ImageTooLargeError: it was.
    """
    if len(data) > most:
        raise ImageTooLargeError(f"the file is larger than {most / 1e6:g} MB, which is the limit")
    return data

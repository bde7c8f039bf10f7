"""Where the images of a batch come from: a folder, a zip, or files that were sent.

A zip is judged by its table of contents before anything in it is unpacked, and it is never unpacked to disk: images are
read from it one at a time, each no further than an image may be large.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from PIL import Image

from app.batch.zipnames import leaves, names_of
from app.inspector.decode import DAMAGED, FORMATS
from lfi.errors import ImageError, ImageTooLargeError, LFIError

SUFFIXES = frozenset(suffix for suffix, format in Image.registered_extensions().items() if format in FORMATS)
"""Endings of file names that are taken for images; other files are left aside."""

_ENCRYPTED = 0x1
_SMALL = 1_000_000
"""Bytes up to which an entry may be packed as tightly as it likes: plain pictures pack a thousandfold."""


class ArchiveError(LFIError):
    """A zip that is damaged, holds nothing to look at, or would unfold to more than it may."""


@dataclass(frozen=True)
class ArchiveLimits:
    """What a zip may claim to hold.

    Attributes:
        entries: files and folders in it.
        unpacked: bytes of all of them together.
        ratio: bytes of an entry over its packed bytes, from a megabyte on.
    """

    entries: int = 10_000
    unpacked: int = 4_000_000_000
    ratio: float = 200.0


class Images(Protocol):
    """Attributes:
    names: of the images, sorted; a path within the folder or zip, with slashes.
    others: how many other files lie beside them.
    """

    names: tuple[str, ...]
    others: int

    def read(self, name: str, most: int) -> bytes:
        """The image's file.

        Raises:
            ImageError: it cannot be read, or has more than `most` bytes.
        """
        ...


class FolderImages:
    """The images in a folder and the folders in it; hidden ones are left out.

    Raises:
        ArchiveError: there is none.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        found = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        self.names, self.others = _chosen((path.as_posix() for path in found), str(folder))

    def read(self, name: str, most: int) -> bytes:
        try:
            with (self.folder / name).open("rb") as file:
                return _checked(file.read(most + 1), most)
        except OSError as error:
            raise ImageError(f"cannot be read: {(error.strerror or str(error)).lower()}") from error


class ZipImages:
    """The images in a zip.

    Raises:
        ArchiveError: it is no zip, is encrypted, names files outside of itself, holds no image, or is beyond `limits`.
    """

    def __init__(self, path: Path, limits: ArchiveLimits | None = None, called: str = ""):
        called = called or path.name
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise ArchiveError(f"{called} is no zip that can be read") from error
        try:
            check_archive(self._zip, limits or ArchiveLimits(), called)
            files = [entry for entry in self._zip.infolist() if not entry.is_dir()]
            entries = dict(zip(names_of(files), files, strict=True))
            self.names, self.others = _chosen(sorted(entries), called)
        except ArchiveError:
            self._zip.close()
            raise
        self._entries = entries

    def close(self) -> None:
        """Let go of the file."""
        self._zip.close()

    def read(self, name: str, most: int) -> bytes:
        try:
            with self._zip.open(self._entries[name]) as file:
                return _checked(file.read(most + 1), most)
        except ImageTooLargeError:
            raise
        except Exception as error:  # every method of packing has errors of its own, LZMA's are not even OSErrors
            raise ImageError(DAMAGED) from error


def open_images(path: Path, limits: ArchiveLimits | None = None) -> Images:
    """The images of a folder or a zip.

    Raises:
        ArchiveError: as `FolderImages` and `ZipImages`; or there is nothing of that name.
    """
    if path.is_dir():
        return FolderImages(path)
    if not path.exists():
        raise ArchiveError(f"there is no {path}; a folder of images or a zip was expected")
    return ZipImages(path, limits, str(path))


def check_archive(archive: zipfile.ZipFile, limits: ArchiveLimits, called: str) -> None:
    """Judge a zip by its table of contents.

    Raises:
        ArchiveError: it is encrypted, names files outside of itself, or is beyond `limits`.
    """
    entries = archive.infolist()
    if len(entries) > limits.entries:
        raise ArchiveError(f"{called} holds {len(entries):,} entries; at most {limits.entries:,} are taken")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > limits.unpacked:
        raise ArchiveError(
            f"{called} unfolds to {unpacked / 1e6:,.0f} MB; at most {limits.unpacked / 1e6:,.0f} MB are taken"
        )
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED:
            raise ArchiveError(f"{called} is encrypted; make one without a password")
        if entry.file_size > _SMALL and entry.file_size > limits.ratio * max(entry.compress_size, 1):
            raise ArchiveError(
                f"{called} holds an entry packed {entry.file_size / max(entry.compress_size, 1):,.0f} times; "
                f"at most {limits.ratio:g} times is taken"
            )
    for entry, name in zip(entries, names_of(entries), strict=True):
        if leaves(name) or leaves(entry.filename.replace("\\", "/")):
            raise ArchiveError(f"{called} names a file outside of itself: {entry.filename[:80]!r}")


def _chosen(names: Iterable[str], called: str) -> tuple[tuple[str, ...], int]:
    """Names of images, and how many other files there are. What systems leave behind (`__MACOSX`) is no file."""
    paths = [PurePosixPath(name) for name in names]
    seen = [path for path in paths if not any(part.startswith((".", "__MACOSX")) for part in path.parts)]
    images = tuple(str(path) for path in seen if path.suffix.lower() in SUFFIXES)
    if not images:
        raise ArchiveError(f"{called} holds no image; JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC files are read")
    return images, len(seen) - len(images)


def _checked(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise ImageTooLargeError(f"the file has more than {most / 1e6:g} MB, which is the limit")
    return data

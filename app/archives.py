"""Uploaded zips, checked by their table of contents before anything in them is unpacked."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from typing import BinaryIO

from app.failures import ArchiveError
from app.zipnames import leaves, names_of

_ENCRYPTED = 0x1
_DIRECTORY_SIZE = 5
"""Where the record at a zip's end says how many bytes its table of contents has."""
_ENTRY = 512
"""Bytes of that table that an entry may take on average: 46, its name, and what programs add."""
_SMALL = 1_000_000
"""Bytes up to which an entry may be packed as tightly as it likes: plain pictures pack a thousandfold."""


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


def open_archive(file: BinaryIO, limits: ArchiveLimits, called: str) -> zipfile.ZipFile:
    """A zip, judged by its table of contents, which is not even read where it is far too large.

    Raises:
        ArchiveError: it is not a zip, is encrypted, names files outside of itself, or is beyond `limits`.
    """
    try:
        # As zipfile itself reads it, so that no file says one thing here and another there. The number of entries that
        # it holds as well is never compared with the table.
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
        if end is not None and end[_DIRECTORY_SIZE] > limits.entries * _ENTRY:
            raise ArchiveError(f"{called} has too many entries; at most {limits.entries:,} are accepted")
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, struct.error, OSError, ValueError, ArithmeticError, NotImplementedError) as error:
        raise ArchiveError(f"{called} cannot be read as a zip") from error
    _check(archive, limits, called)
    return archive


def _check(archive: zipfile.ZipFile, limits: ArchiveLimits, called: str) -> None:
    entries = archive.infolist()
    if len(entries) > limits.entries:
        raise ArchiveError(f"{called} has {len(entries):,} entries; at most {limits.entries:,} are accepted")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > limits.unpacked:
        raise ArchiveError(
            f"{called} unpacks to {unpacked / 1e6:,.0f} MB; at most {limits.unpacked / 1e6:,.0f} MB are accepted"
        )
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED:
            raise ArchiveError(f"{called} is encrypted; make one without a password")
        if entry.file_size > _SMALL and entry.file_size > limits.ratio * max(entry.compress_size, 1):
            raise ArchiveError(
                f"{called} has an entry compressed {entry.file_size / max(entry.compress_size, 1):,.0f} times; "
                f"at most {limits.ratio:g} times is accepted"
            )
    for entry, name in zip(entries, names_of(entries), strict=True):
        if leaves(name) or leaves(entry.filename.replace("\\", "/")):
            raise ArchiveError(f"{called} names a file outside of itself: {entry.filename[:80]!r}")

"""Uploaded zips, checked by their table of contents before anything in them is unpacked."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass

from app.failures import ArchiveError
from app.zipnames import leaves, names_of

_ENCRYPTED = 0x1
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


def check_archive(archive: zipfile.ZipFile, limits: ArchiveLimits, called: str) -> None:
    """Judge a zip by its table of contents.

    Raises:
        ArchiveError: it is encrypted, names files outside of itself, or is beyond `limits`.
    """
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

"""Which files of a folder are images: by their names' endings, and where a name has none, by their first bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from pillow_heif import register_heif_opener

from lfi.data.notes import Notes

Image.init()
register_heif_opener(thumbnails=False)

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "HEIF")
"""Formats we read. Pillow knows more, some of them by way of other programs (EPS): those stay closed."""

SERVED = (*FORMATS, "JPEG2000", "ICO")
"""What the service reads: a picture to look at comes in more formats than data do."""


@cache
def suffixes(formats: tuple[str, ...]) -> frozenset[str]:
    """Endings of image files of these formats, in lower case."""
    return frozenset(suffix for suffix, format in Image.registered_extensions().items() if format in (*formats, "MPO"))


SUFFIXES = suffixes(FORMATS)
"""Endings of image files, in lower case."""

NO_IMAGES = "files that are not images"
HIDDEN = "hidden files and folders"
CLOSED = "folders that cannot be read"

_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9_]{0,9}")
"""What a file's type looks like; `scan.2` and `clip 2.0 red` have none."""


def is_there(path: Path) -> bool:
    """Whether it is a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def image_files(folder: Path, notes: Notes | None = None, formats: tuple[str, ...] = FORMATS) -> list[Path]:
    """All images below a folder, in torchvision's order; hidden files and folders are left out.

    Args:
        notes: what lies there besides is noted in it.
    """
    notes = Notes() if notes is None else notes
    found = []

    def closed(error: OSError) -> None:
        notes.add(CLOSED, f"{error.filename}: {error.strerror}")

    for parent, folders, names in os.walk(folder, onerror=closed, followlinks=True):
        for name in sorted((*folders, *names)):
            if name.startswith("."):
                notes.add(HIDDEN, os.path.join(parent, name))
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith("."):
                continue
            if is_image(Path(parent, name), formats):
                found.append((parent, name))
            else:
                notes.add(NO_IMAGES, os.path.join(parent, name))
    return [Path(parent, name) for parent, name in sorted(found)]


def is_image(path: Path, formats: tuple[str, ...] = FORMATS) -> bool:
    """Whether a file is taken for an image: it is named like one, or holds one and its name does not end in a type."""
    return has_image_suffix(path.name, formats) or (has_no_type(path.name) and holds_image(path, formats))


def has_image_suffix(name: str, formats: tuple[str, ...] = FORMATS) -> bool:
    """Whether a name ends as an image's does, in upper or lower case."""
    return os.path.splitext(name)[1].lower() in suffixes(formats)


def has_no_type(name: str) -> bool:
    """Whether a name does not end in a file's type, so that its contents have to say what it is."""
    return not _ENDING.fullmatch(os.path.splitext(name)[1])


def holds_image(file: Path | BinaryIO, formats: Collection[str] = FORMATS) -> bool:
    """Whether a file begins as an image of one of these formats does."""
    try:
        with Image.open(file, formats=tuple(formats)):
            return True
    except Exception:  # whatever Pillow raises for an invalid header
        return False

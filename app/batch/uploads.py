"""Files of a request as the images of a batch."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.batch.sources import checked, free_name
from app.failures import ArchiveError
from lfi.errors import ImageError, reason

_ZIP = b"PK"
_LONGEST = 120
"""Characters kept of a file's name."""


@dataclass(frozen=True)
class Upload:
    """A file that was sent.

    Attributes:
        name: as the client called it; may be anything.
        file: at its beginning.
    """

    name: str
    file: BinaryIO


class SentImages:
    """Files that were sent, on disk under numbers, known by the names they were sent under.

    Raises:
        ArchiveError: there is none.
    """

    others: tuple[str, ...] = ()

    def __init__(self, place: Path, uploads: Sequence[Upload]):
        if not uploads:
            raise ArchiveError("no file was sent; send images, or one zip of them")
        self._paths: dict[str, Path] = {}
        for number, upload in enumerate(uploads, start=1):
            path = place / f"{number}"
            with path.open("wb") as file:
                shutil.copyfileobj(upload.file, file)
            self._paths[free_name(_clean(upload.name) or f"image {number}", self._paths)] = path
        self.names = tuple(self._paths)

    def read(self, name: str, most: int) -> bytes:
        try:
            with self._paths[name].open("rb") as file:
                return checked(file.read(most + 1), most)
        except OSError as error:
            raise ImageError(f"cannot be read: {reason(error)}") from error


def is_zip(upload: Upload) -> bool:
    """Whether the file begins like a zip; it is rewound afterwards."""
    start = upload.file.read(len(_ZIP))
    upload.file.seek(0)
    return start == _ZIP


def _clean(name: str) -> str:
    """The last part of a name, without what cannot be printed."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable()).strip()[-_LONGEST:]

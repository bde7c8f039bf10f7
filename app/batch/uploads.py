"""Files of a request as the images of a batch."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.batch.sources import checked, free_name, images_and_others
from app.engine.decode import FORMATS
from app.failures import ArchiveError
from lfi.data.imagefiles import holds_image
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
    """Images that were sent, on disk under numbers, known by the names they were sent under; other files are deleted.

    Raises:
        ArchiveError: there is none.
    """

    def __init__(self, place: Path, uploads: Sequence[Upload]):
        if not uploads:
            raise ArchiveError("no file was sent; send images, or one zip of them")
        self._paths: dict[str, Path] = {}
        for number, upload in enumerate(uploads, start=1):
            path = place / f"{number}"
            with path.open("wb") as file:
                shutil.copyfileobj(upload.file, file)
            self._paths[free_name(_clean(upload.name) or f"image {number}", self._paths)] = path
        self.names, self.others = images_and_others(self._paths, "what was sent", self._holds_image)
        for name in self.others:
            self._paths[name].unlink()

    def read(self, name: str, most: int) -> bytes:
        try:
            with self._paths[name].open("rb") as file:
                return checked(file.read(most + 1), most)
        except OSError as error:
            raise ImageError(f"cannot be read: {reason(error)}") from error

    def _holds_image(self, name: str) -> bool:
        return holds_image(self._paths[name], FORMATS)


def is_zip(upload: Upload) -> bool:
    """Whether the file begins like a zip; it is rewound afterwards."""
    start = upload.file.read(len(_ZIP))
    upload.file.seek(0)
    return start == _ZIP


def _clean(name: str) -> str:
    """The last part of a name, without what cannot be printed."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable()).strip()[-_LONGEST:]

"""The pictures that visitors look at: in memory, never on disk, and evicted when there are too many.

A page sends a picture once and then names it by the hash of its bytes. When the picture has been forgotten
(too many since, or a restart) the page is told and sends it again, so nothing depends on what is kept here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from app.engine import File, Picture, Turn
from app.engine.cache import LatestUsed

BUDGET = 192 * 1024**2
"""Bytes of decoded pixels that are kept; the newest picture always is."""


class OpenPictures:
    """Decoded pictures by hash, least recently used first out. Safe to use from several threads.

    Args:
        decode: as `Engine.decode`.
        budget: bytes.
    """

    def __init__(self, decode: Callable[[File, Turn], Picture], budget: int):
        self.decode = decode
        self._held: LatestUsed[Picture] = LatestUsed(math.inf, budget, lambda picture: min(_bytes(picture), budget))

    def add(self, file: File, turn: Turn) -> Picture:
        """The picture in an uploaded file.

        Raises:
            ImageError, LateError, GoneError: as `Engine.decode`.
        """
        found = self.get(file.sha256)
        if found is None:
            found = self.decode(file, turn)
            self._held.keep(file.sha256, found)
        return found

    def get(self, sha256: str) -> Picture | None:
        """The picture in the file of this hash, None when it has been forgotten."""
        return self._held.find(sha256)


def _bytes(picture: Picture) -> int:
    return 3 * picture.size[0] * picture.size[1]

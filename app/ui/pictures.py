"""The pictures that visitors look at: in memory, never on disk, and forgotten when there are too many.

A page sends a picture once and then names it by the hash of its bytes. When the picture has been forgotten
(too many since, or a restart) the page is told so and sends it again; so nothing depends on what is held here.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from app.ui.samples import Sample

BUDGET = 192 * 1024**2
"""Bytes of decoded pixels that are kept; the newest picture always is."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture and the name that a page can ask for it again with."""

    token: str
    image: Image.Image


class Pictures:
    """Decoded pictures by hash, least recently used first out. Safe to use from several threads."""

    def __init__(self, decode: Callable[[bytes], Image.Image], samples: dict[str, Sample], budget: int = BUDGET):
        self.decode = decode
        self.samples = samples
        self.budget = budget
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, data: bytes) -> Picture:
        """The picture in an uploaded file.

        Raises:
            ImageError: for bytes that cannot be decoded.
        """
        token = hashlib.sha256(data).hexdigest()
        return self.get(token) or self._keep(Picture(token, self.decode(data)))

    def get(self, token: str) -> Picture | None:
        """The picture of this name, None when it has been forgotten."""
        with self._lock:
            if token in self._kept:
                self._kept.move_to_end(token)
            return self._kept.get(token)

    def sample(self, name: str) -> Picture:
        """The sample picture of this name.

        Raises:
            KeyError: there is no such sample.
        """
        return self.add(self.samples[name].path.read_bytes())

    def _keep(self, picture: Picture) -> Picture:
        with self._lock:
            self._kept[picture.token] = picture
            while len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > self.budget:
                self._kept.popitem(last=False)
        return picture


def _bytes(picture: Picture) -> int:
    return 3 * picture.image.width * picture.image.height

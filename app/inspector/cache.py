"""Encoded images, kept for the next word. Equal requests at the same time compute once."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from PIL import Image

T = TypeVar("T")


def content_hash(image: Image.Image) -> str:
    """Sha256 over mode, size and pixels: equal for equal pictures, however they were stored."""
    digest = hashlib.sha256(f"{image.mode} {image.size}".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


class _Entry(Generic[T]):
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.values: list[T] = []


class LatestUsed(Generic[T]):
    """At most `size` values, the least recently used dropped first; one computation per key at a time."""

    def __init__(self, size: int):
        self.size = size
        self.hits = self.misses = 0
        self._entries: OrderedDict[Hashable, _Entry[T]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value of `key`, computed by the first caller while later ones wait. An error is not kept."""
        with self._lock:
            known = key in self._entries
            self.hits, self.misses = self.hits + known, self.misses + (not known)
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > self.size:
                self._entries.popitem(last=False)
        with entry.lock:
            if not entry.values:
                entry.values.append(compute())
            return entry.values[0]

"""Encoded images, kept for the next word."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

from cachetools import LRUCache
from PIL import Image

T = TypeVar("T")


def content_hash(image: Image.Image) -> str:
    """Sha256 over mode, size and pixels: equal for equal pictures, however they were stored."""
    digest = hashlib.sha256(f"{image.mode} {image.size}".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


class LatestUsed(Generic[T]):
    """At most `size` values of at most `weight` in all, the least recently used dropped first. Thread-safe.

    Args:
        weigh: of one value; in bytes, say.
    """

    def __init__(self, size: float, weight: float = float("inf"), weigh: Callable[[T], float] = lambda value: 0):
        self.size = size
        self._values: LRUCache[Hashable, T] = LRUCache(weight, weigh)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def find(self, key: Hashable) -> T | None:
        """The value of `key`, None where there is none (any more)."""
        with self._lock:
            return self._values.get(key)

    def keep(self, key: Hashable, value: T) -> None:
        """Keep a value, dropping others as needed; one that is too heavy by itself is not kept."""
        with self._lock:
            with suppress(ValueError):  # heavier than all together may be
                self._values[key] = value
            while len(self._values) > self.size:
                self._values.popitem()

"""Encoded images, kept for the next word."""

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


class LatestUsed(Generic[T]):
    """At most `size` values of at most `weight` in all, the least recently used dropped first.

    Args:
        weigh: of one value; in bytes, say.
    """

    def __init__(self, size: int, weight: float = float("inf"), weigh: Callable[[T], float] = lambda value: 0):
        self.size, self.weight, self.weigh = size, weight, weigh
        self.hits = self.misses = 0
        self._values: OrderedDict[Hashable, tuple[T, float]] = OrderedDict()
        self._total = 0.0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def find(self, key: Hashable) -> T | None:
        """The value of `key`, None where there is none (any more)."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key, (None, 0))[0]

    def keep(self, key: Hashable, value: T) -> None:
        """Keep a value, and drop others as need be; it goes itself where it alone is too heavy."""
        weight = self.weigh(value)
        with self._lock:
            self._total += weight - self._values.pop(key, (None, 0.0))[1]
            self._values[key] = value, weight
            while len(self._values) > self.size or self._total > self.weight:
                self._total -= self._values.popitem(last=False)[1][1]

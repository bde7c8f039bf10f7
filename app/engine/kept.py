"""Pictures that a visitor chose to keep, so that a link to them works: on disk, until a day announced beforehand.

What is kept is what the page then shows: upright, without metadata, at most `LONGEST` pixels, as WebP, and without loss
where that fits: models then answer as before. Its name is the
SHA-256 of that file, so only people with the link can see it. Every keeper gets a key that deletes the picture;
where two people keep the same one, it stays until both have deleted it or the last day has passed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.failures import KeepingError
from lfi.rendering import encode_webp

LONGEST = 2048
_QUALITY = 90
_DAY = 24 * 60 * 60
_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Receipt:
    """What a keeper gets.

    Attributes:
        key: deletes it.
        until: when it goes (Unix time).
        exact: every pixel is as it was; otherwise it was made smaller or compressed.
    """

    hash: str
    key: str
    until: float
    exact: bool


class KeptPictures:
    """A folder of kept pictures: `HASH.webp`, and `HASH.json` that says until when and for whom.

    Args:
        days: how long a picture is kept; 0 keeps none.
        most: images at a time.
        most_bytes: bytes of all pictures together.
    """

    def __init__(self, folder: Path, days: float, most: int, most_bytes: int, clock: Callable[[], float] = time.time):
        self.folder, self.days, self.most, self.most_bytes = folder, days, most, most_bytes
        self.clock = clock
        self._lock = threading.Lock()

    def keep(self, image: Image.Image) -> Receipt:
        """Keep a decoded picture from now on.

        Raises:
            KeepingError: keeping is off, or the folder is full.
        """
        if not self.days:
            raise KeepingError("this service keeps no images; share a sample, or the downloaded figure")
        data, exact = _encoded(image, self.most_bytes // max(self.most, 1))
        name, key, until = hashlib.sha256(data).hexdigest(), secrets.token_urlsafe(24), self.clock() + self.days * _DAY
        with self._lock:
            self._sweep()
            keepers = self._keepers(name)
            if not keepers:
                self._make_room(len(data))
                self.folder.mkdir(parents=True, exist_ok=True)
                _write(self.folder / f"{name}.webp", data)
            self._set_keepers(name, {**keepers, _digest(key): until})
        return Receipt(name, key, until, exact)

    def get(self, name: str) -> bytes | None:
        """The file of this hash, None where it is not kept (any more)."""
        if not _HASH.fullmatch(name):
            return None
        with self._lock:
            return (self.folder / f"{name}.webp").read_bytes() if self._keepers(name) else None

    def until(self, name: str) -> float | None:
        """When this picture goes (Unix time), None where it is not kept (any more)."""
        with self._lock:
            return max(self._keepers(name).values(), default=None) if _HASH.fullmatch(name) else None

    def forget(self, name: str, key: str) -> None:
        """Delete a picture.

        Raises:
            KeepingError: it is not kept, or not with this key.
        """
        with self._lock:
            keepers = self._keepers(name) if _HASH.fullmatch(name) else {}
            if _digest(key) not in keepers:
                raise KeepingError("this image is not kept, or was not kept by you")
            self._set_keepers(name, {each: until for each, until in keepers.items() if each != _digest(key)})

    def sweep(self) -> None:
        """Delete every picture whose last day has passed."""
        with self._lock:
            self._sweep()

    def _sweep(self) -> None:
        for file in list(self.folder.glob("*.webp")):
            if not self._keepers(file.stem):
                self._set_keepers(file.stem, {})

    def _keepers(self, name: str) -> dict[str, float]:
        """Digests of the keys of those for whom it is still kept, and until when."""
        try:
            stored = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return {digest: until for digest, until in stored.items() if until > self.clock()}

    def _set_keepers(self, name: str, keepers: dict[str, float]) -> None:
        if keepers:
            _write(self.folder / f"{name}.json", json.dumps(keepers).encode())
        else:
            for suffix in ("webp", "json"):
                (self.folder / f"{name}.{suffix}").unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        sizes = [file.stat().st_size for file in self.folder.glob("*.webp")]
        if len(sizes) >= self.most or sum(sizes) + size > self.most_bytes:
            raise KeepingError(
                f"{len(sizes)} images ({sum(sizes) / 1e6:.0f} MB) are kept here, and there is no room for another; "
                "try again tomorrow, or share the downloaded figure"
            )


def _encoded(image: Image.Image, share: int) -> tuple[bytes, bool]:
    """The picture as WebP, and whether that is the very picture: it is where it needs no more than `share` bytes."""
    if max(image.size) <= LONGEST and image.mode == "RGB":
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", lossless=True, quality=50, method=2)
        if buffer.tell() <= share:
            return buffer.getvalue(), True
    small = image.copy()
    small.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return encode_webp(small, _QUALITY), False


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    part = path.with_suffix(path.suffix + ".part")
    part.write_bytes(data)
    os.replace(part, path)

"""Pictures that a visitor chose to keep, so that a link to them works: on disk, until a day announced beforehand.

What is kept is what the page then shows: upright, without metadata, at most `LONGEST` pixels, as WebP, and without loss
where that fits: models then answer as before. Its name is the
SHA-256 of that file, so only people with the link can see it. Every keeper gets a key that deletes the picture;
where two people keep the same one, it stays until both have deleted it or the last day has passed. Of very many who
keep it, the last ones count.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.failures import KeepingError
from lfi.rendering import encode_webp
from lfi.writing import PART, whole

log = logging.getLogger("lfi")

LONGEST = 2048
_QUALITY = 90
_DAY = 24 * 60 * 60
_HASH = re.compile("[0-9a-f]{64}")
_KEEPERS = 100
"""Of one picture, whose keys are known."""


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
            KeepingError: keeping is off, or the folder is full or cannot be written.
        """
        if not self.days:
            raise KeepingError("this service keeps no images; share a sample, or the downloaded figure")
        data, exact = _encoded(image, self.most_bytes // max(self.most, 1))
        name, key, until = hashlib.sha256(data).hexdigest(), secrets.token_urlsafe(24), self.clock() + self.days * _DAY
        with self._changing():
            self._sweep()
            keepers, file = self._keepers(name), self.folder / f"{name}.webp"
            if not keepers or not file.is_file():
                self._make_room(len(data))
                self.folder.mkdir(parents=True, exist_ok=True)
                _write(file, data)
            latest = list(keepers.items())[-_KEEPERS + 1 :]
            self._set_keepers(name, {**dict(latest), _digest(key): until})
        return Receipt(name, key, until, exact)

    def get(self, name: str) -> bytes | None:
        """The file of this hash, None where it is not kept (any more)."""
        with self._lock:
            try:
                return (self.folder / f"{name}.webp").read_bytes() if self._kept_for(name) else None
            except OSError as error:
                _tell("a kept picture cannot be read", error)
                return None

    def until(self, name: str) -> float | None:
        """When this picture goes (Unix time), None where it is not kept (any more)."""
        with self._lock:
            return max(self._kept_for(name).values(), default=None)

    def forget(self, name: str, keys: Collection[str]) -> None:
        """Delete a picture, unless others keep it too.

        Args:
            keys: all that whoever kept it was given; of several, some may have lapsed.

        Raises:
            KeepingError: it is not kept, or with none of these keys, or the folder cannot be written.
        """
        with self._changing():
            keepers, own = self._keepers(name) if _HASH.fullmatch(name) else {}, set(map(_digest, keys))
            if not own & keepers.keys():
                raise KeepingError("this image is not kept, or was not kept by you")
            self._set_keepers(name, {each: until for each, until in keepers.items() if each not in own})

    def sweep(self) -> None:
        """Delete every picture whose last day has passed."""
        with self._lock:
            self._sweep()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except OSError as error:
                _tell("the folder of kept pictures cannot be used", error)
                raise KeepingError("this service cannot write to its folder of kept images at the moment") from error

    def _sweep(self) -> None:
        for name in {file.stem for suffix in ("webp", "json") for file in self.folder.glob(f"*.{suffix}")}:
            try:
                if not self._keepers(name):
                    self._set_keepers(name, {})
            except OSError as error:  # the others are swept all the same, and this one is not taken for unkept
                _tell("a kept picture cannot be swept", error)
        for part in self.folder.glob(f"*{PART}"):  # what a process that was killed had begun to write
            try:
                if part.stat().st_mtime < self.clock() - _DAY:
                    part.unlink(missing_ok=True)
            except OSError as error:
                _tell("a half-written picture cannot be swept", error)

    def _kept_for(self, name: str) -> dict[str, float]:
        """As `_keepers`, for whoever only looks: nobody, where that cannot be read or the name is no hash."""
        try:
            return self._keepers(name) if _HASH.fullmatch(name) else {}
        except OSError as error:
            _tell("the keepers of a picture cannot be read", error)
            return {}

    def _keepers(self, name: str) -> dict[str, float]:
        """Digests of the keys of those for whom it is still kept, and until when; nobody, where the file is damaged."""
        try:
            stored = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
            return {digest: until for digest, until in stored.items() if until > self.clock()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError) as error:
            _tell("the keepers of a picture are damaged, so it counts as one that nobody keeps", error)
            return {}

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


def _tell(what: str, error: Exception) -> None:
    """Log it without the path: that a picture's name is secret is what keeps others from it."""
    log.error("%s: %s", what, getattr(error, "strerror", None) or type(error).__name__)


def _write(path: Path, data: bytes) -> None:
    with whole(path) as part:
        part.write_bytes(data)

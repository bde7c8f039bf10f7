"""What lies on disk and what is said of it, before any image is decoded: for counting, sampling, and then reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lfi.data.decode import Decoded, Fit, load_images
from lfi.data.imagecache import cached
from lfi.data.imageset import ImageSet, copied
from lfi.data.notes import Note


@dataclass(frozen=True, eq=False)
class Listing:
    """Rows of an `ImageSet` whose images are still files. The other fields are those of `ImageSet`.

    Attributes:
        files: of every row; a file that stands in several rows is read once.
    """

    files: tuple[Path, ...]
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    labels: np.ndarray
    captions: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    notes: tuple[Note, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    @property
    def once(self) -> list[Path]:
        """Every file, each once, in the order of the rows."""
        return list(dict.fromkeys(self.files))

    def take(self, rows: Sequence[int] | np.ndarray) -> Listing:
        """Some of the rows, in the order given."""

        def pick(values: tuple) -> tuple:
            return tuple(values[row] for row in rows)

        return replace(
            self,
            files=pick(self.files),
            ids=pick(self.ids),
            labels=self.labels[np.asarray(rows, np.int64)],
            captions=pick(self.captions),
            words=pick(self.words),
        )

    def read(self, size: int, *, fit: Fit = "squash", limit: float = 0.01, title: str = "reading images") -> ImageSet:
        """All images, decoded once and kept on disk (`lfi.data.imagecache`).

        Args:
            size: side in pixels.
            fit: `squash` or `crop`.
            limit: the largest share of files that may be unreadable.

        Raises:
            DataError: too many cannot be read, or none, or rows that share files do not fit into memory.
        """
        return self._with(cached(self.once, size, fit=fit, limit=limit, title=title))

    def load(self, size: int, *, limit: float = 0.01) -> ImageSet:
        """All images, decoded into memory and kept nowhere: for a few of them. Arguments and errors as of `read`."""
        return self._with(load_images(self.once, size, limit=limit))

    def _with(self, decoded: Decoded) -> ImageSet:
        once = self.once
        position = {once[file]: index for index, file in enumerate(decoded.kept)}
        kept = [row for row, file in enumerate(self.files) if file in position]
        some, images = self.take(kept), decoded.images
        pictures: tuple[str, ...] = ()
        if len(once) < len(self.files):
            images = copied(images, [position[file] for file in some.files])
            first = dict(zip(reversed(self.files), reversed(self.ids), strict=True))
            pictures = tuple(first[file] for file in some.files)
        return ImageSet(
            images=images,
            ids=some.ids,
            classes=self.classes,
            labels=some.labels,
            captions=some.captions,
            words=some.words,
            pictures=pictures,
            skipped=decoded.skipped,
            notes=(*self.notes, *decoded.notes),
        )

"""`ImageSet`: images in memory with what is known of each; the one type that every data set is read into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lfi.data.notes import Note, Notes
from lfi.devices import memory_size
from lfi.errors import DataError


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one size and what is known of each.

    Attributes:
        images: uint8 `[n, size, size, 3]`, RGB; an array in memory or a memory map.
        ids: a key per image, unique and stable across machines (a relative path, a record's number).
        classes: names of the classes, as people read them; empty where there are none.
        labels: int64 `[n]`, -1 where unknown; or float32 `[n, class]`, 1 for every class that is present. To train on,
            also int64 `[n, several]`: all of these classes are right, -1 pads, and nothing is said of the others.
        captions: one per image, `""` where there is none.
        words: per image the words or phrases that a teacher is asked about, most important first.
        boxes: float32 `[n, 4]`, left, top, right, bottom in pixels of `images`, right and bottom open; NaN where an
            image has no box; None where none has.
        domains: one per image; empty where the set has none.
        pictures: what each shows, by a key, where the same picture may come several times, with other captions; empty
            where it comes once.
        by_words: whether the classes are words, and present is what is said.
        skipped: files that could not be read, `path: reason` each.
        notes: what else is in the data and not here, or was not read as it is there.
    """

    images: np.ndarray
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    labels: np.ndarray
    captions: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    boxes: np.ndarray | None = None
    domains: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    by_words: bool = False
    skipped: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.images)
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[3] != 3:
            raise DataError(
                f"images are {self.images.dtype} {self.images.shape}; uint8 [n, size, size, 3] was expected"
            )
        sizes = {"ids": self.ids, "labels": self.labels, "captions": self.captions, "words": self.words}
        for name, values in sizes.items():
            if len(values) != count:
                raise DataError(f"{len(values)} {name} for {count} images")
        for name, values in (("domains", self.domains), ("pictures", self.pictures)):
            if values and len(values) != count:
                raise DataError(f"{len(values)} {name} for {count} images")
        if self.boxes is not None and self.boxes.shape != (count, 4):
            raise DataError(f"boxes are {self.boxes.shape}; ({count}, 4) was expected")
        if len(set(self.classes)) != len(self.classes):
            several, times = Counter(self.classes).most_common(1)[0]
            raise DataError(f"{times} classes are called {several!r}; every class needs a name of its own")
        if len(set(self.ids)) != count:
            several, times = Counter(self.ids).most_common(1)[0]
            raise DataError(f"sample ids are not unique: {times} images are called {several!r}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def keys(self) -> tuple[str, ...]:
        """Of what each row shows: the same where the same picture comes again."""
        return self.pictures or self.ids

    @property
    def multilabel(self) -> bool:
        """Whether every class is said to be present or not, each on its own."""
        return self.labels.ndim == 2 and self.labels.dtype.kind == "f"

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Every word and phrase that is asked, the classes first, each once."""
        return tuple(dict.fromkeys((*self.classes, *(word for row in self.words for word in row))))

    def take(self, rows: Sequence[int] | np.ndarray) -> ImageSet:
        """Some of the images, in the order given."""
        rows = np.asarray(rows, np.int64)

        def pick(values: tuple) -> tuple:
            return tuple(values[row] for row in rows)

        return replace(
            self,
            images=copied(self.images, rows),
            ids=pick(self.ids),
            labels=self.labels[rows],
            captions=pick(self.captions),
            words=pick(self.words),
            boxes=None if self.boxes is None else self.boxes[rows],
            domains=pick(self.domains) if self.domains else (),
            pictures=pick(self.pictures) if self.pictures else (),
        )

    def fraction(self, share: float, seed: int = 0) -> ImageSet:
        """A share of the images of every class (of all images where labels are several), at least one of each.

        Raises:
            DataError: for a share outside (0, 1].
        """
        return self if share == 1 else self.take(self._share(share, seed))

    def labelled(self, share: float, seed: int = 0) -> ImageSet:
        """All images, and what is known of a share of every class: of the others no class, caption, word or box.

        Raises:
            DataError: for a share outside (0, 1], or for images that can have several classes.
        """
        if share == 1:
            return self
        if self.multilabel:
            raise DataError(
                f"{share} of the labels were asked for (data.labelled), and images have several classes each; labels "
                "can be hidden only where an image has one"
            )
        known = np.isin(np.arange(len(self)), self._share(share, seed))

        def hidden(values: tuple, nothing: object) -> tuple:
            return tuple(value if here else nothing for value, here in zip(values, known, strict=True))

        return replace(
            self,
            labels=np.where(known, self.labels, -1),
            captions=hidden(self.captions, ""),
            words=hidden(self.words, ()),
            boxes=None if self.boxes is None else np.where(known[:, None], self.boxes, np.nan).astype(np.float32),
        )

    def _share(self, share: float, seed: int) -> np.ndarray:
        if not 0 < share <= 1:
            raise DataError(f"a fraction of {share} was asked for; more than 0 and at most 1 was expected")
        rng = np.random.default_rng(seed)
        groups = np.zeros(len(self), np.int64) if self.multilabel else self.labels
        kept = []
        for group in np.unique(groups):
            rows = rng.permutation(np.flatnonzero(groups == group))
            kept.append(rows[: max(1, round(share * len(rows)))])
        return np.sort(np.concatenate(kept))


def copied(images: np.ndarray, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """Some rows of images in memory, wherever they were.

    Raises:
        DataError: they are more than memory holds.
    """
    needed, memory = len(rows) * images[:1].nbytes, memory_size()
    if needed > memory:
        raise DataError(
            f"{len(rows):,} images of {images.shape[1]} px take {needed / 1e9:,.1f} GB of memory, of which there are "
            f"{memory / 1e9:,.1f}: parts of a set and tables with several captions of an image are held in memory; use "
            "a smaller data.size or fewer images, or stream them from shards (data.stream)"
        )
    return images[np.asarray(rows, np.int64)]


def concatenate(parts: Sequence[ImageSet]) -> ImageSet:
    """Several sets of the same classes and size as one.

    Raises:
        DataError: if classes or sizes differ, or ids collide.
    """
    first = parts[0]
    for part in parts[1:]:
        if part.classes != first.classes:
            raise DataError("image sets of different classes cannot be joined")
        if part.images.shape[1:] != first.images.shape[1:]:
            raise DataError(f"image sets of {first.images.shape[1]} and {part.images.shape[1]} px cannot be joined")

    def join(name: str) -> tuple:
        return tuple(value for part in parts for value in getattr(part, name))

    several = any(part.pictures for part in parts)
    boxes = None
    if any(part.boxes is not None for part in parts):
        nothing = [np.full((len(part), 4), np.nan, np.float32) for part in parts]
        boxes = np.concatenate(
            [part.boxes if part.boxes is not None else none for part, none in zip(parts, nothing, strict=True)]
        )
    return ImageSet(
        images=np.concatenate([part.images for part in parts]),
        ids=join("ids"),
        classes=first.classes,
        labels=np.concatenate([part.labels for part in parts]),
        captions=join("captions"),
        words=join("words"),
        boxes=boxes,
        domains=join("domains") if all(part.domains for part in parts) else (),
        by_words=first.by_words,
        pictures=tuple(key for part in parts for key in part.keys) if several else (),
        skipped=join("skipped"),
        notes=Notes(join("notes")).all(),
    )

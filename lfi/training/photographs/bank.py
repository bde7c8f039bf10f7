"""What the models for photographs learn from: single photographs, canvases of several, and small ones pasted on others.

A photograph says what it shows and not where. Of the photographs on a canvas, and of pasted ones, both is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lfi.data.canvases import MOST, compose, paste
from lfi.data.domains import domain_folders
from lfi.data.imagefiles import image_files
from lfi.data.tinyimagenet import tiny_imagenet, wnids_of
from lfi.errors import DataError
from lfi.teachers.names import Names

SIDE = 64
CANVASES, PASTED = 24_000, 16_000
HELD_OUT = 10
"""Of the 500 training images of every class of TinyImageNet: never trained on, for choices that need validation."""
VIEWS = 3
"""Of every sample of ImageNet: the whole and two crops."""
ALONE = ("animal", "fruit", "vegetable", "geological formation", "fungus", "dish", "giraffe", "house", "guitar")
"""Names whose photographs rarely show people, or whose photographs were checked by hand (PACS)."""
SHARES = (0.78, 0.15, 0.07)
"""Of TinyImageNet, PACS and the samples among what canvases are made of."""


@dataclass(frozen=True, eq=False)
class Part:
    """Images with the names of what lies where.

    Attributes:
        name: of the part.
        images: uint8 `[n, side, side, 3]`.
        labels: int64 `[n, 4]`: numbers of the names of the photographs in an image, -1 where there are fewer.
        regions: int64 `[n, 4, 4]`: left, top, right, bottom of each, in pixels of a 64 px image, the last two open.
        boxes: float32 `[n, 4]` of the object in a single photograph, as `regions`; None where unknown.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    regions: np.ndarray
    boxes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: np.ndarray, name: str | None = None) -> Part:
        """Some of the images."""
        boxes = None if self.boxes is None else self.boxes[rows]
        return Part(name or self.name, self.images[rows], self.labels[rows], self.regions[rows], boxes)


def single(name: str, images: np.ndarray, labels: np.ndarray, boxes: np.ndarray | None = None) -> Part:
    """Photographs of one thing each."""
    several = np.full((len(images), MOST), -1, np.int64)
    several[:, 0] = labels
    regions = np.zeros((len(images), MOST, 4), np.int64)
    regions[:, 0] = (0, 0, SIDE, SIDE)
    return Part(name, images, several, regions, boxes)


def assemble(names: Names, tiny: Path, pacs: Path, samples: Path, seed: int = 0) -> dict[str, Part]:
    """All parts by name: `held out`, `canvases`, `pasted`, `pacs`, `samples` and `tiny`.

    Args:
        tiny: the folder with TinyImageNet's `wnids.txt`; pacs: the folder with PACS's domains, of which every second
            image is used; samples: photographs of ImageNet's classes, `WNID_name.JPEG`.

    Raises:
        DataError: something is missing, or a class has no name.
    """
    by_leaf = {leaf: own_name(names, number) for number, (leaf, _) in enumerate(names.leaves)}
    photographs = tiny_imagenet(tiny, "train")
    labels = np.array([by_leaf[wnid] for wnid in wnids_of(tiny)])[photographs.labels]
    rank = np.concatenate([np.arange(count) for count in np.bincount(photographs.labels)])
    held = rank >= 500 - HELD_OUT
    boxes = photographs.boxes
    assert boxes is not None
    drawn = domain_folders(pacs, size=112)
    drawn = drawn.take(np.arange(0, len(drawn), 2))
    numbers = [names.number(name) for name in drawn.classes]
    if None in numbers:
        raise DataError(f"there is no name for a class of {pacs}: {', '.join(drawn.classes)}")
    rng = np.random.default_rng(seed)
    views, wnids = sample_views(samples, rng)
    parts = {
        "held out": single("held-out", photographs.images[held], labels[held], boxes[held]),
        "pacs": single("pacs", drawn.images, np.array(numbers)[drawn.labels]),
        "samples": single("samples", views, np.array([by_leaf[wnid] for wnid in wnids])),
    }
    order = np.random.default_rng((seed, 1)).permutation(np.flatnonzero(~held))
    parts["tiny"] = single("tiny", photographs.images[order], labels[order], boxes[order])
    pool = [parts[name] for name in ("tiny", "pacs", "samples")]
    images = np.concatenate([shrunk(part.images) for part in pool])
    known = np.concatenate([part.labels[:, 0] for part in pool])
    chance = np.concatenate([np.full(len(part), share / len(part)) for part, share in zip(pool, SHARES, strict=True)])
    chance /= chance.sum()
    for name, count, make in (("canvases", CANVASES, compose), ("pasted", PASTED, paste)):
        made = make(images, rng.choice(len(images), (count, MOST), p=chance), rng)
        parts[name] = Part(name, made.images, np.where(made.rows >= 0, known[made.rows], -1), made.regions)
    return parts


def sample_views(folder: Path, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """Views of photographs named `WNID_name.JPEG`, uint8 `[n, 224, 224, 3]`, and their wnids."""
    files = image_files(folder)
    if not files:
        raise DataError(f"{folder} holds no images; WNID_name.JPEG was expected")
    views = []
    for view in range(VIEWS):
        for file in files:
            with Image.open(file) as opened:
                image = opened.convert("RGB")
            if view:
                width, height = image.size
                kept = rng.uniform(0.6, 1)
                left, top = rng.uniform(0, width * (1 - kept)), rng.uniform(0, height * (1 - kept))
                image = image.crop((round(left), round(top), round(left + width * kept), round(top + height * kept)))
                if rng.random() < 0.5:
                    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            views.append(np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC)))
    return np.stack(views), [file.name.split("_")[0] for file in files] * VIEWS


def shrunk(images: np.ndarray) -> np.ndarray:
    """Images at 64 px."""
    if images.shape[1] == SIDE:
        return images
    return np.stack(
        [np.asarray(Image.fromarray(each).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for each in images]
    )


def own_name(names: Names, leaf: int) -> int:
    """The name that stands for a leaf alone, or for as little else as possible."""
    covering = np.flatnonzero(names.covers[:, leaf])
    return int(covering[names.covers[covering].sum(1).argmin()])


class Truth:
    """Which names are true of an image, which are false, and which are unknown.

    Attributes:
        above: bool `[name, name]`: what is the first is the second, too (dog, animal).
        apart: bool `[name, name]`: what is the first is never the second (dog, cup).
    """

    def __init__(self, names: Names):
        covers = names.covers.astype(np.float32)
        shared = covers @ covers.T
        self.above = shared >= covers.sum(1)[:, None]
        self.apart = shared == 0
        self.names = names
        # people are in many a photograph that is named after what they wear, drive or play
        self.unsure = np.zeros_like(self.above)
        person = names.number("person")
        if person is not None:
            alone = [names.number(name) for name in ALONE]
            things = ~np.any([self.above[:, number] for number in alone if number is not None], 0)
            self.unsure[things, person] = True

    def of(self, labels: np.ndarray, chances: np.ndarray, sure: float = 0.7, absent: float = 0.03) -> np.ndarray:
        """float32 `[n, name]`: 1 true, 0 false, NaN unknown.

        Args:
            labels: int64 `[n, 4]`, as `Part.labels`.
            chances: `[n, leaf of ImageNet]`, what the tower thinks.
        """
        there = labels >= 0
        true = (self.above[labels] & there[..., None]).any(1)
        false = (self.apart[labels] | ~there[..., None]).all(1) & ~(self.unsure[labels] & there[..., None]).any(1)
        seen = chances @ self.names.covers[:, : chances.shape[1]].T.astype(np.float32)
        found = np.full(true.shape, np.nan, np.float32)
        found[false & (seen < absent)] = 0
        found[~false & (seen > sure)] = 1
        found[true] = 1
        return found

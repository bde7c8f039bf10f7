"""What maps are measured on, from real images: class names and where their objects are.

From COCO's instances (masks; https://cocodataset.org/#format-data) and from TinyImageNet (boxes). Models get the images
as they are; masks are squashed to a square. Classes whose names the teacher does not know are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
from PIL import Image
from tqdm import tqdm

from evaluation.pointing import Cases
from lfi.data.instances import picture, read_truth
from lfi.data.tinyimagenet import SIDE, tiny_imagenet
from lfi.errors import DataError, UnknownWordError
from lfi.teachers.base import BaseTeacher

CLASS = "class"
"""The kind of phrase that these are."""


@dataclass(frozen=True)
class ImageFiles(Sequence[np.ndarray]):
    """Images that are read when they are looked at, uint8 `[height, width, 3]` each."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, row: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, row: slice) -> ImageFiles: ...

    def __getitem__(self, row: int | slice) -> np.ndarray | ImageFiles:
        return ImageFiles(self.paths[row]) if isinstance(row, slice) else np.asarray(picture(self.paths[row]))


def coco_cases(images: Path, annotations: Path, knows: Callable[[str], bool], size: int) -> Cases:
    """Every class of every image with the mask of all its objects; crowds belong to no mask.

    Args:
        images: the folder that file names are relative to.
        annotations: instances JSON.
        knows: whether the teacher can be asked for a class.
        size: side of the masks in pixels.

    Raises:
        DataError: a file that cannot be read, or no object of a class that the teacher knows.
    """
    truth = read_truth(annotations, images, masks=True)
    names = {number: each["name"] for number, each in truth.cats.items() if knows(each["name"])}
    files: list[Path] = []
    cases: list[tuple[int, str, np.ndarray]] = []
    for number in tqdm(sorted(truth.imgs), desc=annotations.stem, unit="image", dynamic_ncols=True):
        objects = [truth.anns[each] for each in truth.getAnnIds(imgIds=[number])]
        kept = [each for each in objects if each["category_id"] in names and not each.get("iscrowd")]
        if not kept:
            continue
        for category in dict.fromkeys(each["category_id"] for each in kept):
            masks = [truth.annToMask(each) for each in kept if each["category_id"] == category]
            cases.append((len(files), names[category], _squashed(np.any(masks, 0), size)))
        files.append(images / truth.imgs[number]["file_name"])
    if not cases:
        raise DataError(f"{annotations} has no object of a class that the teacher knows")
    return _cases(ImageFiles(tuple(files)), cases)


def tiny_imagenet_cases(root: Path, knows: Callable[[str], bool], size: int) -> Cases:
    """The validation images with their class and its box.

    Args:
        size: side of the masks in pixels.

    Raises:
        DataError: as `lfi.data.tinyimagenet.tiny_imagenet`, or no class that the teacher knows.
    """
    found = tiny_imagenet(root, "val")
    known = [knows(name) for name in found.classes]
    found = found.take([row for row, label in enumerate(found.labels) if known[label]])
    if not len(found):
        raise DataError(f"{root} has no image of a class that the teacher knows")
    assert found.boxes is not None
    at = np.arange(size) + 0.5
    left, top, right, bottom = (found.boxes * (size / SIDE)).T[..., None]
    down, across = (top <= at) & (at < bottom), (left <= at) & (at < right)
    cases = [(row, found.classes[label], down[row][:, None] & across[row]) for row, label in enumerate(found.labels)]
    return _cases(found.images, cases)


def known_to(teacher: BaseTeacher) -> Callable[[str], bool]:
    """Whether a teacher can be asked for a name; one without a vocabulary of its own reads any."""

    def knows(name: str) -> bool:
        try:
            teacher.check_words([name])
        except UnknownWordError:
            return False
        return True

    return knows


def split(cases: Cases, count: int, seed: int) -> tuple[Cases, Cases]:
    """`count` images to measure on and a third as many others to choose on, drawn at random.

    Raises:
        DataError: fewer than four images.
    """
    if len(cases.images) < 4:
        raise DataError(f"maps can be asked for in {len(cases.images)} images; at least four were expected")
    order = np.random.default_rng((seed, 7)).permutation(len(cases.images))
    count = min(count, len(order) * 3 // 4)
    return _take(cases, np.sort(order[:count])), _take(cases, np.sort(order[count : count + max(1, count // 3)]))


def _take(cases: Cases, rows: np.ndarray) -> Cases:
    kept, images = np.flatnonzero(np.isin(cases.rows, rows)), cases.images
    return replace(
        cases,
        images=ImageFiles(tuple(images.paths[row] for row in rows))
        if isinstance(images, ImageFiles)
        else np.asarray(images)[rows],
        rows=np.searchsorted(rows, cases.rows[kept]),
        kinds=cases.kinds[kept],
        phrases=tuple(cases.phrases[case] for case in kept),
        masks=cases.masks[kept],
    )


def _cases(images: np.ndarray | ImageFiles, cases: Sequence[tuple[int, str, np.ndarray]]) -> Cases:
    rows, phrases, masks = zip(*cases, strict=True)
    return Cases(images, np.array(rows), np.full(len(rows), CLASS), phrases, np.stack(masks))


def _squashed(mask: np.ndarray, size: int) -> np.ndarray:
    """Bool `[height, width]` to `[size, size]`: where more than half of a pixel is covered."""
    small = Image.fromarray(255 * mask.astype(np.uint8)).resize((size, size), Image.Resampling.BOX)
    return np.asarray(small) > 127

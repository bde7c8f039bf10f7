"""What maps are measured on, from real images: class names and where their objects are.

From COCO's instances (masks; https://cocodataset.org/#format-data) and from TinyImageNet (boxes). Models get the images
as they are; masks are squashed to a square. Classes whose names the teacher does not know cannot be asked for; how much
of the data that leaves out is noted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from PIL import Image
from tqdm import tqdm

from evaluation.pointing import Cases
from lfi.data.coco_format import CROWDS, SHARED_NAMES
from lfi.data.instances import picture, read_truth
from lfi.data.notes import Notes, account
from lfi.data.tinyimagenet import SIDE, tiny_imagenet
from lfi.errors import DataError, UnknownWordError
from lfi.teachers.base import BaseTeacher

CLASS = "class"
"""The kind of phrase that these are."""
UNKNOWN = "objects of classes that the teacher does not know"
NOTHING = "images without an object that can be asked for"


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

    Categories of one name are one class.

    Args:
        images: the folder that file names are relative to.
        annotations: instances JSON.
        knows: whether the teacher can be asked for a class.
        size: side of the masks in pixels.

    Raises:
        DataError: a file that cannot be read, or no object of a class that the teacher knows.
    """
    truth = read_truth(annotations, images, masks=True)
    names, notes = {number: each["name"] for number, each in truth.cats.items()}, Notes()
    known = {name for name in names.values() if knows(name)}
    for name, times in Counter(names.values()).items():
        if times > 1:
            notes.add(SHARED_NAMES, name, times)
    files: list[Path] = []
    cases: list[tuple[int, str, np.ndarray]] = []
    for number in tqdm(sorted(truth.imgs), desc=annotations.stem, unit="image", dynamic_ncols=True):
        file = truth.imgs[number]["file_name"]
        kept: dict[str, list[dict[str, Any]]] = {}
        for each in (truth.anns[each] for each in truth.getAnnIds(imgIds=[number])):
            name = names[each["category_id"]]
            if each.get("iscrowd"):
                notes.add(CROWDS, file)
            elif name not in known:
                notes.add(UNKNOWN, name)
            else:
                kept.setdefault(name, []).append(each)
        if not kept:
            notes.add(NOTHING, file)
            continue
        for name, objects in kept.items():
            masks = [truth.annToMask(each) for each in objects]
            cases.append((len(files), name, _squashed(np.any(masks, 0), size)))
        files.append(images / file)
    if not cases:
        raise DataError(f"{annotations} has no object of a class that the teacher knows")
    return _cases(ImageFiles(tuple(files)), cases, notes)


def tiny_imagenet_cases(root: Path, knows: Callable[[str], bool], size: int) -> Cases:
    """The validation images with their class and its box.

    Args:
        size: side of the masks in pixels.

    Raises:
        DataError: as `lfi.data.tinyimagenet.tiny_imagenet`, or no class that the teacher knows.
    """
    found = tiny_imagenet(root, "val")
    known, notes = [knows(name) for name in found.classes], Notes(account(found))
    for label in found.labels:
        if not known[label]:
            notes.add(UNKNOWN, found.classes[label])
    found = found.take([row for row, label in enumerate(found.labels) if known[label]])
    if not len(found):
        raise DataError(f"{root} has no image of a class that the teacher knows")
    assert found.boxes is not None
    at = np.arange(size) + 0.5
    left, top, right, bottom = (found.boxes * (size / SIDE)).T[..., None]
    down, across = (top <= at) & (at < bottom), (left <= at) & (at < right)
    cases = [(row, found.classes[label], down[row][:, None] & across[row]) for row, label in enumerate(found.labels)]
    return _cases(found.images, cases, notes)


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


def _cases(images: np.ndarray | ImageFiles, cases: Sequence[tuple[int, str, np.ndarray]], notes: Notes) -> Cases:
    rows, phrases, masks = zip(*cases, strict=True)
    return Cases(images, np.array(rows), np.full(len(rows), CLASS), phrases, np.stack(masks), notes.all())


def _squashed(mask: np.ndarray, size: int) -> np.ndarray:
    """Bool `[height, width]` to `[size, size]`: where more than half of a pixel is covered."""
    small = Image.fromarray(255 * mask.astype(np.uint8)).resize((size, size), Image.Resampling.BOX)
    return np.asarray(small) > 127

"""What a map is measured on, from real images: class names, and where these classes are.

From COCO's instances (masks; https://cocodataset.org/#format-data) and from TinyImageNet (boxes). Images are squashed
to a square, as models see them, and masks with them; classes whose names the teacher does not know are not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from evaluation.pointing import Cases
from lfi.data.instances import picture, read_truth
from lfi.data.tinyimagenet import tiny_imagenet
from lfi.errors import DataError, UnknownWordError
from lfi.teachers.openclip import OpenClipTeacher

CLASS = "class"
"""The kind of phrase that these are."""


def coco_cases(images: Path, annotations: Path, knows: Callable[[str], bool], size: int) -> Cases:
    """Every class of every image with the mask of all its objects; crowds are nobody's mask.

    Args:
        images: the folder that file names are relative to.
        annotations: instances JSON.
        knows: whether the teacher can be asked for a class.
        size: side in pixels.

    Raises:
        DataError: a file that cannot be read, or no object of a class that the teacher knows.
    """
    truth = read_truth(annotations, images, masks=True)
    names = {number: each["name"] for number, each in truth.cats.items() if knows(each["name"])}
    pixels: list[np.ndarray] = []
    cases: list[tuple[int, str, np.ndarray]] = []
    for number in tqdm(sorted(truth.imgs), desc=annotations.stem, unit="image", dynamic_ncols=True):
        objects = [truth.anns[each] for each in truth.getAnnIds(imgIds=[number])]
        kept = [each for each in objects if each["category_id"] in names and not each.get("iscrowd")]
        if not kept:
            continue
        for category in dict.fromkeys(each["category_id"] for each in kept):
            masks = [truth.annToMask(each) for each in kept if each["category_id"] == category]
            cases.append((len(pixels), names[category], _squashed(np.any(masks, 0), size)))
        image = picture(images / truth.imgs[number]["file_name"])
        pixels.append(np.asarray(image.resize((size, size), Image.Resampling.BICUBIC)))
    if not cases:
        raise DataError(f"{annotations} holds no object of a class that the teacher knows")
    return _cases(np.stack(pixels), cases)


def tiny_imagenet_cases(root: Path, knows: Callable[[str], bool], size: int) -> Cases:
    """The validation images with their class and its box.

    Raises:
        DataError: as `lfi.data.tinyimagenet.tiny_imagenet`, or no class that the teacher knows.
    """
    found = tiny_imagenet(root, "val", size=size)
    known = [knows(name) for name in found.classes]
    found = found.take([row for row, label in enumerate(found.labels) if known[label]])
    if not len(found):
        raise DataError(f"{root} holds no image of a class that the teacher knows")
    assert found.boxes is not None
    at = np.arange(size) + 0.5
    left, top, right, bottom = found.boxes.T[..., None]
    down, across = (top <= at) & (at < bottom), (left <= at) & (at < right)
    cases = [(row, found.classes[label], down[row][:, None] & across[row]) for row, label in enumerate(found.labels)]
    return _cases(found.images, cases)


def known_to(teacher: OpenClipTeacher) -> Callable[[str], bool]:
    """Whether a teacher can be asked for a name; one without a vocabulary of its own reads any."""

    def knows(name: str) -> bool:
        try:
            teacher.check_words([name])
        except UnknownWordError:
            return False
        return True

    return knows


def split(cases: Cases, count: int, seed: int) -> tuple[Cases, Cases]:
    """So many images to measure on and a third as many others to choose on, drawn at random.

    Raises:
        DataError: fewer than four images.
    """
    if len(cases.images) < 4:
        raise DataError(f"maps can be asked for in {len(cases.images)} images; four were expected at least")
    order = np.random.default_rng((seed, 7)).permutation(len(cases.images))
    count = min(count, len(order) * 3 // 4)
    return _take(cases, np.sort(order[:count])), _take(cases, np.sort(order[count : count + max(1, count // 3)]))


def _take(cases: Cases, rows: np.ndarray) -> Cases:
    kept = np.flatnonzero(np.isin(cases.rows, rows))
    return Cases(
        images=cases.images[rows],
        rows=np.searchsorted(rows, cases.rows[kept]),
        kinds=cases.kinds[kept],
        phrases=tuple(cases.phrases[case] for case in kept),
        masks=cases.masks[kept],
    )


def _cases(images: np.ndarray, cases: Sequence[tuple[int, str, np.ndarray]]) -> Cases:
    rows, phrases, masks = zip(*cases, strict=True)
    return Cases(images, np.array(rows), np.full(len(rows), CLASS), phrases, np.stack(masks))


def _squashed(mask: np.ndarray, size: int) -> np.ndarray:
    """Bool `[height, width]` to `[size, size]`: where more than half of a pixel is covered."""
    small = Image.fromarray(255 * mask.astype(np.uint8)).resize((size, size), Image.Resampling.BOX)
    return np.asarray(small) > 127

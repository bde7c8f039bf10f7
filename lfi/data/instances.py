"""Objects with boxes and masks, in COCO's instances format (https://cocodataset.org/#format-data)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import COCO
from PIL import Image

from lfi.data.coco import refuse_missing
from lfi.data.coco_format import CocoInstances, read_instances
from lfi.data.cutjpeg import completed
from lfi.data.imagecache import cached
from lfi.data.imagefiles import FORMATS, is_there
from lfi.errors import DataError, reason


@dataclass(frozen=True, eq=False)
class Example:
    """An image with its objects.

    Attributes:
        image: uint8 `[height, width, 3]`, RGB.
        boxes: float32 `[object, 4]`: left, top, right, bottom in pixels.
        labels: int64 `[object]`, from 1 in the order of category ids; 0 is the background.
        masks: bool `[object, height, width]`.
        masked: bool `[object]`, whether its mask is known; else it is empty.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    masked: np.ndarray


class Instances:
    """The images of an instances file that hold an object, in the order of their ids; read when asked for.

    Crowds (`iscrowd` 1), boxes without an extent and images that cannot be decoded are left out: every image is decoded
    once beforehand, to a single pixel, and the cache of decoded images remembers which could be.

    Args:
        images: the folder that file names are relative to.
        annotations: the JSON file.
        limit: the largest share of images that may be unreadable.

    Attributes:
        categories: id and name of every category, by id.
        notes: what was left out or is missing.
        skipped: `path: reason` of every image that cannot be decoded.

    Raises:
        DataError: a file that cannot be read or lacks a box, images that are missing or of another size than the file
            says, too many that cannot be decoded, or none with an object.
    """

    def __init__(self, images: Path, annotations: Path, limit: float = 0.01):
        self.images, self.annotations = Path(images), Path(annotations)
        content, self.skipped = _decodable(_read(self.annotations), self.images, limit)
        self.notes = content.notes
        self._truth = truth = ground_truth(content, self.images)
        self.categories = tuple((entry["id"], entry["name"]) for entry in content.categories)
        self._label = {number: label for label, (number, _) in enumerate(self.categories, start=1)}
        found: dict[int, list[dict[str, Any]]] = {}
        for annotation in content.annotations:
            if not annotation["iscrowd"] and min(annotation["bbox"][2:]) > 0:
                found.setdefault(annotation["image_id"], []).append(annotation)
        self.entries = [truth.imgs[number] for number in sorted(truth.imgs) if number in found]
        self._objects = [found[entry["id"]] for entry in self.entries]
        if not self.entries:
            raise DataError(f"{self.annotations} has no image with an object, so there is nothing to learn from")

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, row: int) -> Example:
        """Raises DataError for an image that cannot be read."""
        entry, objects = self.entries[row], self._objects[row]
        path = self.images / entry["file_name"]
        image = np.array(picture(path))
        boxes = np.array([annotation["bbox"] for annotation in objects], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        return Example(
            image=image,
            boxes=boxes,
            labels=np.array([self._label[annotation["category_id"]] for annotation in objects]),
            masks=np.stack([self._mask(annotation, image.shape[:2]) for annotation in objects]).astype(bool),
            masked=np.array(["segmentation" in annotation for annotation in objects]),
        )

    def _mask(self, annotation: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray:
        return self._truth.annToMask(annotation) if "segmentation" in annotation else np.zeros(shape[:2], np.uint8)


def read_truth(annotations: Path, images: Path | None = None, *, masks: bool = False) -> COCO:
    """Ground truth in COCO's format, as `ground_truth` makes it.

    Raises:
        DataError: as `read_instances` and `ground_truth`.
    """
    return ground_truth(_read(Path(annotations)), images, masks=masks)


def _read(annotations: Path) -> CocoInstances:
    if not is_there(annotations):
        raise DataError(f"{annotations} cannot be read as COCO's instances: there is no such file")
    return read_instances(annotations)


def _decodable(content: CocoInstances, images: Path, limit: float) -> tuple[CocoInstances, tuple[str, ...]]:
    """Without the images that cannot be decoded and their objects; and `path: reason` of each of those images."""
    _refuse_missing_objects(content, images)
    there = [entry for entry in content.images if is_there(images / entry["file_name"])]
    if not there:
        return content, ()
    found = cached([images / entry["file_name"] for entry in there], 1, limit=limit, title="checking images")
    lost = {entry["id"] for entry in there} - {there[row]["id"] for row in found.kept}
    left = replace(
        content,
        images=[entry for entry in content.images if entry["id"] not in lost],
        annotations=[annotation for annotation in content.annotations if annotation["image_id"] not in lost],
        notes=(*content.notes, *found.notes),
    )
    return left, found.skipped


def _refuse_missing_objects(content: CocoInstances, images: Path) -> None:
    annotated = {annotation["image_id"] for annotation in content.annotations}
    refuse_missing([entry["file_name"] for entry in content.images if entry["id"] in annotated], images, content.path)


def ground_truth(content: CocoInstances, images: Path | None = None, *, masks: bool = False) -> COCO:
    """The index that COCO's tools work on.

    Args:
        images: the folder of the images, of which those with an annotation must be there; their sizes are compared with
            what the file says, or taken where it says nothing.
        masks: whether every object must have one.

    Raises:
        DataError: an object without a box (or mask), named; an id that is not a number; an image that is missing,
            cannot be read, or has another size than the file says.
    """
    for annotation in content.annotations:
        for name in ("bbox", "segmentation")[: 1 + masks]:
            if name not in annotation and not annotation["iscrowd"]:
                raise DataError(f"{content.path}: {annotation['named']} has no {name}; every object needs one")
    for entry in (*content.images, *content.categories):
        if not isinstance(entry["id"], int):
            raise DataError(f"{content.path} has the id {entry['id']!r}; whole numbers were expected")
    if images is not None:
        _refuse_missing_objects(content, images)
    dataset = {
        "images": [
            _sized(content.path, images, entry) if images and is_there(images / entry["file_name"]) else entry
            for entry in content.images
        ],
        "annotations": content.annotations,
        "categories": content.categories,
    }
    truth = COCO(dataset)
    truth.annotation_file = str(content.path)
    return truth


def _sized(annotations: Path, images: Path, entry: dict[str, Any]) -> dict[str, Any]:
    path = images / entry["file_name"]
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error
    stated = entry.get("width", width), entry.get("height", height)
    if stated != (width, height):
        raise DataError(f"{path} is {width} x {height}; {annotations.name} says {stated[0]} x {stated[1]}")
    return {**entry, "width": width, "height": height}


def picture(path: Path) -> Image.Image:
    """As annotated: not turned by what its EXIF says.

    Raises:
        DataError: it cannot be read.
    """
    try:
        image = Image.open(path, formats=FORMATS)
        try:
            return image.convert("RGB")
        except OSError:
            if image.format not in ("JPEG", "MPO"):
                raise
            return completed(path.read_bytes(), image.size)[0].convert("RGB")
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error

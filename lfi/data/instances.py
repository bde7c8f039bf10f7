"""Objects with boxes and masks, in COCO's instances format (https://cocodataset.org/#format-data)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import COCO
from PIL import Image

from lfi.data.coco import refuse_missing
from lfi.errors import DataError


@dataclass(frozen=True, eq=False)
class Example:
    """An image with its objects.

    Attributes:
        image: uint8 `[height, width, 3]`, RGB.
        boxes: float32 `[object, 4]`: left, top, right, bottom in pixels.
        labels: int64 `[object]`, from 1 in the order of category ids; 0 is the background.
        masks: bool `[object, height, width]`.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray


class Instances:
    """The images of an instances file that hold an object, in the order of their ids; read when asked for.

    Crowds (`iscrowd` 1) and boxes without an extent are left out.

    Args:
        images: the folder that file names are relative to.
        annotations: the JSON file.

    Attributes:
        categories: id and name of every category, by id.

    Raises:
        DataError: a file that cannot be read, images that are missing, or none with an object.
    """

    def __init__(self, images: Path, annotations: Path):
        self.images, self.annotations = Path(images), Path(annotations)
        self._truth = truth = read_truth(self.annotations)
        self.categories = tuple((number, str(truth.cats[number]["name"])) for number in sorted(truth.getCatIds()))
        self._label = {number: label for label, (number, _) in enumerate(self.categories, start=1)}
        found: dict[int, list[dict[str, Any]]] = {}
        for annotation in truth.anns.values():
            if not annotation.get("iscrowd") and min(annotation["bbox"][2:]) > 0:
                found.setdefault(annotation["image_id"], []).append(annotation)
        self.entries = [truth.imgs[number] for number in sorted(truth.imgs) if number in found]
        self._objects = [found[entry["id"]] for entry in self.entries]
        if not self.entries:
            raise DataError(f"{self.annotations} has no image with an object; there is nothing to learn from")
        refuse_missing([entry["file_name"] for entry in self.entries], self.images, self.annotations)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, row: int) -> Example:
        """Raises DataError for an image that cannot be read or has another size than its entry says."""
        entry, objects = self.entries[row], self._objects[row]
        path = self.images / entry["file_name"]
        image = np.array(picture(path))
        if image.shape[:2] != (entry["height"], entry["width"]):
            raise DataError(
                f"{path} is {image.shape[1]} x {image.shape[0]}; {self.annotations.name} says "
                f"{entry['width']} x {entry['height']}"
            )
        boxes = np.array([annotation["bbox"] for annotation in objects], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        return Example(
            image=image,
            boxes=boxes,
            labels=np.array([self._label[annotation["category_id"]] for annotation in objects]),
            masks=np.stack([self._truth.annToMask(annotation) for annotation in objects]).astype(bool),
        )


def read_truth(annotations: Path) -> COCO:
    """Ground truth in COCO's format.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return COCO(str(annotations))
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise DataError(f"{annotations} cannot be read as COCO's instances: {error}") from error


def picture(path: Path) -> Image.Image:
    """As annotated: not turned by what its EXIF says.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return Image.open(path).convert("RGB")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}") from error

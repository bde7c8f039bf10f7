"""COCO's instances JSON (https://cocodataset.org/#format-data), checked once, before anything starts.

What is wrong is refused, with the annotation's id. What is missing but dispensable, or can be derived, is noted: a box
from its mask, an area from its box, unique ids for those that several annotations share.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as run_lengths

from lfi.data.notes import Note, Notes
from lfi.errors import DataError, reason

SHARED_IDS = "annotations that share an id with others; each is read"
SHARED_NAMES = "categories that share a name, which are one class"
CROWDS = "crowd regions, which are not single objects"
NO_BOX = "objects without a box"
NO_MASK = "objects without a mask, of which a detector learns the box alone"
NO_EXTENT = "boxes without an extent, which teach a detector nothing"
NO_OBJECT = "images without an object, which teach a detector nothing"
NO_SIZE = "images whose size is not stated; it is read from their files"
THIN = "polygons of fewer than three points, which are not read"


@dataclass(frozen=True, eq=False)
class CocoInstances:
    """What a file holds, every entry whole.

    Attributes:
        images: with `id` and `file_name`; `width` and `height` where they are stated.
        annotations: with `id` (unique, from 1), `image_id`, `category_id`, `area`, `iscrowd` and `named`, what messages
            call them; `bbox` where there is a box or a polygon, `segmentation` where there is a mask.
        categories: with `id` and `name`, by id.
    """

    path: Path
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    categories: list[dict[str, Any]]
    notes: tuple[Note, ...]


def read_instances(path: Path) -> CocoInstances:
    """An instances file.

    Raises:
        DataError: it is missing, no JSON, or not of the format; names the entry.
    """
    content = read_lists(path, "images", "annotations", "categories")
    notes = Notes()
    images = [_image(path, number, entry, notes) for number, entry in enumerate(content["images"], start=1)]
    categories = [_category(path, number, entry) for number, entry in enumerate(content["categories"], start=1)]
    for what, entries in (("images", images), ("categories", categories)):
        number, times = Counter(entry["id"] for entry in entries).most_common(1)[0] if entries else (0, 0)
        if times > 1:
            raise DataError(f"{path}: {times} {what} have the id {number}; ids must be unique")
    sizes = {entry["id"]: (entry.get("height"), entry.get("width")) for entry in images}
    known = {entry["id"] for entry in categories}
    found = [
        _annotation(path, number, entry, sizes, known, notes)
        for number, entry in enumerate(content["annotations"], start=1)
    ]
    _number_anew(found, notes)
    names = {entry["id"]: entry["file_name"] for entry in images}
    for number in names.keys() - {each["image_id"] for each in found if not each["iscrowd"]}:
        notes.add(NO_OBJECT, names[number])
    return CocoInstances(path, images, found, sorted(categories, key=by_id), notes.all())


def by_id(entry: dict[str, Any]) -> tuple[bool, Any]:
    """What entries are sorted by: their ids, numbers before texts."""
    return isinstance(entry["id"], str), entry["id"]


def read_lists(file: Path, *lists: str) -> dict[str, list[Any]]:
    """A JSON object with lists of these names.

    Raises:
        DataError: it is missing, no JSON, or has no such list.
    """
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{file} is missing; a COCO-style JSON file was expected") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read as JSON: {reason(error)}") from None
    for name in lists:
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise DataError(f"{file} has no list {name!r}; COCO's JSON format was expected")
    return content


def _image(path: Path, number: int, entry: Any, notes: Notes) -> dict[str, Any]:
    called = _checked(path, f"image {number} of its list", entry, id=(int, str), file_name=str)
    size = {side: entry.get(side) for side in ("width", "height")}
    if not all(type(side) is int and side > 0 for side in size.values()):
        if not all(side is None or (type(side) is int and side > 0) for side in size.values()):
            stated = " x ".join(repr(side) for side in size.values())
            raise DataError(f"{path}: {called} is {stated} pixels; two whole numbers were expected")
        notes.add(NO_SIZE, entry["file_name"])
        return {name: value for name, value in entry.items() if name not in size}
    return dict(entry)


def _category(path: Path, number: int, entry: Any) -> dict[str, Any]:
    _checked(path, f"category {number} of its list", entry, id=(int, str), name=str)
    return dict(entry)


def _annotation(
    path: Path, number: int, entry: Any, sizes: dict[Any, tuple[Any, Any]], known: set[Any], notes: Notes
) -> dict[str, Any]:
    called = _checked(path, f"annotation {number} of its list", entry, image_id=(int, str), category_id=(int, str))
    if entry["image_id"] not in sizes:
        raise DataError(f"{path} annotates image {entry['image_id']}, which is not in its list of images ({called})")
    if entry["category_id"] not in known:
        raise DataError(
            f"{path} has an annotation of category {entry['category_id']}, which is not in its categories ({called})"
        )
    called = f"{called} (image {entry['image_id']})"
    box, area, mask = (entry.get(name) for name in ("bbox", "area", "segmentation"))
    found = {name: value for name, value in entry.items() if name not in ("bbox", "area", "segmentation")}
    if entry.get("iscrowd") not in (None, 0, 1):
        raise DataError(f"{path}: {called} has iscrowd {str(entry['iscrowd'])[:60]!r}; 0 or 1 was expected")
    found |= {"iscrowd": bool(entry.get("iscrowd")), "named": called}
    if box and not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
        raise DataError(f"{path}: {called} has the bbox {str(box)[:60]}; left, top, width and height were expected")
    if area is not None and not _is_number(area):
        raise DataError(f"{path}: {called} has the area {str(area)[:60]!r}; a number was expected")
    if mask:
        mask = _mask(path, called, mask, sizes[entry["image_id"]], notes)
    if not box and mask:
        box = _box_around(path, called, mask)
        notes.add("objects whose box is taken from their mask", called)
    if box:
        found["bbox"] = box
    if mask:
        found["segmentation"] = mask
    found["area"] = area if area is not None else box[2] * box[3] if box else 0
    if found["iscrowd"]:
        notes.add(CROWDS, called)
    else:
        for missing, what in ((not box, NO_BOX), (not mask, NO_MASK), (box and min(box[2:]) <= 0, NO_EXTENT)):
            if missing:
                notes.add(what, called)
    return found


def _mask(path: Path, called: str, mask: Any, size: tuple[Any, Any], notes: Notes) -> Any:
    """Polygons of three points and more, or run lengths of the image's size."""
    if isinstance(mask, dict):
        counts, stated = mask.get("counts"), mask.get("size")
        if not isinstance(counts, str | list) or not isinstance(stated, list) or len(stated) != 2:
            raise DataError(
                f"{path}: the segmentation of {called} has no `counts` and `size`; run lengths were expected"
            )
        if None not in size and tuple(stated) != size:
            raise DataError(f"{path}: the segmentation of {called} is {stated} pixels, its image {list(size)}")
        if isinstance(counts, list) and not all(type(count) is int and count >= 0 for count in counts):
            raise DataError(f"{path}: the run lengths of {called} are not all whole numbers from 0")
        if isinstance(counts, list) and sum(counts) != stated[0] * stated[1]:
            raise DataError(f"{path}: the run lengths of {called} do not add up to {stated[0]} x {stated[1]} pixels")
        return mask
    if isinstance(mask, list) and all(map(_is_number, mask)):
        mask = [mask]  # one polygon, without the list around it
    if not isinstance(mask, list) or not all(
        isinstance(part, list) and not len(part) % 2 and all(map(_is_number, part)) for part in mask
    ):
        raise DataError(f"{path}: the segmentation of {called} is neither polygons (x, y, x, y, ...) nor run lengths")
    kept = [part for part in mask if len(part) >= 6]
    if len(kept) < len(mask):
        notes.add(THIN, called, len(mask) - len(kept))
    return kept


def _box_around(path: Path, called: str, mask: Any) -> list[float]:
    """Left, top, width and height of polygons or run lengths."""
    if isinstance(mask, list):
        points = np.concatenate([np.reshape(part, (-1, 2)) for part in mask])
        low, high = points.min(0), points.max(0)
        return [*low.tolist(), *(high - low).tolist()]
    try:
        packed = run_lengths.frPyObjects(mask, *mask["size"]) if isinstance(mask["counts"], list) else mask
        box: list[float] = run_lengths.toBbox(packed).tolist()
    except (RuntimeError, TypeError):
        raise DataError(f"{path}: the run lengths of {called} cannot be read") from None
    return box


def _number_anew(annotations: list[dict[str, Any]], notes: Notes) -> None:
    """Unique ids where some are shared, missing or 0, which the evaluation takes for none."""
    times = Counter(each.get("id") for each in annotations)
    if any(count > 1 or type(number) is not int or number < 1 for number, count in times.items()):
        for number, each in enumerate(annotations, start=1):
            if each.get("id") is not None and times[each["id"]] > 1:
                notes.add(SHARED_IDS, f"annotation {each['id']}")
            each["id"] = number


def _checked(path: Path, called: str, entry: Any, **kinds: type | tuple[type, ...]) -> str:
    """What to call an entry. Raises DataError where it is not an object, or lacks one of these, or has it otherwise."""
    if not isinstance(entry, dict):
        raise DataError(f"{path} is not COCO's instances format: {called} is not an object")
    if isinstance(entry.get("id"), int | str):
        called = f"{called.split()[0]} {entry['id']}"
    for name, kind in kinds.items():
        if name not in entry:
            raise DataError(f"{path} is not COCO's instances format: an entry lacks {name!r} ({called})")
        if not isinstance(entry[name], kind):
            raise DataError(f"{path} is not COCO's instances format: {name} of {called} is {str(entry[name])[:60]!r}")
    return called


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)

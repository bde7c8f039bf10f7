"""COCO-style JSON: which classes are in an image, and what is said of it.

Instances (`images`, `annotations`, `categories`) give the multi-label target, captions (`annotations` with `caption`)
the text; the format is that of https://cocodataset.org/#format-data. A region that stands for a crowd (`iscrowd` 1)
does not make its class present: COCO's own evaluation ignores such regions.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from lfi.data.decode import Fit
from lfi.data.imagecache import cached
from lfi.data.imageset import ImageSet
from lfi.data.prompts import listed
from lfi.errors import DataError


def coco(
    images: Path,
    annotations: Path,
    *,
    size: int,
    captions: Path | None = None,
    prompt: str = "a photo of {}",
    limit: float = 0.01,
    fit: Fit = "squash",
) -> ImageSet:
    """Images of an instances file, in its order, with a multi-label target each.

    Args:
        images: the folder that the file names are relative to.
        annotations: instances JSON. Classes count in the order of category ids, which may have gaps.
        size: side in pixels.
        captions: captions JSON; the caption of an image is the one with the lowest id. Captions of other images are
            passed over, so that one file serves several subsets.
        prompt: makes the caption of an image that has none, by listing its classes: `a photo of a cat and a person`.
        limit: the largest share of files that may be damaged. A file that is *missing* is always an error.
        fit: `squash` or `crop`.

    Returns:
        The set. `words` are the names of the classes present, the largest total area first; `ids` the file names.

    Raises:
        DataError: for a file that is missing or not of the format, an annotation of an unknown image or category, or
            too many damaged images.
    """
    images, annotations = Path(images), Path(annotations)
    try:
        content = _read(annotations, "images", "annotations", "categories")
        numbers = [entry["id"] for entry in content["images"]]
        names = [entry["file_name"] for entry in content["images"]]
        categories = sorted((category["id"], category["name"]) for category in content["categories"])
        areas = _areas(content["annotations"], numbers, [number for number, _ in categories], annotations)
    except (KeyError, TypeError) as error:
        raise DataError(f"{annotations} is not COCO's instances format: an entry lacks {error}") from None
    said = _captions(Path(captions)) if captions else {}
    files = [images / name for name in names]
    refuse_missing(names, images, annotations)
    decoded = cached(files, size, fit=fit, limit=limit, title=annotations.stem)

    classes = tuple(name for _, name in categories)
    words = [tuple(classes[column] for column in _largest_first(row)) for row in areas]
    texts = [
        said.get(number) or (prompt.replace("{}", listed(present)) if present else "")
        for number, present in zip(numbers, words, strict=True)
    ]
    return ImageSet(
        images=decoded.images,
        ids=tuple(names[row] for row in decoded.kept),
        classes=classes,
        labels=(areas >= 0).astype(np.float32)[decoded.kept],
        captions=tuple(texts[row] for row in decoded.kept),
        words=tuple(words[row] for row in decoded.kept),
        skipped=decoded.skipped,
    )


def _read(file: Path, *lists: str) -> dict[str, list[Any]]:
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{file} is missing; a COCO-style JSON file was expected") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as JSON: {error}") from None
    for name in lists:
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise DataError(f"{file} has no list {name!r}; COCO's JSON format was expected")
    return content


def _areas(regions: list[Any], images: list[int], categories: list[int], file: Path) -> np.ndarray:
    """Total area of each class in each image in square pixels, float64 `[n, class]`; -1 where it is absent."""
    row = {number: index for index, number in enumerate(images)}
    column = {number: index for index, number in enumerate(categories)}
    areas = np.full((len(images), len(categories)), -1.0)
    for region in regions:
        image, category = region["image_id"], region["category_id"]
        if image not in row:
            raise DataError(f"{file} annotates image {image}, which its list of images does not have")
        if category not in column:
            raise DataError(f"{file} has an annotation of category {category}, which its categories do not have")
        if region.get("iscrowd"):
            continue
        at = row[image], column[category]
        box = region.get("bbox") or (0, 0, 0, 0)
        areas[at] = max(areas[at], 0) + region.get("area", box[2] * box[3])
    return areas


def _largest_first(areas: np.ndarray) -> list[int]:
    """The classes present, by area; the earlier class first where areas are equal."""
    return [column for column in np.argsort(-areas, kind="stable").tolist() if areas[column] >= 0]


def _captions(file: Path) -> dict[int, str]:
    try:
        entries = sorted(_read(file, "annotations")["annotations"], key=lambda entry: entry["id"], reverse=True)
        return {entry["image_id"]: " ".join(entry["caption"].split()) for entry in entries}  # the lowest id stays
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is not COCO's captions format: an entry lacks {error}") from None


def refuse_missing(names: list[str], folder: Path, table: Path) -> None:
    """Raises DataError, with the first of them, if files that `table` names are not in the folder."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        more = ", ..." if len(missing) > 3 else ""
        raise DataError(
            f"{len(missing)} of the {len(names)} images of {table.name} are not in {folder}: "
            f"{', '.join(missing[:3])}{more}"
        )

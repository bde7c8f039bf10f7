"""COCO-style JSON: the classes in an image, and its captions.

Instances (`images`, `annotations`, `categories`) give the multi-label target, captions (`annotations` with `caption`)
the text; the format is that of https://cocodataset.org/#format-data. A region that stands for a crowd (`iscrowd` 1)
does not make its class present: COCO's own evaluation ignores such regions.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from lfi.data.coco_format import SHARED_NAMES, CocoInstances, by_id, read_instances, read_lists
from lfi.data.decode import Fit
from lfi.data.imagecache import cached
from lfi.data.imagefiles import is_there
from lfi.data.imageset import ImageSet
from lfi.data.listing import Listing
from lfi.data.notes import Notes
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
        annotations: instances JSON. Classes count in the order of category ids, which may have gaps; categories of the
            same name are one class.
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
    content = read_instances(annotations)
    notes = Notes(content.notes)
    numbers = [entry["id"] for entry in content.images]
    names = [entry["file_name"] for entry in content.images]
    for name, times in Counter(category["name"] for category in content.categories).items():
        if times > 1:
            notes.add(SHARED_NAMES, name, times)
    areas = _areas(content)
    said = _captions(Path(captions), numbers, notes) if captions else {}
    files = [images / name for name in names]
    refuse_missing(names, images, annotations)
    decoded = cached(files, size, fit=fit, limit=limit, title=annotations.stem)

    classes = _classes(content)
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
        notes=(*notes.all(), *decoded.notes),
    )


def list_coco_captions(file: Path, folder: Path) -> Listing:
    """Images of a captions file that are said anything of, in its order, unread; each with its first caption.

    Args:
        folder: that the file names are relative to.

    Raises:
        DataError: the file is missing or not of the format, says nothing, or names images that are missing.
    """
    notes = Notes()
    entries = read_lists(file, "images")["images"]
    try:
        names = {entry["id"]: str(entry["file_name"]) for entry in entries}
    except (KeyError, TypeError) as error:
        raise DataError(f"{file} is not COCO's captions format: an image lacks {error}") from None
    said = _captions(file, list(names), notes)
    told = [number for number in names if number in said]
    for number in names:
        if number not in said:
            notes.add("images left out, since no caption says what they show", names[number])
    if not told:
        raise DataError(f"{file} has no caption of any of its images")
    refuse_missing([names[number] for number in told], folder, file)
    return Listing(
        files=tuple(folder / names[number] for number in told),
        ids=tuple(names[number] for number in told),
        classes=(),
        labels=np.full(len(told), -1, np.int64),
        captions=tuple(said[number] for number in told),
        words=((),) * len(told),
        notes=notes.all(),
    )


def _classes(content: CocoInstances) -> tuple[str, ...]:
    """The names of the categories, each once, by the first id that has it."""
    return tuple(dict.fromkeys(category["name"] for category in content.categories))


def _areas(content: CocoInstances) -> np.ndarray:
    """Total area of each class in each image in square pixels, float64 `[n, class]`; -1 where it is absent."""
    row = {entry["id"]: index for index, entry in enumerate(content.images)}
    place = {name: index for index, name in enumerate(_classes(content))}
    column = {category["id"]: place[category["name"]] for category in content.categories}
    areas = np.full((len(row), len(place)), -1.0)
    for region in content.annotations:
        if not region["iscrowd"]:
            at = row[region["image_id"]], column[region["category_id"]]
            areas[at] = max(areas[at], 0) + abs(region["area"])  # some tools give outlines a direction, areas a sign
    return areas


def _largest_first(areas: np.ndarray) -> list[int]:
    """The classes present, by area; the earlier class first where areas are equal."""
    return [column for column in np.argsort(-areas, kind="stable").tolist() if areas[column] >= 0]


def _captions(file: Path, images: list[Any], notes: Notes) -> dict[Any, str]:
    """The first caption of every image, by its id."""
    said: dict[Any, str] = {}
    wanted = set(images)
    try:
        entries = sorted(read_lists(file, "annotations")["annotations"], key=by_id)
        for entry in entries:
            caption, image = " ".join((entry["caption"] or "").split()), entry["image_id"]
            if image not in wanted:
                notes.add("captions of images that are not in the instances", file.name)
            elif not caption:
                notes.add("captions that say nothing", f"caption {entry['id']}")
            elif image in said:
                notes.add("captions after the first of an image, which are not read", file.name)
            else:
                said[image] = caption
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is not COCO's captions format: an entry lacks {error}") from None
    return said


def refuse_missing(names: list[str], folder: Path, table: Path) -> None:
    """Raises DataError, with the first of them, if files that `table` names are not in the folder."""
    missing = [name for name in names if not is_there(folder / name)]
    if missing:
        more = ", ..." if len(missing) > 3 else ""
        raise DataError(
            f"{len(missing)} of the {len(names)} images of {table.name} are not in {folder}: "
            f"{', '.join(missing[:3])}{more}"
        )

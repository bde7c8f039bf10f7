"""TinyImageNet in its stock layout: 200 classes, 500 training and 50 validation images of 64 px each, with boxes.

    wnids.txt                                      the classes, in the order that labels count
    words.txt                                      wnid, tab, synonyms separated by commas
    train/WNID/images/WNID_0.JPEG                  train/WNID/WNID_boxes.txt: file, left, top, right, bottom
    val/images/val_0.JPEG                          val/val_annotations.txt: file, wnid, left, top, right, bottom

Boxes count pixels of the 64 px image, right and bottom inclusive; here they are open. The test split has no labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from lfi.data.imagecache import cached
from lfi.data.imagefiles import image_files
from lfi.data.imageset import ImageSet
from lfi.data.notes import Notes
from lfi.data.prompts import fill
from lfi.errors import DataError, reason

SIDE = 64
"""Side of the stock images, in which the boxes are given."""

SPLITS = ("train", "val")


def tiny_imagenet(
    root: Path,
    split: Literal["train", "val"],
    *,
    size: int = SIDE,
    prompt: str = "a photo of a {}",
    limit: float = 0.01,
) -> ImageSet:
    """TinyImageNet's training or validation images.

    Args:
        root: the folder that holds `wnids.txt`.
        split: `train` or `val`.
        size: side in pixels; boxes are in pixels of it.
        prompt: makes the captions; the only word asked for is the class.
        limit: the largest share of files that may be unreadable.

    Raises:
        DataError: for a file of the layout that is missing or damaged, an image whose class is unknown, an unknown
            split, or too many unreadable images.
    """
    root = Path(root)
    if split not in SPLITS:
        raise DataError(f"TinyImageNet has no labelled split {split!r}; one of {', '.join(SPLITS)}")
    wnids = wnids_of(root)
    classes = _class_names(wnids, root / "words.txt")
    index = {wnid: label for label, wnid in enumerate(wnids)}
    notes = Notes()
    files, labels, boxes = _train(root, index, notes) if split == "train" else _validation(root, index, notes)

    decoded = cached(files, size, limit=limit, title=f"TinyImageNet {split}")
    labels, boxes = labels[decoded.kept], boxes[decoded.kept] * (size / SIDE)
    names = [classes[label] for label in labels]
    return ImageSet(
        images=decoded.images,
        ids=tuple(files[row].relative_to(root).as_posix() for row in decoded.kept),
        classes=classes,
        labels=labels,
        captions=tuple(fill(prompt, name) for name in names),
        words=tuple((name,) for name in names),
        boxes=boxes,
        skipped=decoded.skipped,
        notes=(*notes.all(), *decoded.notes),
    )


def wnids_of(root: Path) -> list[str]:
    """WordNet ids of the classes, in the order in which labels count.

    Raises:
        DataError: `wnids.txt` is missing or cannot be read.
    """
    return [line.strip() for line in _lines(Path(root) / "wnids.txt")]


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        raise DataError(f"{file} is missing; the folder that holds TinyImageNet's wnids.txt was expected") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {reason(error)}") from None


def _class_names(wnids: list[str], words: Path) -> tuple[str, ...]:
    """The first synonym of each class that no class before it has; its wnid is added where all are taken."""
    synonyms = dict(line.split("\t", 1) for line in _lines(words) if "\t" in line)
    names: dict[str, None] = {}
    for wnid in wnids:
        if wnid not in synonyms:
            raise DataError(f"{words} does not name class {wnid} of wnids.txt")
        choices = [name.strip() for name in synonyms[wnid].split(",")]
        names[next((name for name in choices if name not in names), f"{choices[0]} ({wnid})")] = None
    return tuple(names)


def _train(root: Path, index: dict[str, int], notes: Notes) -> tuple[list[Path], np.ndarray, np.ndarray]:
    files: list[Path] = []
    labels, boxes = [], []
    for wnid, label in index.items():
        folder = root / "train" / wnid
        found = image_files(folder / "images", notes)
        if not found:
            raise DataError(f"{folder / 'images'} holds no images; train/WNID/images/*.JPEG was expected")
        table = folder / f"{wnid}_boxes.txt"
        known = {}
        for line in _lines(table):
            name, *corners = line.split("\t")
            known[name] = _box(corners, table, line)
        for file in found:
            if file.name not in known:
                notes.add("images without a box", str(file))
        for name in sorted(known.keys() - {file.name for file in found}):
            notes.add("boxes of images that are not there", f"{table}: {name}")
        files += found
        labels += [label] * len(found)
        boxes += [known.get(file.name, [np.nan] * 4) for file in found]
    return files, np.array(labels, np.int64), np.array(boxes, np.float32)


def _validation(root: Path, index: dict[str, int], notes: Notes) -> tuple[list[Path], np.ndarray, np.ndarray]:
    table = root / "val" / "val_annotations.txt"
    files, labels, boxes = [], [], []
    for line in _lines(table):
        name, wnid, *corners = (*line.split("\t"), "")[:6]
        if wnid not in index:
            raise DataError(f"{table} gives {name} the class {wnid!r}, which is not in wnids.txt")
        files.append(root / "val" / "images" / name)
        labels.append(index[wnid])
        boxes.append(_box(corners, table, line))
    listed = {file.name for file in files}
    for file in image_files(root / "val" / "images", notes):
        if file.name not in listed:
            notes.add("images that val_annotations.txt does not list", str(file))
    return files, np.array(labels, np.int64), np.array(boxes, np.float32)


def _box(corners: list[str], table: Path, line: str) -> list[float]:
    """Left, top, right, bottom; the last two made open."""
    try:
        left, top, right, bottom = (float(corner) for corner in corners)
    except ValueError:
        raise DataError(f"{table} has a line {line!r}; a box of four numbers was expected") from None
    return [left, top, right + 1, bottom + 1]

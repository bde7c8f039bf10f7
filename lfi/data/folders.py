"""A folder per class: `root/CLASS/*`, the layout of torchvision's `ImageFolder`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lfi.data.decode import Fit
from lfi.data.imagefiles import HIDDEN, NO_IMAGES, image_files, is_image
from lfi.data.imageset import ImageSet
from lfi.data.listing import Listing
from lfi.data.notes import Notes
from lfi.data.prompts import fill
from lfi.errors import DataError

ASIDE = "images outside the class folders"

_SPLITS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation", "crossval", "full"})


def class_folders(
    root: Path,
    *,
    size: int,
    prompt: str = "a photo of a {}",
    limit: float = 0.01,
    fit: Fit = "squash",
) -> ImageSet:
    """All images below the folders of `root`, which are the classes, sorted by name.

    Args:
        root: the folder that holds a folder per class.
        size: side in pixels.
        prompt: makes the captions; the only word asked for is the class. Underscores in a folder's name read as spaces.
        limit: the largest share of files that may be unreadable.
        fit: `squash` or `crop`.

    Raises:
        DataError: for a root that is missing or not laid out so, or too many unreadable images.
    """
    return list_folders(root, prompt=prompt).read(size, fit=fit, limit=limit, title=Path(root).name)


def list_folders(root: Path, *, prompt: str = "a photo of a {}") -> Listing:
    """What `class_folders` reads, unread; arguments and errors are the same."""
    root = Path(root)
    files: list[Path] = []
    labels: list[int] = []
    notes = Notes()
    kinds = subfolders(root, notes)
    if are_splits(kinds) and any(subfolders(kind) for kind in kinds):
        train = next((kind for kind in kinds if kind.name.lower().startswith("train")), kinds[0])
        others = [f"{kind} as data.validation_root" for kind in kinds if kind.name.lower().startswith("val")]
        raise DataError(
            f"{root} holds splits ({', '.join(kind.name for kind in kinds)}) and not classes; "
            f"name {' and '.join([f'{train} in its place', *others])}"
        )
    for label, kind in enumerate(kinds):
        found = image_files(kind, notes)
        if not found:
            raise DataError(f"{kind} has no images in it; CLASS/* with at least one image was expected")
        files += found
        labels += [label] * len(found)
    if not files:
        raise DataError(f"{root} has no folders in it; CLASS/* was expected")
    classes = class_names(kind.name for kind in kinds)
    names = [classes[label] for label in labels]
    return Listing(
        files=tuple(files),
        ids=tuple(file.relative_to(root).as_posix() for file in files),
        classes=classes,
        labels=np.array(labels, np.int64),
        captions=tuple(fill(prompt, name) for name in names),
        words=tuple((name,) for name in names),
        notes=notes.all(),
    )


def subfolders(folder: Path, notes: Notes | None = None) -> list[Path]:
    """The folders in a folder, sorted; hidden ones are left out.

    Args:
        notes: what lies there besides is noted in it.

    Raises:
        DataError: where there is no such folder.
    """
    notes = Notes() if notes is None else notes
    found = []
    try:
        for each in sorted(folder.iterdir()):
            if each.name.startswith("."):
                notes.add(HIDDEN, str(each))
            elif each.is_dir():
                found.append(each)
            else:
                notes.add(ASIDE if is_image(each) else NO_IMAGES, str(each))
    except OSError:
        raise DataError(f"cannot read {folder} as a folder") from None
    return found


def are_splits(folders: Sequence[Path]) -> bool:
    """Whether these are all named as the splits of a data set are: `train`, `val` and so on."""
    return bool(folders) and {folder.name.lower() for folder in folders} <= _SPLITS


def refuse_not_utf8(folders: Iterable[str], what: str) -> None:
    """Raises DataError for a folder whose name is not UTF-8, since captions hold the name; `what` it is a folder of."""
    for name in folders:
        if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
            raise DataError(f"the {what} folder {name!r} has a name that is not UTF-8; rename it")


def class_names(folders: Iterable[str]) -> tuple[str, ...]:
    """Names of folders as people read them: underscores are spaces.

    Raises:
        DataError: where two of them read the same, or a name is not UTF-8.
    """
    names = [folder.replace("_", " ").strip() for folder in folders]
    refuse_not_utf8(names, "class")
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise DataError(f"several class folders are called {twice[0]!r}; rename all but one of them")
    return tuple(names)

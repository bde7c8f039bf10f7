"""Domain generalisation: PACS, VLCS and any `root/DOMAIN/CLASS/*`, and DomainBed's leave-one-domain-out splits.

PACS (Li et al., ICCV 2017): art_painting, cartoon, photo, sketch; 7 classes. VLCS (Fang et al., ICCV 2013): Caltech101,
LabelMe, SUN09, VOC2007, all photographs; 5 classes. Some copies of VLCS have `train`, `test`, `crossval` and `full`
folders between domain and class: `full` is read where it exists, else all the others together.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lfi.data.folders import are_splits, class_names, refuse_not_utf8, subfolders
from lfi.data.imagecache import cached
from lfi.data.imagefiles import image_files
from lfi.data.imageset import ImageSet
from lfi.data.notes import Notes
from lfi.data.prompts import article, fill
from lfi.errors import DataError

PHRASES = {
    "art_painting": "an art painting",
    "cartoon": "a cartoon",
    "photo": "a photo",
    "sketch": "a sketch",
    "Caltech101": "a photo",
    "LabelMe": "a photo",
    "SUN09": "a photo",
    "VOC2007": "a photo",
}
"""What a picture of a domain is called; of another domain, its folder's name with an article."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images to learn from, to select on, and to report."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet


def domain_folders(
    root: Path,
    *,
    size: int,
    prompt: str = "{domain} of a {}",
    limit: float = 0.01,
) -> ImageSet:
    """All domains of a data set, ordered by domain, class and file as torchvision's `ImageFolder` orders them.

    Args:
        root: the folder that holds a folder per domain.
        size: side in pixels, to which images are squashed.
        prompt: makes the captions, e.g. `an art painting of a dog`; the only word asked for is the class.
        limit: the largest share of files that may be unreadable.

    Raises:
        DataError: for a root that is missing or not laid out so, or too many unreadable images.
    """
    root = Path(root)
    files: list[Path] = []
    domains: list[str] = []
    folders: list[str] = []
    notes = Notes()
    for domain in subfolders(root, notes):
        for parent in _class_parents(domain, notes):
            for kind in subfolders(parent, notes):
                found = image_files(kind, notes)
                if not found:
                    notes.add("class folders without images", f"{domain.name}/{kind.name}")
                files += found
                folders += [kind.name] * len(found)
                domains += [domain.name] * len(found)
        if domain.name not in domains:
            notes.add("domains without images", domain.name)
    refuse_not_utf8(dict.fromkeys(domains), "domain")
    if not files:
        raise DataError(f"{root} holds no images; DOMAIN/CLASS/* was expected")
    order = sorted(range(len(files)), key=lambda row: (domains[row], folders[row]))  # stable: files stay in order
    decoded = cached([files[row] for row in order], size, limit=limit, title=root.name)

    kept = [order[row] for row in decoded.kept]
    known = sorted(set(folders))
    classes = class_names(known)
    labels = np.array([known.index(folders[row]) for row in kept], np.int64)
    names = [classes[label] for label in labels]
    return ImageSet(
        images=decoded.images,
        ids=tuple(files[row].relative_to(root).as_posix() for row in kept),
        classes=classes,
        labels=labels,
        captions=tuple(fill(prompt, name, phrase(domains[row])) for row, name in zip(kept, names, strict=True)),
        words=tuple((name,) for name in names),
        domains=tuple(domains[row] for row in kept),
        skipped=decoded.skipped,
        notes=(*notes.all(), *decoded.notes),
    )


def stored_side(root: Path) -> int:
    """Longest side in pixels of the first image below `root` that can be read, as it lies on disk; 0 without one."""
    for file in image_files(root):
        with suppress(OSError), Image.open(file) as image:
            return max(image.size)
    return 0


def phrase(domain: str) -> str:
    """What a picture of a domain is called, with its article: `art_painting` is `an art painting`."""
    name = domain.replace("_", " ")
    return PHRASES.get(domain, f"{article(name)} {name}")


def leave_one_out(images: ImageSet, held_out: str, *, seed: int, validation: float = 0.2) -> Split:
    """Learn from all domains but one, select on a fifth of those, report on the one held out.

    The split is DomainBed's (Gulrajani & Lopez-Paz, ICLR 2021, `split_dataset` with `holdout_fraction` 0.2 and
    `trial_seed`): the rows of domain `i` of all, sorted, are shuffled by NumPy's Mersenne Twister seeded with the MD5
    of the text `(seed, i)`, modulo 2^31; the first fifth, rounded down, is for validation. With the same files, none
    skipped, the same images are held out as there, except that all of the held-out domain is tested here (DomainBed
    reports on 80 % of it).

    Raises:
        DataError: for a set without domains, with one alone, or a domain it does not have.
    """
    domains = sorted(set(images.domains))
    if len(domains) < 2:
        raise DataError(f"leaving a domain out needs at least 2 domains; this set has {len(domains)}")
    if held_out not in domains:
        raise DataError(f"unknown domain {held_out!r}; one of {', '.join(domains)}")
    where = np.array(images.domains)
    train: list[int] = []
    select: list[int] = []
    for index, domain in enumerate(domains):
        if domain == held_out:
            continue
        rows = np.flatnonzero(where == domain).tolist()
        count = int(len(rows) * validation)
        np.random.RandomState(_seed(seed, index)).shuffle(rows)
        select += sorted(rows[:count])
        train += sorted(rows[count:])
    return Split(images.take(train), images.take(select), images.take(np.flatnonzero(where == held_out)))


def _seed(*values: int) -> int:
    return int(hashlib.md5(str(values).encode()).hexdigest(), 16) % 2**31


def _class_parents(domain: Path, notes: Notes) -> list[Path]:
    """The folders that hold a domain's classes: itself, or the splits within it."""
    beside = Notes()
    inside = subfolders(domain, beside)
    if not are_splits(inside):
        return [domain]  # what lies next to its classes is noted with them
    notes.extend(beside.all())
    full = [each for each in inside if each.name == "full"]
    if full:
        for each in inside:
            if each not in full:
                notes.add("folders of splits next to `full`", str(each))
    return full or inside

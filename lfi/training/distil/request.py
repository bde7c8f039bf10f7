"""What is asked for: a teacher, images with captions or class folders, and how long it may take."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lfi.data.captions import list_captions
from lfi.data.coco import list_coco_captions
from lfi.data.folders import list_folders
from lfi.data.imageset import ImageSet
from lfi.data.listing import Listing
from lfi.data.notes import Notes
from lfi.errors import ConfigError, DataError, UnknownModelError, WordsError, reason
from lfi.hub import is_hub, local_folder
from lfi.shipped import shipped_teacher
from lfi.teachers import CoCaTeacher, GenerativeTeacher, load_teacher
from lfi.teachers.base import BaseTeacher
from lfi.teachers.loading import CONFIG, WEIGHTS, is_teacher, save_named
from lfi.teachers.words import WordTokenizer
from lfi.training.config import DataConfig, TeacherSource
from lfi.training.sources import labelled, labelled_by_words, said
from lfi.training.targets import judges_presence

FEWEST = 16
"""Images that something can be learned and chosen on."""
_CAPTIONLESS = "images left out, since no caption says what they show"


@dataclass(frozen=True)
class Request:
    """What `lfi distil` was called with.

    Attributes:
        teacher: an open_clip `NAME:TAG` (or `NAME:TAG:FILE`), a folder (of a BLIP or a LLaVA, too), or the name of a
            teacher that comes with LFI.
        images: folder of the images: `CLASS/*` where there are no captions.
        captions: CSV, TSV, JSONL, or COCO's captions JSON, whose paths are relative to `images`; `""` for none.
        hours: that all of it may take on this machine; the largest student for which that is enough is trained.
        student: one of `SIZES` by name, whatever it takes; `""` to choose.
        epochs: 0 to choose.
        seed: of the split, and of every student.
    """

    teacher: str
    images: Path
    captions: Path | None = None
    hours: float = 12.0
    student: str = ""
    epochs: int = 0
    seed: int = 0

    def record(self) -> dict[str, Any]:
        """What a run that goes on must have been asked for, too."""
        return {
            "teacher": self.teacher,
            "images": os.path.abspath(self.images),
            "captions": os.path.abspath(self.captions) if self.captions else "",
            "student": self.student,
            "epochs": self.epochs,
            "seed": self.seed,
        }

    def listing(self) -> Listing:
        """The images and what is said of them, unread.

        Raises:
            DataError: they are missing, not laid out so, or too few.
        """
        if self.captions is None:
            try:
                listing = list_folders(self.images)
            except DataError as error:
                raise DataError(f"{error}; images without class folders need --captions FILE") from None
        elif not self.images.is_dir():
            raise DataError(f"cannot read {self.images} as a folder")
        elif self.captions.suffix.lower() == ".json":
            listing = list_coco_captions(self.captions, self.images)
        else:
            listing = _captioned(list_captions(self.captions, self.images))
        if len(listing.once) < FEWEST:
            raise DataError(f"{self.images} has {len(listing.once)} images; at least {FEWEST} were expected")
        return listing

    def data(self, pixels: int) -> DataConfig:
        """As a run's configuration names the images, at this size."""
        kind = "captions" if self.captions else "folders"
        return DataConfig(source=kind, root=str(self.captions or self.images), size=pixels, crop=0.6, seed=self.seed)

    def source(self, teacher: BaseTeacher, folder: Path | str, layer: int = 0) -> TeacherSource:
        """How this teacher is asked about these images.

        A CoCa of other people's, a BLIP or a LLaVA reads whole captions, as it was trained to; a CoCa of ours was
        trained to answer single words, and a CLIP compares each of them with the patches.
        """
        writes = isinstance(teacher, CoCaTeacher | GenerativeTeacher)
        reads = self.captions is not None and writes and not judges_presence(teacher)
        bare = isinstance(teacher.tokenizer, WordTokenizer) or isinstance(teacher, GenerativeTeacher)
        return TeacherSource(
            model=str(folder),
            maps="captions" if reads else "statements",
            layers=(layer,),
            prompt="{}" if bare else "a photo of a {}",
        )


def _captioned(listing: Listing) -> Listing:
    rows = [row for row, caption in enumerate(listing.captions) if caption]
    if len(rows) == len(listing):
        return listing
    notes = Notes(listing.notes)
    for row in sorted(set(range(len(listing))) - set(rows)):
        notes.add(_CAPTIONLESS, listing.ids[row])
    return replace(listing.take(rows), notes=notes.all())


def named(text: str) -> tuple[str, str | None]:
    """A teacher as `load_teacher` takes it: name or folder, and the tag or file of a name.

    Raises:
        UnknownModelError: it is neither.
    """
    if is_hub(text):
        return str(local_folder(text)), None
    folder = Path(text)
    if is_teacher(folder / "teacher"):
        return str(folder / "teacher"), None
    if folder.is_dir():
        return text, None
    if shipped := shipped_teacher(text):
        return str(shipped), None
    name, _, tag = text.partition(":")
    if not name or not tag:
        raise UnknownModelError(
            f"--teacher is {text!r}; an open_clip NAME:TAG, such as coca_ViT-B-32:laion2b_s13b_b90k, or a teacher's "
            "folder was expected"
        )
    return name, tag


def teacher_folder(text: str, runs: Path) -> Path:
    """Where the teacher lies: its own folder, or that of `runs` into which one with a name is written.

    Raises:
        UnknownModelError, UnsupportedModelError, CheckpointError: as `load_teacher`.
        ConfigError: it cannot be written.
    """
    name, tag = named(text)
    if tag is None:
        return Path(name)
    kept = runs / "teacher"
    if not ((kept / CONFIG).is_file() and (kept / WEIGHTS).is_file()):
        part = runs / "teacher.part"
        save_named(name, tag, part)
        try:
            part.replace(kept)
        except OSError as error:
            raise ConfigError(f"cannot write to {kept}: {reason(error)}") from error
    return kept


def asked_teacher(text: str, device: str) -> BaseTeacher:
    """The teacher, loaded; nothing is written."""
    name, tag = named(text)
    return load_teacher(name, tag, device=device)


def to_learn_from(images: ImageSet, teacher: BaseTeacher, fewest: int = 2) -> ImageSet:
    """A set as students are trained on it, with no word that the teacher does not know.

    Args:
        fewest: captions that a word must occur in to be a label.

    Raises:
        UnknownWordError, WordsError: the teacher cannot be asked about a class.
        DataError: it knows no word of the captions, or none of those it knows is frequent enough.
    """
    if images.classes:
        teacher.check_prompts(images.classes)
        return labelled(images)
    rows = [said(caption) for caption in images.captions]
    known = {word: _knows(teacher, word) for word in sorted({word for row in rows for word in row})}
    if not any(known.values()):
        raise DataError(f"{teacher.name} knows no word of the captions")
    notes = Notes(images.notes)
    for row in rows:
        for word in row:
            if not known[word]:
                notes.add("words that the teacher does not know, which it is not asked about", word)
    words = tuple(tuple(word for word in row if known[word]) for row in rows)
    return labelled_by_words(replace(images, notes=notes.all()), fewest=fewest, asked=words)


def _knows(teacher: BaseTeacher, word: str) -> bool:
    try:
        teacher.check_prompts([word])
    except WordsError:
        return False
    return True


def split(files: Sequence[Path], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and rows that are held out to choose on: a tenth, of few images a quarter, of many 2,000.

    All rows of a file are on the same side.

    Args:
        files: of every row.
    """
    once = list(dict.fromkeys(files))
    count = min(max(round(0.1 * len(once)), min(40, len(once) // 4)), 2000)
    order = np.random.default_rng((seed, 5)).permutation(len(once))
    held = {once[place] for place in order[:count]}
    out = np.array([file in held for file in files])
    return np.flatnonzero(~out), np.flatnonzero(out)

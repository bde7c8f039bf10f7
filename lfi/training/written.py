"""Captions that a teacher writes itself, for images of which nothing is said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lfi.data.imageset import ImageSet
from lfi.data.notes import Notes
from lfi.teachers import GenerativeTeacher
from lfi.training.cache.samples import digest_of
from lfi.training.config import TeacherSource

Picture = tuple[str, str]
"""Its id, and the digest of its pixels: images of different folders may have the same id."""
_AT_ONCE = 16
_WRITTEN = "captions that the teacher wrote itself, where an image had none"


def with_own_captions(teacher: GenerativeTeacher, source: TeacherSource, images: ImageSet) -> ImageSet:
    """A set in which every image is captioned that has neither caption nor words nor class to be asked about.

    Where whole captions are read (`maps = "captions"`), words and classes are none, and every image gets a caption.
    What was written is kept beside the cache, and not written again.
    """
    whole = source.maps == "captions"
    known = [bool(images.classes) or bool(words) for words in images.words]
    missing = [row for row, caption in enumerate(images.captions) if not caption.strip() and (whole or not known[row])]
    if not missing:
        return images
    path = Path(f"{source.cache}.captions.jsonl") if source.cache else None
    texts = dict(_kept(path, teacher.fingerprint)) if path is not None else {}
    keys = {row: (images.ids[row], digest_of(images.images[row])) for row in missing}
    todo = [row for row in missing if keys[row] not in texts]
    starts = range(0, len(todo), _AT_ONCE)
    for start in tqdm(starts, desc="the teacher writes captions", unit="batch", leave=False, dynamic_ncols=True):
        rows = todo[start : start + _AT_ONCE]
        new = dict(zip((keys[row] for row in rows), _written(teacher, images, rows), strict=True))
        texts |= new
        if path is not None:
            _keep(path, teacher.fingerprint, new)
    captions, notes = list(images.captions), Notes(images.notes)
    for row in missing:
        captions[row] = texts[keys[row]]
        notes.add(_WRITTEN, images.ids[row])
    return replace(images, captions=tuple(captions), notes=notes.all())


def _written(teacher: GenerativeTeacher, images: ImageSet, rows: Sequence[int]) -> list[str]:
    pixels = torch.from_numpy(np.ascontiguousarray(images.images[rows])).permute(0, 3, 1, 2).float() / 255
    return teacher.describe(teacher.from_pixels(pixels))


def _kept(path: Path, fingerprint: str) -> Iterator[tuple[Picture, str]]:
    """What this teacher wrote; a line that was broken off does not count, and is written again."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError, KeyError, TypeError):
            record = json.loads(line)
            if record["teacher"] == fingerprint:
                yield (record["id"], record["pixels"]), record["caption"]


def _keep(path: Path, fingerprint: str, texts: dict[Picture, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * (file.tell() > 0))  # ends a line that was broken off
        for (name, pixels), text in texts.items():
            record = {"teacher": fingerprint, "id": name, "pixels": pixels, "caption": text}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

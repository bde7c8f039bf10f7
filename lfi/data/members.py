"""One sample of a WebDataset archive: the files that share a name (`grouping.py`), and what each says.

An image (`jpg`, `png`, `webp`, ...), captions (`txt`, one a line, of which the first is read), a class index (`cls`),
and anything else in `json`: here `id`, `words`, `box`, `domain`, `picture` (a key, where a picture comes several
times) and, where there are several, `labels`; a `caption` in it serves where there is no `txt`.
"""

from __future__ import annotations

import io
import json
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from lfi.data.archives import Sample
from lfi.data.decode import Fit, read_picture
from lfi.data.grouping import SAID
from lfi.data.imagefiles import SUFFIXES
from lfi.data.imageset import ImageSet

SEVERAL = "images after the first of a sample, which are not read"
FIELDS = "files of samples that are not read"
FACTS = "entries of json that are not read"
NO_CAPTION = "samples without a caption"
OTHER_CLASS = "classes that are not among the labels in json, which are read"
FURTHER = "captions after the first of a sample, which are not read"

_KNOWN = ("id", "words", "box", "domain", "picture", "labels", "caption")


class Member(NamedTuple):
    """A sample, read.

    Attributes:
        image: uint8 `[size, size, 3]`.
        caption: `""` where there is none.
        label: -1 where there is none.
        facts: the contents of `json`, without what is null in it.
        remarks: kind of note and name, of everything that was not read.
    """

    image: np.ndarray
    caption: str
    label: int
    facts: dict[str, Any]
    remarks: tuple[tuple[str, str], ...] = ()


def unpack(sample: Sample, size: int, fit: Fit = "squash") -> Member:
    """Read a sample.

    Raises:
        Exception: where there is no image, or anything cannot be read.
    """
    files = sample.files
    images = sorted((name for name in files if _is_image(name)), key=lambda name: ("." in name, name))
    if not images:
        raise ValueError(f"no image among {', '.join(sorted(files))}")
    if not files[images[0]]:
        raise ValueError("the file is empty")
    facts = _facts(files["json"]) if "json" in files else {}
    caption, unread = _caption(files, facts)
    label = int(files["cls"]) if "cls" in files else -1
    picture = read_picture(io.BytesIO(files[images[0]]), size, fit)
    remarks = [(what, f"{sample.key}: {detail}" if detail else sample.key) for what, detail in picture.remarks]
    remarks += [(SEVERAL, f"{sample.key}: {name}") for name in images[1:]]
    remarks += [(FIELDS, name) for name in files if name not in images and name not in SAID]
    remarks += [(FACTS, name) for name in facts if name not in _KNOWN]
    remarks += [("files that come twice, of which the last is read", name) for name in sample.twice]
    remarks += [(OTHER_CLASS, sample.key)] if label >= 0 and label not in facts.get("labels", [label]) else []
    remarks += [(NO_CAPTION, sample.key)] if not caption else []
    remarks += [(what, sample.key) for what in unread]
    return Member(picture.pixels, caption, label, facts, tuple(remarks))


def _is_image(name: str) -> bool:
    return f".{name.rsplit('.', 1)[-1]}" in SUFFIXES


def _facts(data: bytes) -> dict[str, Any]:
    facts = json.loads(data)
    if not isinstance(facts, dict):
        raise ValueError("its json is not an object")
    facts = {name: value for name, value in facts.items() if value is not None}
    words = facts.get("words", [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError("`words` in its json is not a list of strings")
    box, labels = facts.get("box", [0, 0, 0, 0]), facts.get("labels", [])
    if not isinstance(box, list) or len(box) != 4 or not all(type(side) in (int, float) for side in box):
        raise ValueError("`box` in its json is not four numbers")
    if not isinstance(labels, list) or not all(type(label) is int and label >= 0 for label in labels):
        raise ValueError("`labels` in its json are not a list of numbers from 0")
    for name in ("domain", "picture"):
        if not isinstance(facts.get(name, ""), str):
            raise ValueError(f"`{name}` in its json is not a text")
    return facts


def _caption(files: dict[str, bytes], facts: dict[str, Any]) -> tuple[str, list[str]]:
    """The caption, and what of captions was not read."""
    listed = facts.get("caption", "")
    unread = []
    if isinstance(listed, list):
        unread += [FURTHER] * (len(listed) > 1)
        listed = listed[0] if listed and listed[0] is not None else ""
    if not isinstance(listed, str):
        raise ValueError(f"`caption` in its json is not a string but {json.dumps(listed)[:40]}")
    listed = " ".join(listed.split())
    if "txt" not in files:
        return listed, unread
    lines = [" ".join(line.split()) for line in files["txt"].decode("utf-8-sig").splitlines() if line.strip()]
    unread += [FURTHER] * (len(lines) > 1)
    caption = lines[0] if lines else ""
    if listed and caption and listed != caption:
        unread.append("captions in json that differ from those in txt, which are read")
    return caption or listed, unread


def pack(images: ImageSet, row: int) -> dict[str, Any]:
    """A row of a set as a sample: `unpack` gives back what went in."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(images.images[row])).save(buffer, "PNG", compress_level=1)
    facts: dict[str, Any] = {"id": images.ids[row], "words": images.words[row]}
    if images.domains:
        facts["domain"] = images.domains[row]
    if images.pictures:
        facts["picture"] = images.pictures[row]
    if images.boxes is not None and not np.isnan(images.boxes[row]).any():
        facts["box"] = images.boxes[row].tolist()
    sample: dict[str, Any] = {"__key__": f"{row:09}", "png": buffer.getvalue()}
    if images.multilabel:
        facts["labels"] = np.flatnonzero(images.labels[row]).tolist()
    elif images.labels[row] >= 0:
        sample["cls"] = str(images.labels[row]).encode()
    if images.captions[row]:
        sample["txt"] = " ".join(images.captions[row].split()).encode(errors="replace")  # half an emoji
    sample["json"] = json.dumps(facts).encode()
    return sample

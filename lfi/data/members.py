"""One sample of a WebDataset archive: the files that share a name up to the first dot, and what each says.

An image (`jpg`, `png`, `webp`, ...), a caption (`txt`), a class index (`cls`), and anything else in `json`: here `id`,
`words`, `box`, `domain` and, where there are several, `labels`; a `caption` in it serves where there is no `txt`.
"""

from __future__ import annotations

import io
import json
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from lfi.data.decode import Fit, decode
from lfi.data.imagefiles import SUFFIXES
from lfi.data.imageset import ImageSet


class Member(NamedTuple):
    """A sample, read.

    Attributes:
        image: uint8 `[size, size, 3]`.
        caption: `""` where there is none.
        label: -1 where there is none.
        facts: the contents of `json`.
    """

    image: np.ndarray
    caption: str
    label: int
    facts: dict[str, Any]


def key(sample: dict[str, Any]) -> str:
    """`SHARD/NAME`, unique over shards of different names."""
    return f"{PurePosixPath(sample['__url__']).stem}/{sample['__key__']}"


def unpack(sample: dict[str, Any], size: int, fit: Fit = "squash") -> Member:
    """Read a sample as `webdataset` groups it: bytes by suffix.

    Raises:
        Exception: where there is no image, or anything cannot be read.
    """
    names = [name for name in sorted(sample) if f".{name.rsplit('.', 1)[-1]}" in SUFFIXES]
    if not names:
        raise ValueError(f"no image among {', '.join(name for name in sorted(sample) if name[0] != '_') or 'no files'}")
    if not sample[names[0]]:
        raise ValueError("the file is empty")
    facts = json.loads(sample["json"]) if "json" in sample else {}
    if not isinstance(facts, dict):
        raise ValueError("its json is not an object")
    caption = sample["txt"].decode() if "txt" in sample else str(facts.get("caption", ""))
    label = int(sample["cls"]) if "cls" in sample else -1
    return Member(decode(io.BytesIO(sample[names[0]]), size, fit), " ".join(caption.split()), label, facts)


def pack(images: ImageSet, row: int) -> dict[str, Any]:
    """A row of a set as a sample: `unpack` gives back what went in."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(images.images[row])).save(buffer, "PNG", compress_level=1)
    facts: dict[str, Any] = {"id": images.ids[row], "words": images.words[row]}
    if images.domains:
        facts["domain"] = images.domains[row]
    if images.boxes is not None and not np.isnan(images.boxes[row]).any():
        facts["box"] = images.boxes[row].tolist()
    sample: dict[str, Any] = {"__key__": f"{row:09}", "png": buffer.getvalue()}
    if images.multilabel:
        facts["labels"] = np.flatnonzero(images.labels[row]).tolist()
    elif images.labels[row] >= 0:
        sample["cls"] = str(images.labels[row]).encode()
    if images.captions[row]:
        sample["txt"] = images.captions[row].encode()
    sample["json"] = json.dumps(facts).encode()
    return sample

"""Sample pictures with words to try on them, as `static/samples/samples.json` lists them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lfi.errors import DataError


@dataclass(frozen=True)
class Sample:
    """A picture to start from.

    Attributes:
        name: what requests call it.
        alt: what the picture shows, for those who do not see it.
        words: typed along with it.
        trio: name of the trio whose words these are.
        scene: drawn by the generator of the training scenes.
    """

    name: str
    path: Path
    alt: str
    words: tuple[str, ...]
    trio: str
    scene: bool


def load_samples(folder: Path) -> dict[str, Sample]:
    """Samples by name, in the order of `samples.json`.

    Raises:
        DataError: where the list names a file that is not there.
    """
    listing = folder / "samples.json"
    if not listing.is_file():
        return {}
    samples = {}
    for entry in json.loads(listing.read_text(encoding="utf-8")):
        path = folder / entry["file"]
        if not path.is_file():
            raise DataError(f"{listing} names {entry['file']!r}, which is not there")
        scene = bool(entry.get("scene", False))
        samples[path.stem] = Sample(
            path.stem, path, entry["alt"], tuple(entry["words"]), entry.get("trio", "scenes"), scene
        )
    return samples

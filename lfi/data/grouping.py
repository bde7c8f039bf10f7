"""Which files of an archive are one sample.

WebDataset's rule is that a name ends at its first dot: `7.jpg`, `7.txt` and `7.seg.png` are the sample `7`. People's
files have dots in their names, too (`scan.1.png`, `clip 2.0 red.txt`), and by that rule all of `scan` is one sample, of
which one image is read. So a name ends at its *last* dot, unless what comes before makes it a further file of a sample:
there is `7.jpg` or `7.json`, and `7.seg` has not both an image and something that is said of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lfi.data.imagefiles import SUFFIXES

SAID = frozenset(("txt", "cls", "json"))
_LOOKAHEAD = 256
"""Files whose names begin alike that are held at a time."""


class Part(NamedTuple):
    """A file of an archive: its name there and its contents."""

    name: str
    data: bytes


def samples(files: Iterable[Part]) -> Iterator[tuple[str, dict[str, list[Part]]]]:
    """Name and files of every sample, files by what comes after the name, in lower case; in the archive's order.

    A name that comes again after another sample's is another sample.
    """
    run: list[Part] = []
    for part in files:
        if run and (
            _first(part.name) != _first(run[0].name)
            or (len(run) >= _LOOKAHEAD and _last(part.name)[0] != _last(run[-1].name)[0])
        ):
            yield from _divided(run)
            run = []
        run.append(part)
    yield from _divided(run)


def _divided(run: list[Part]) -> Iterator[tuple[str, dict[str, list[Part]]]]:
    """The samples among files whose names begin alike, by the place of their first file."""
    kinds: dict[str, set[str]] = {}
    for part in run:
        stem, kind = _last(part.name)
        kinds.setdefault(stem, set()).add(kind)
    owner = {stem: _owner(stem, kinds) for stem in kinds}
    found: dict[str, dict[str, list[Part]]] = {}
    for part in run:
        name = owner[_last(part.name)[0]]
        found.setdefault(name, {}).setdefault(part.name[len(name) + 1 :].lower(), []).append(part)
    yield from found.items()


def _owner(stem: str, kinds: dict[str, set[str]]) -> str:
    """The sample that files of this name belong to: the shortest name before a dot that is one, or their own."""
    if _is_whole(kinds[stem]):
        return stem
    folder, slash, base = stem.rpartition("/")
    parts = base.split(".")
    for count in range(1, len(parts)):
        shorter = folder + slash + ".".join(parts[:count])
        if shorter in kinds and not any(letter.isspace() for letter in stem[len(shorter) :]):
            return shorter
    return stem


def _is_whole(kinds: set[str]) -> bool:
    return bool(kinds & SAID) and any(f".{kind}" in SUFFIXES for kind in kinds)


def _last(name: str) -> tuple[str, str]:
    """A name up to its last dot, and the rest in lower case."""
    stem, _, kind = name.rpartition(".")
    return stem, kind.lower()


def _first(name: str) -> str:
    """A name up to its first dot."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.split(".", 1)[0]

"""Names for ImageNet's classes and for what is above them, from WordNet's dictionary files.

Needed to make the list (`imagenet-names.json.gz`), not to use it.

Reads `data.noun` and `index.noun` of WordNet 3.0 or 3.1 (Fellbaum 1998; wordnet.princeton.edu/documentation/wndb5wn).
ImageNet's ids are offsets of WordNet 3.0, so a class is found by its lemmas and its definition, which timm ships.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm

from lfi.errors import DataError, reason
from lfi.teachers.names import Names, squeezed

EXTRA = {"person": "person", "giraffe": "giraffe", "house": "house", "horse": "horse"}
"""Leaves beyond ImageNet's 1,000 classes, and the nouns whose first sense they are: what PACS teaches."""
ALSO = {
    "person": ("people", "human", "human being"),
    "television": ("tv", "tv set"),
    "bicycle": ("bike",),
    "clothing": ("clothes",),
    "seashore": ("beach",),
    "studio couch": ("sofa", "couch"),
    "cellular telephone": ("smartphone",),
    "coffee mug": ("mug",),
}
"""Everyday names that WordNet gives to something else, or to nothing."""
JOINED = {
    "rocket": ("missile", "space shuttle"),
    "chicken": ("cock", "hen"),
    "food": ("fruit", "vegetable", "dish", "bread", "dessert", "foodstuff", "beverage"),
    "cow": ("cattle",),
}
"""Everyday names for several others together."""
ABSTRACT = frozenset(
    """entity;physical entity;object;whole;artifact;organism;living thing;instrumentality;chordate;placental;device;
    covering;conveyance;commodity;consumer goods;matter;structure;equipment;implement;diapsid;instrument;
    protective covering;substance;solid;furnishing;craft;natural object;aquatic vertebrate;reproductive structure;
    plant organ;plant part;durables;nutriment;mechanism;saurian;part;unit;abstraction;relation;attribute;measure;
    communication;group;thing;causal agent;location;region;area;way;facility;area unit;article;creation;product;
    surface;psychological feature;event;act;material;food;system;assembly;medium;strip;sheet""".replace("\n", "")
    .replace("  ", "")
    .split(";")
)
"""Synsets too general to look for, by their first lemma."""
MOST_LEAVES = 420


@dataclass(frozen=True)
class Synset:
    """Lemmas as people write them, offsets of hypernyms, and the definition."""

    lemmas: tuple[str, ...]
    above: tuple[str, ...]
    gloss: str


def read_nouns(folder: Path) -> tuple[dict[str, Synset], dict[str, list[str]]]:
    """Synsets by their offsets, and for every lemma, lower case, the offsets of its senses, the most frequent first.

    Raises:
        DataError: a file is missing or is not in WordNet's format.
    """
    try:
        data = [line for line in (folder / "data.noun").read_text(encoding="utf-8").splitlines() if line[:1] != " "]
        index = [line for line in (folder / "index.noun").read_text(encoding="utf-8").splitlines() if line[:1] != " "]
        synsets, senses = dict(map(_synset, data)), {}
        for line in index:
            parts = line.split()
            senses[parts[0].replace("_", " ")] = parts[-int(parts[2]) :]
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{folder} does not hold WordNet's data.noun and index.noun: {reason(error)}") from error
    return synsets, senses


def _synset(line: str) -> tuple[str, Synset]:
    head, _, gloss = line.partition(" | ")
    parts = head.split()
    lemmas = int(parts[3], 16)
    at = 4 + 2 * lemmas
    pointers = [parts[at + 1 + 4 * number : at + 3 + 4 * number] for number in range(int(parts[at]))]
    above = tuple(target for kind, target in pointers if kind in ("@", "@i"))
    return parts[0], Synset(tuple(parts[4 + 2 * n].replace("_", " ") for n in range(lemmas)), above, gloss.strip())


def imagenet_names(folder: Path) -> Names:
    """Names of ImageNet's 1,000 classes, of `EXTRA`, and of everything above them that can be looked for."""
    synsets, senses = read_nouns(folder)
    info = Path(timm.__file__).parent / "data" / "_info"
    wnids = (info / "imagenet_synsets.txt").read_text().split()
    lemmas = _table(info / "imagenet_synset_to_lemma.txt")
    definitions = _table(info / "imagenet_synset_to_definition.txt")
    offsets = [_same(lemmas[wnid].split(", "), definitions[wnid], synsets, senses) for wnid in wnids]
    offsets += [senses[noun][0] for noun in EXTRA.values()]
    ids = [*wnids, *(f"extra:{name}" for name in EXTRA)]

    below: dict[str, set[int]] = defaultdict(set)  # leaves of every synset
    for leaf, offset in enumerate(offsets):
        for each in _above(offset, synsets):
            below[each].add(leaf)
    names: dict[str, _Name] = {}
    for offset in (*offsets, *sorted(below, key=lambda each: (len(below[each]), each))):
        lemma = synsets[offset].lemmas[0]
        leaf = offset in offsets
        if (not leaf and (lemma in ABSTRACT or len(below[offset]) > MOST_LEAVES)) or any(
            offset in name.synsets for name in names.values()
        ):
            continue
        _add(names, synsets[offset], offset, below[offset], senses, leaf)
    for name, parts in JOINED.items():
        together = set().union(*(names[part].leaves for part in parts))
        names[name] = _Name({}, together, set())
    for name, also in ALSO.items():
        for other in names.values():
            for spelling in also:
                other.also.pop(spelling, None)
        names[name].also.update(dict.fromkeys(also))
    taken = {squeezed(spelling): name for name, each in names.items() for spelling in (name, *each.also)}
    ordered = list(names)
    content: dict[str, Any] = {
        "source": "WordNet 3.1, Princeton University, whose licence permits use and distribution; ImageNet's classes",
        "leaves": [{"id": each, "name": synsets[offset].lemmas[0]} for each, offset in zip(ids, offsets, strict=True)],
        "names": [[name, list(names[name].also), sorted(names[name].leaves)] for name in ordered],
        "nearest": _nearest(names, ordered, synsets, senses, set(taken)),
    }
    return Names(content)


@dataclass
class _Name:
    also: dict[str, None]
    leaves: set[int]
    synsets: set[str]


def _add(
    names: dict[str, _Name],
    synset: Synset,
    offset: str,
    leaves: set[int],
    senses: Mapping[str, Sequence[str]],
    leaf: bool,
) -> None:
    """A synset under those of its lemmas that mean it; joined to a name that is spelt alike."""
    spellings = []
    for lemma in synset.lemmas:
        rank = (
            list(senses.get(lemma.lower(), [offset])).index(offset)
            if offset in senses.get(lemma.lower(), [offset])
            else 9
        )
        latin = bool(re.match(r"[A-Z]", lemma)) and " " in lemma and not leaf
        if not latin and (leaf or rank <= 1):
            spellings.append(lemma)
    if not spellings:
        return
    known = {squeezed(spelling): name for name, each in names.items() for spelling in (name, *each.also)}
    for spelling in spellings:  # crane is a bird and a machine: one name, both leaves
        if (name := known.get(squeezed(spelling))) is not None:
            names[name].leaves |= leaves
            names[name].synsets.add(offset)
    fresh = [spelling for spelling in spellings if squeezed(spelling) not in known]
    if fresh:
        names[fresh[0]] = _Name(dict.fromkeys(fresh[1:]), set(leaves), {offset})


def _same(
    lemmas: Sequence[str], definition: str, synsets: Mapping[str, Synset], senses: Mapping[str, Sequence[str]]
) -> str:
    """The offset of the synset that shares most lemmas and words of its definition."""
    own, words = {lemma.strip().lower() for lemma in lemmas}, set(re.findall("[a-z]+", definition.lower()))
    candidates = {offset for lemma in own for offset in senses.get(lemma, ())}
    if not candidates:
        raise DataError(f"this WordNet does not contain {', '.join(lemmas)}")

    def shared(offset: str) -> float:
        theirs = {lemma.lower() for lemma in synsets[offset].lemmas}
        said = set(re.findall("[a-z]+", synsets[offset].gloss.lower()))
        return len(own & theirs) / len(own | theirs) + len(words & said) / max(1, len(words | said))

    return max(sorted(candidates), key=shared)


def _above(offset: str, synsets: Mapping[str, Synset]) -> dict[str, int]:
    """A synset and everything above it, with the number of steps."""
    found, level, steps = {offset: 0}, [offset], 0
    while level:
        steps += 1
        level = [above for each in level for above in synsets[each].above if above not in found]
        found |= dict.fromkeys(level, steps)
    return found


def _nearest(
    names: Mapping[str, _Name],
    ordered: Sequence[str],
    synsets: Mapping[str, Synset],
    senses: Mapping[str, Sequence[str]],
    taken: set[str],
    count: int = 3,
) -> dict[str, list[int]]:
    """For every other noun the names nearest to its first two senses: what is above it, then what shares that."""
    number = {name: index for index, name in enumerate(ordered)}
    of: dict[str, list[str]] = defaultdict(list)
    beneath: dict[str, list[tuple[int, int, str]]] = defaultdict(list)  # steps down, fewer leaves last, name
    for name, each in names.items():
        for offset in each.synsets:
            of[offset].append(name)
            for above, steps in _above(offset, synsets).items():
                beneath[above].append((steps, -len(each.leaves), name))
    general = {offset for offset, synset in synsets.items() if synset.lemmas[0] in ABSTRACT}
    best = {offset: [name for _, _, name in sorted(rows)[: 4 * count]] for offset, rows in beneath.items()}

    def candidates(offset: str) -> Iterator[str]:
        for above in _above(offset, synsets):
            if above not in general:
                yield from best.get(above, ())

    found: dict[str, list[int]] = {}
    for lemma, offsets in senses.items():
        key = squeezed(lemma)
        if key in taken or not key or key in found:
            continue
        near = dict.fromkeys(name for offset in offsets[:2] for name in candidates(offset))
        if near:
            found[key] = [number[name] for name in list(near)[:count]]
    return found


def _table(path: Path) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines())

"""Tokenizer of whole names: `golden retriever` is one token, and so are all its synonyms, its plural and its spellings.

For teachers that know a fixed list of things, such as ImageNet's classes and what is above them in WordNet. A name that
is not on the list is refused together with the nearest names on it *by meaning*: `puppy` leads to `dog`.

    {"leaves": [{"id": "n02099601", "name": "golden retriever"}, ...],
     "names": [["dog", ["domestic dog", ...], [151, 152, ...]], ...],      name, synonyms, the leaves that it covers
     "nearest": {"puppy": [17, 230, 4], ...}}                              other nouns, and names by number
"""

from __future__ import annotations

import difflib
import gzip
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lfi.errors import CheckpointError, UnknownWordError, reason
from lfi.teachers.words import FIRST, WordTokenizer

FUNCTION = [
    "a",
    "an",
    "the",
    "of",
    "and",
    "in",
    "on",
    "with",
    "is",
    "this",
    "some",
    "photo",
    "photograph",
    "picture",
    "image",
    "art",
    "painting",
    "drawing",
    "sketch",
    "cartoon",
]
"""Words of captions and prompts that name nothing."""
ARTICLES = frozenset(["a", "an", "the", "some", "this", "that", "these", "those", "my", "your"])
LONGEST = 7
"""Words in the longest name."""
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_IRREGULAR = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "mice": "mouse",
    "geese": "goose",
    "oxen": "ox",
    "feet": "foot",
    "teeth": "tooth",
    "buses": "bus",
}
_ENDINGS = (
    ("ves", "f"),
    ("ves", "fe"),
    ("ies", "y"),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("oes", "o"),
    ("s", ""),
)


class Names:
    """What a teacher has a name for.

    Attributes:
        names: each once, as people read them.
        leaves: what can be told apart at all: ids and names.
        covers: bool `[name, leaf]`: an image of the leaf is an image of the name.
    """

    def __init__(self, content: dict):
        self.content = content
        self.leaves: tuple[tuple[str, str], ...] = tuple((leaf["id"], leaf["name"]) for leaf in content["leaves"])
        self.names: tuple[str, ...] = tuple(name for name, _, _ in content["names"])
        self.covers = np.zeros((len(self.names), len(self.leaves)), bool)
        self._index: dict[str, int] = {}
        for number, (name, also, leaves) in enumerate(content["names"]):
            self.covers[number, leaves] = True
            for spelling in (name, *also):
                self._index.setdefault(squeezed(spelling), number)
        self._nearest: dict[str, list[int]] = content["nearest"]

    @classmethod
    def read(cls, path: Path) -> Names:
        """A list from its gzipped JSON.

        Raises:
            CheckpointError: it is missing or not such a list.
        """
        try:
            return cls(json.loads(gzip.decompress(path.read_bytes())))
        except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError) as error:
            raise CheckpointError(f"cannot read the names in {path}: {reason(error)}") from error

    def write(self, path: Path) -> None:
        """The file that `read` takes; the same names give the same bytes."""
        text = json.dumps(self.content, separators=(",", ":"), ensure_ascii=False)
        path.write_bytes(gzip.compress(text.encode(), mtime=0))

    def number(self, text: str) -> int | None:
        """Which name a text is, whatever its case, articles, hyphens, number and spelling of compounds."""
        words = split(text)
        while words and words[0] in ARTICLES:
            words = words[1:]
        return next((self._index[form] for form in forms(words) if form in self._index), None)

    def above(self, number: int, most: int) -> list[str]:
        """Names that cover all that this one covers and more, the nearest (that cover least) first."""
        own, sizes = self.covers[number], self.covers.sum(1)
        over = np.flatnonzero((self.covers >= own).all(1) & (sizes > own.sum()))
        return [self.names[each] for each in over[np.argsort(sizes[over], kind="stable")][:most]]

    def nearest(self, text: str, count: int = 3) -> list[str]:
        """Names nearest in meaning, best first; where that is unknown, those with a spelling or synonym like it."""
        words = split(text)
        for form in (*forms(words), *forms(words[-1:])):
            if form in self._index:
                return [self.names[self._index[form]]]
            if form in self._nearest:
                return [self.names[number] for number in self._nearest[form][:count]]
        alike = difflib.get_close_matches(squeezed(text), self._index, 3 * count, cutoff=0.0)
        return [self.names[number] for number in dict.fromkeys(self._index[each] for each in alike)][:count]


class NameTokenizer(WordTokenizer):
    """Cuts a text into the longest names that it holds, and function words between them.

    Args:
        names: what is known.
        context_length: ids per text, start and end included.
    """

    def __init__(self, names: Names, context_length: int):
        super().__init__((*FUNCTION, *names.names), context_length)
        self.names = names
        self._ids = {name: index + FIRST for index, name in enumerate(self.vocabulary)}

    def words(self, text: str) -> list[str]:
        """Names by their first spelling, function words and unknown words, in the order of the text."""
        words, found, at = split(text), [], 0
        while at < len(words):
            for end in range(min(len(words), at + LONGEST), at, -1):
                number = self.names.number(" ".join(words[at:end]))
                if number is not None and words[at] not in ARTICLES:
                    found.append(self.names.names[number])
                    break
            else:
                end = at + 1
                found.append(words[at])
            at = end
        return found

    def check(self, texts: Sequence[str]) -> None:
        """Raise `UnknownWordError` that names every unknown word and the known ones nearest in meaning."""
        known = set(self.vocabulary)
        words = dict.fromkeys(word for text in texts for word in self.words(text) if word not in known)
        if words:
            raise UnknownWordError({word: self.nearest(word) for word in words}, by_meaning=True)

    def nearest(self, word: str, count: int = 3) -> list[str]:
        """Known names nearest in meaning to `word`, best first."""
        return self.names.nearest(word, count)


def split(text: str) -> list[str]:
    """Lower-case words of a text in any script; hyphens and other marks separate them."""
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold())


def squeezed(text: str) -> str:
    """A name without spaces and marks: ice cream, ice-cream and icecream are one."""
    return "".join(split(text)).replace("'", "").replace("’", "")


def forms(words: Sequence[str]) -> Iterator[str]:
    """How a name may be looked up: as it is, then in the singular, by WordNet's rules of detachment."""
    if not words:
        return
    *rest, last = words
    yield squeezed(" ".join(words))
    if last in _IRREGULAR:
        yield squeezed(" ".join((*rest, _IRREGULAR[last])))
    for ending, stem in _ENDINGS:
        if last.endswith(ending) and len(last) > len(ending) + 1 and not last.endswith("ss"):
            yield squeezed(" ".join((*rest, last.removesuffix(ending) + stem)))

"""The words of a request: one field each, or several in a field with commas between them; and what was meant by one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from app.limits import WordLimits
from lfi.errors import WordsError, excerpt
from lfi.teachers.scripts import visible

_ARTICLES = ("a", "an", "the")
_JOINERS = dict.fromkeys((0x200C, 0x200D))  # Persian and Hindi write words with them
_SLACK = 3
"""Times as many words, and characters of a phrase, are read as may remain without blank and repeated ones."""
_CLOSE = 0.75
"""Spelling likeness (difflib's ratio) from which a known word is probably the one that was meant."""


def parse_words(fields: Iterable[str], limits: WordLimits) -> tuple[str, ...]:
    """Words and phrases in the order in which they were typed; a repeated one counts once.

    Args:
        fields: for example `["red circle", "star, blue"]`. Blank pieces between commas are dropped, but a
            field that is wholly blank is an error: somebody meant to say something there.

    Raises:
        WordsError: no words, a blank field, too many words, or a phrase that is too long.
    """
    fields = list(fields)
    count = len(fields) + sum(field.count(",") for field in fields)
    if count > _SLACK * limits.words:  # before they are split
        raise WordsError(f"{count:,} words were given; at most {limits.words} can be compared at once")
    words: dict[str, None] = {}
    for number, field in enumerate(fields, start=1):
        pieces = [_tidied(piece.strip(), limits) for piece in field.split(",")]
        if not any(pieces):
            raise WordsError(f"word {number} is empty; type a word or a short phrase, such as 'red circle'")
        words.update((piece, None) for piece in pieces if piece)
    if not words:
        raise WordsError("no words were given; type at least one word or short phrase, such as 'red circle'")
    if len(words) > limits.words:
        raise WordsError(f"{len(words)} words were given; at most {limits.words} can be compared at once")
    for word in words:
        parts = len(word.split())
        if parts > limits.phrase or len(word) > limits.characters:
            raise _too_long(word, f"{parts} words and {len(word)}", limits)
        if not word.translate(_JOINERS).isprintable():
            raise WordsError(f"the word {word!r} contains unprintable characters")
    return tuple(words)


def _tidied(piece: str, limits: WordLimits) -> str:
    """A piece as it is compared. One that is far too long is refused first: sorting its accents would take seconds."""
    if len(piece) > _SLACK * limits.characters:
        raise _too_long(piece, f"{len(piece):,}", limits)
    return " ".join(visible(piece).split())


def _too_long(phrase: str, length: str, limits: WordLimits) -> WordsError:
    return WordsError(
        f"the phrase {excerpt(phrase)!r} has {length} characters; "
        f"at most {limits.phrase} words and {limits.characters} characters are read as one phrase"
    )


def plain(phrase: str, vocabulary: Sequence[str]) -> str:
    """A phrase without its articles, under which it is answered: `the star` is `star`.

    Articles stay where any word can be asked (an empty vocabulary), where the vocabulary holds them, and where nothing
    else is in the phrase.
    """
    rest = [word for word in phrase.split() if word.lower() not in _ARTICLES or word.lower() in vocabulary]
    return " ".join(rest) if vocabulary and rest else phrase


def plain_words(phrases: Iterable[str], vocabulary: Sequence[str]) -> tuple[str, ...]:
    """The phrases as `plain` makes them, in their order; two that are then the same count once."""
    return tuple(dict.fromkeys(plain(phrase, vocabulary) for phrase in phrases))


def close_words(nearest: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """For every unknown word those of its nearest known words that are spelled almost alike, best first."""
    return {
        word: difflib.get_close_matches(word, known, n=max(len(known), 1), cutoff=_CLOSE)
        for word, known in nearest.items()
    }

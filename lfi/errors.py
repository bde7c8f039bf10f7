"""Errors a user can act on. Each message is one line: what was wrong, with the value, and what was expected."""

from __future__ import annotations

from collections.abc import Sequence

_SHOWN = 40
"""Characters of what somebody typed that a message repeats."""


def reason(error: Exception) -> str:
    """What the system says of a file, in lower case, to stand after its path; what any other error says, as it is."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)


def excerpt(text: str) -> str:
    """A text as a message repeats it: its beginning, where it is long."""
    return text if len(text) <= _SHOWN else text[:_SHOWN].rstrip() + "…"


class LFIError(Exception):
    """Base of every error that the command line prints in one line (exit code 2) and the API answers with 4xx."""


class UnknownModelError(LFIError):
    """No such architecture, pretrained tag, trio member or checkpoint path."""


class UnsupportedModelError(LFIError):
    """The architecture exists, but its attention cannot be read faithfully."""


class CheckpointError(LFIError):
    """A checkpoint that cannot be read, or does not fit the model."""


class ConfigError(LFIError):
    """A configuration value that is missing, misspelt or out of range."""


class TrainingError(LFIError):
    """A run that cannot go on: its loss is not a number, or its processes disagree."""


class DataError(LFIError):
    """A data set that is missing, incomplete or unreadable."""


class ImageError(LFIError):
    """An upload that is not an image we decode."""


class ImageTooLargeError(ImageError):
    """An image beyond the limit on bytes or pixels; refused before it is decoded."""


class WordsError(LFIError):
    """No words, or too many of them."""


class UnknownWordError(WordsError):
    """A word outside the vocabulary of the teacher, or of a peer.

    Attributes:
        words: the unknown words.
        nearest: for each of them, the nearest words that are known, best first.
        peer: who does not know them, where it is not the teacher.
        by_meaning: whether they are nearest in meaning, and not in spelling alone.
        seen: where a picture was asked about, known words that the teacher sees in it, and how likely each is there.
        trios: other trios of the service that know all the words that were asked for.
    """

    def __init__(
        self,
        words: dict[str, list[str]],
        peer: str = "",
        seen: Sequence[tuple[str, float]] = (),
        by_meaning: bool = False,
        trios: Sequence[str] = (),
    ):
        self.peer, self.seen, self.by_meaning, self.trios = peer, tuple(seen), by_meaning, tuple(trios)
        self.words = list(words)
        self.nearest = words
        parts = [f"{word!r} (nearest: {', '.join(near)})" for word, near in words.items()]
        found = f"; the teacher sees here: {', '.join(word for word, _ in seen)}" if seen else ""
        known = f"; the trio {trios[0]} does" if trios else ""
        super().__init__(f"{peer or 'this model'} does not know {'; '.join(parts)}{known}{found}")

    def beside(self, seen: Sequence[tuple[str, float]]) -> UnknownWordError:
        """The same error about a picture in which these words are seen."""
        return UnknownWordError(self.nearest, self.peer, seen, self.by_meaning, self.trios)

    def known_to(self, trios: Sequence[str]) -> UnknownWordError:
        """The same error where other trios know the words."""
        return UnknownWordError(self.nearest, self.peer, self.seen, self.by_meaning, trios)

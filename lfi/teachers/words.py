"""Tokenizer of a small vocabulary of whole words; other words are refused with the nearest known ones."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import torch
from torch import Tensor

from lfi.errors import UnknownWordError, WordsError
from lfi.teachers.scripts import visible, words_of

PAD, START, END = 0, 1, 2
FIRST = 3
"""Id of the first word."""


class WordTokenizer:
    """Lower-cases, drops punctuation and looks whole words up, in every script (`lfi.teachers.scripts`).

    Args:
        vocabulary: the words; word `i` has id `i + 3` after padding (0), start (1) and end (2).
        context_length: ids per text, start and end included.
    """

    def __init__(self, vocabulary: Sequence[str], context_length: int):
        self.vocabulary = tuple(vocabulary)
        self.context_length = context_length
        self._ids = {visible(word): index + FIRST for index, word in enumerate(self.vocabulary)}

    def __len__(self) -> int:
        """Number of ids, the special ones included."""
        return len(self.vocabulary) + FIRST

    def words(self, text: str) -> list[str]:
        """The words of a text, lower-cased, as they are looked up."""
        return words_of(text)

    def check(self, texts: Sequence[str]) -> None:
        """Raise `UnknownWordError` that names every unknown word and the nearest known ones."""
        words = dict.fromkeys(word for text in texts for word in self.words(text))
        unknown = {word: self.nearest(word) for word in words if word not in self._ids}
        if unknown:
            raise UnknownWordError(unknown)

    def nearest(self, word: str, count: int = 3) -> list[str]:
        """Known words most like `word` in spelling, best first."""
        return difflib.get_close_matches(word, self.vocabulary, count, cutoff=0.0)

    def encode(self, text: str) -> list[int]:
        """Ids with start and end, without padding.

        Raises:
            UnknownWordError: for words outside the vocabulary.
            WordsError: for a text without words, or one longer than the context.
        """
        words = self.words(text)
        if not words:
            raise WordsError(f"{text!r} has no word in it")
        self.check([text])
        if len(words) + 2 > self.context_length:
            raise WordsError(f"a text of {len(words)} words is too long; at most {self.context_length - 2} fit")
        return [START, *(self._ids[word] for word in words), END]

    def __call__(self, texts: str | Sequence[str], context_length: int | None = None) -> Tensor:
        """Padded ids, int64 `[text, context_length]`."""
        texts = [texts] if isinstance(texts, str) else texts
        rows = torch.full((len(texts), context_length or self.context_length), PAD, dtype=torch.int64)
        for row, text in zip(rows, texts, strict=True):
            ids = self.encode(text)
            row[: len(ids)] = torch.tensor(ids)
        return rows

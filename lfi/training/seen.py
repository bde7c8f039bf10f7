"""Words that a teacher itself is sure to see: classes by their probability, and the names above them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.teachers.base import full_precision
from lfi.teachers.names import Names

ABOVE = 3
"""Names above a class that can be asked about, the nearest ones: retriever and hunting dog for a golden retriever."""


class SeenWords:
    """Chooses an image's words from what a teacher says of its classes.

    Candidates are the likeliest class, every other class that is likely enough, and the nearest names above each. A
    name above some classes is as likely as all of them together: a teacher that hesitates between two breeds is sure
    of the dog. Asked about are the likeliest candidates, as far as they are likely enough.

    Args:
        classes: of the images.
        names: what the teacher has names for; None where it has no hierarchy, and then only classes are words.
        most: words of an image.
        sure: the lowest probability of a word that is asked about.

    Attributes:
        vocabulary: every word that can be chosen, the classes first.
        covers: float32 `[word, class]`, 1 where an image of the class shows the word, too.
        near: float32 `[word, class]`, 1 for the class itself and the nearest names above it.
    """

    def __init__(self, classes: Sequence[str], names: Names | None, most: int, sure: float):
        self.most, self.sure = most, sure
        rows = [(name, *_above(name, names)) for name in classes]
        self.vocabulary = tuple(dict.fromkeys((*classes, *(word for row in rows for word in row))))
        self.near = torch.tensor([[float(word in row) for row in rows] for word in self.vocabulary])
        self.covers = torch.maximum(self.near, _covers(self.vocabulary, classes, names))

    def choose(self, chances: Tensor) -> tuple[list[list[int]], list[list[float]]]:
        """Of each image the words that are at least as likely as `sure`, the likeliest first, and how likely they are.

        Args:
            chances: of every class, `[n, class]`.
        """
        chances = chances.float()
        with full_precision(chances.device):
            best = F.one_hot(chances.argmax(1), chances.shape[1])
            asked = torch.maximum(best, (chances >= self.sure).float()) @ self.near.T > 0
            likely = (chances @ self.covers.T).clamp(max=1) * asked
        values, words = likely.sort(dim=1, descending=True, stable=True)
        counts = (values >= self.sure).sum(1).clamp(max=self.most).tolist()
        return (
            [row[:count] for row, count in zip(words.tolist(), counts, strict=True)],
            [row[:count] for row, count in zip(values.tolist(), counts, strict=True)],
        )


def _covers(words: Sequence[str], classes: Sequence[str], names: Names | None) -> Tensor:
    """1 where everything of a class is of a word, `[word, class]`; 0 where either has no place in the hierarchy."""
    found = torch.zeros(len(words), len(classes))
    if names is not None:
        rows, above = _places(words, names)
        columns, own = _places(classes, names)
        inside = names.covers[own].astype(np.float32)
        found[np.ix_(rows, columns)] = torch.from_numpy(names.covers[above] @ inside.T == inside.sum(1)).float()
    return found


def _places(words: Sequence[str], names: Names) -> tuple[list[int], list[int]]:
    """Which of the words have a name, and its number."""
    numbers = {row: number for row, word in enumerate(words) if (number := names.number(word)) is not None}
    return list(numbers), list(numbers.values())


def _above(name: str, names: Names | None) -> list[str]:
    number = names.number(name) if names is not None else None
    return [] if names is None or number is None else names.above(number, ABOVE)

"""What every source of sentences for a teacher shares: shuffled epochs, padded ids, presence statements as a batch.

Ids are padded with 0, both by `WordTokenizer` and by open_clip's byte pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from lfi.teachers.content import Tokenizer, byte_pairs
from lfi.teachers.words import PAD, WordTokenizer

CONTEXT = 40
"""Ids of a caption."""
ANSWERS = ("no", "yes")
SHARED = ("bank", "yes_no")
"""Values of a batch that are not one per image."""


def portion(key: Sequence[int], size: int, share: int, step: int) -> np.ndarray:
    """The rows of a step: `share` of `size` rows, every epoch reshuffled; depends on `key` and `step` alone."""
    epoch, position = divmod(step, size // share)
    order = np.random.default_rng((*key, epoch)).permutation(size)
    return order[position * share : (position + 1) * share]


def answer_ids(tokenizer: Tokenizer) -> np.ndarray:
    """Ids of `no` and `yes`, int64 `[2]`; each is one token."""
    return tokenizer(list(ANSWERS))[:, 1].numpy()


def reader(tokenizer: Tokenizer, context: int) -> Callable[[str], str]:
    """What a tokeniser can read of a text: the words it knows, as many as fit; for byte pairs, which cut, all."""
    if not isinstance(tokenizer, WordTokenizer):
        return str.strip
    known, split = frozenset(tokenizer.vocabulary), tokenizer.words
    return lambda text: " ".join([word for word in split(text) if word in known][: context - 2])


def tokenizer_of(words: Sequence[str], context: int) -> WordTokenizer | SimpleTokenizer:
    """A tokeniser of these words; of byte pairs where there are none."""
    return WordTokenizer(words, context) if words else byte_pairs(context)


def trimmed(ids: np.ndarray) -> np.ndarray:
    """Ids without the padding that all rows have, less one: CoCa's text tower needs one."""
    return ids[:, : _ends(ids).max() + 2]


def padded(ids: Tensor, context: int) -> Tensor:
    """Ids of the full context again, as open_clip's own text towers want them."""
    return F.pad(ids, (0, context - ids.shape[1]))


def judged(phrases: np.ndarray, truth: np.ndarray, answers: np.ndarray) -> dict[str, Tensor]:
    """Presence statements as the teacher's task reads them.

    Args:
        phrases: ids `[n, statement, length]`: start, phrase, end, padding.
        truth: float32 `[n, statement]`, 1 where the phrase is true of the image.
        answers: ids of `no` and `yes`.
    """
    return tensors(
        statements=phrases,
        last=_ends(phrases) - 1,
        truth=truth,
        answers=answers[truth.astype(int)],
        yes_no=answers[::-1].copy(),
    )


def tensors(**arrays: Any) -> dict[str, Tensor]:
    """Arrays as tensors, by name."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _ends(ids: np.ndarray) -> np.ndarray:
    """Positions of the last ids that are not padding; a byte pair within a text may have padding's id."""
    return (ids != PAD).cumsum(-1).argmax(-1)

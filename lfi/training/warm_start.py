"""Beginning with the weights of a trained teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from open_clip.model import convert_to_custom_text_state_dict
from torch import nn

from lfi.errors import UnsupportedModelError
from lfi.teachers import BaseTeacher, GenerativeTeacher
from lfi.teachers.words import WordTokenizer

_SPECIAL = 3  # ids before the first word's


def warm_start(task: Any, teacher: BaseTeacher) -> None:
    """Begin a task with the weights of a teacher of the same sizes and kind of tokeniser.

    A word that the teacher does not know begins afresh.

    Args:
        task: its `model` is filled, `words` names the words of its tokeniser (none for byte pairs).

    Raises:
        UnsupportedModelError: if the teacher is of another kind, or has other sizes or another kind of tokeniser.
    """
    if isinstance(teacher, GenerativeTeacher):
        raise UnsupportedModelError(f"{teacher.name} is a {teacher.kind}; a CoCa or a CLIP was expected to start from")
    words = teacher.tokenizer.vocabulary if isinstance(teacher.tokenizer, WordTokenizer) else ()
    if bool(words) != bool(task.words):
        kinds = "byte pairs", "a vocabulary of words"
        raise UnsupportedModelError(
            f"{teacher.name} reads {kinds[bool(words)]}; {kinds[not words]} was expected of the teacher to start from"
        )
    fill(task.model, teacher.model, task.words, words, teacher.name)


@torch.no_grad()
def fill(model: nn.Module, source: nn.Module, words: Sequence[str], known: Sequence[str], name: str) -> None:
    """Copy the weights of `source` (vocabulary `known`, called `name`) into `model` (vocabulary `words`)."""
    at = {word: index for index, word in enumerate(known)}
    shared = [(index, at[word]) for index, word in enumerate(words) if word in at]
    own = torch.tensor([*range(_SPECIAL), *(_SPECIAL + index for index, _ in shared)])
    theirs = torch.tensor([*range(_SPECIAL), *(_SPECIAL + index for _, index in shared)])
    given = source.state_dict()
    if "positional_embedding" in given:  # a CLIP with its text tower inline
        given = convert_to_custom_text_state_dict(given)
    for key, tensor in model.state_dict().items():
        found = given.get(key)
        if words and found is not None and key == "text.token_embedding.weight":
            tensor[own] = found[theirs].to(tensor)
        elif words and found is not None and key == "text_decoder.text_projection":
            tensor[:, own] = found[:, theirs].to(tensor)
        elif found is None or found.shape != tensor.shape:
            has = "lacks it" if found is None else f"has {tuple(found.shape)}"
            raise UnsupportedModelError(
                f"{name} cannot be started from: {key} is {tuple(tensor.shape)} in the new model, and {name} {has}"
            )
        else:
            tensor.copy_(found)

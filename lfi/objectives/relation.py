"""Relation: how the regions of an image's words overlap. The formula is this project's; see the README."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.objectives.counting import masked_mean


def relation_loss(teacher: Tensor, student: Tensor, words: Tensor) -> Tensor:
    """`mean_l ||cos-Gram(T[.,l]) - cos-Gram(S[pi(.),l])||^2`, mean over the pairs of words of an image.

    Where the regions of two words overlap, they should overlap in the student; a word with itself says nothing and is
    left out.

    Args:
        teacher: teacher maps `[batch, layer, word, patch]`.
        student: matched student maps, the same shape.
        words: bool `[batch, word]`, or `[batch, layer, word]` where layers were assigned one by one; False for
            padding and unmatched words.
    """

    def gram(maps: Tensor) -> Tensor:
        unit = F.normalize(maps, dim=-1)
        return unit @ unit.transpose(-1, -2)

    words = words[:, None] if words.ndim == 2 else words
    pairs = words[..., :, None] & words[..., None, :]
    pairs = pairs & ~torch.eye(words.shape[-1], dtype=torch.bool, device=words.device)
    return masked_mean((gram(teacher) - gram(student)).square(), pairs)

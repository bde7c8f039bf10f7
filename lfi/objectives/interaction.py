"""The objectives of Learning from Interactions: where words look, how their regions relate, how queries are named.

After Gao et al., "Knowledge Transfer from Interaction Learning", ICCV 2025 (arXiv 2509.18733), of which the abstract
is known to us; the formulas are this project's and stand in the README. All maps are `[batch, layer, word, patch]`,
non-negative and summing to 1 over patches; `words` is bool `[batch, word]`, False for padding and unmatched words.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def masked_mean(values: Tensor, words: Tensor) -> Tensor:
    """Mean over the entries `words` admits; 0 where it admits none."""
    words = words.expand_as(values)
    return (values * words).sum() / words.sum().clamp_min(1)


def interaction_loss(teacher: Tensor, log_student: Tensor, words: Tensor) -> Tensor:
    """`mean_{k,l} KL(T[k,l] || S[pi(k),l])`, the student's maps already in the order of the words.

    Args:
        log_student: log of the matched student maps `[batch, layer, word, patch]`.
    """
    divergence = F.kl_div(log_student, teacher, reduction="none").sum(-1)
    return masked_mean(divergence, words[:, None])


def relation_loss(teacher: Tensor, student: Tensor, words: Tensor) -> Tensor:
    """`mean_l ||cos-Gram(T[.,l]) - cos-Gram(S[pi(.),l])||^2`, mean over the pairs of words of an image.

    Where the regions of two words overlap, they should overlap in the student; a word with itself says nothing and is
    left out.
    """

    def gram(maps: Tensor) -> Tensor:
        unit = F.normalize(maps, dim=-1)
        return unit @ unit.transpose(-1, -2)

    pairs = words[:, :, None] & words[:, None, :]
    pairs = pairs & ~torch.eye(words.shape[1], dtype=torch.bool, device=words.device)
    return masked_mean((gram(teacher) - gram(student)).square(), pairs[:, None])


def naming_loss(matched: Tensor, embeddings: Tensor, words: Tensor) -> Tensor:
    """`mean_k (1 - cos(P q[pi(k)], t[k]))`: a matched query's name is its word's text embedding.

    Args:
        matched: projected final queries in the order of the words `[batch, word, text_dim]`.
        embeddings: text embeddings of the words `[batch, word, text_dim]`.
    """
    return masked_mean(1 - F.cosine_similarity(matched, embeddings, dim=-1), words)


def nothing_loss(names: Tensor, nothing: Tensor, unmatched: Tensor) -> Tensor:
    """Queries without a word point at the learned `nothing`.

    Args:
        names: projected final queries `[batch, query, text_dim]`.
        nothing: `[text_dim]`.
        unmatched: bool `[batch, query]`.
    """
    return masked_mean(1 - F.cosine_similarity(names, nothing.expand_as(names), dim=-1), unmatched)

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


def naming_loss(
    names: Tensor, bank: Tensor, nothing: Tensor, targets: Tensor, temperature: float = 0.05, unmatched: float = 0.2
) -> Tensor:
    """Cross-entropy of the word a query stands for, by cosine to every word's text embedding.

    A matched query's name must be nearer to its own word than to any other; a query without a word must be nearest to
    a learned `nothing`. (`1 - cos` to the own word alone, tried first, leaves queries between words of one colour.)

    Args:
        names: projected final queries `[batch, query, text_dim]`.
        bank: text embeddings of all words that the training captions hold `[vocabulary, text_dim]`.
        nothing: `[text_dim]`.
        targets: int64 `[batch, query]`: the word of every query in `bank`, -1 for none.
        temperature: of the cosines.
        unmatched: weight of queries without a word, of which there are more.
    """
    words = F.normalize(torch.cat([bank, nothing[None]]), dim=-1)
    logits = F.normalize(names, dim=-1) @ words.T / temperature
    targets = torch.where(targets < 0, len(bank), targets)
    weight = torch.ones(len(words), dtype=logits.dtype, device=logits.device)
    weight[-1] = unmatched
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), weight)

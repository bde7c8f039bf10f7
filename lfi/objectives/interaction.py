"""Interaction: where words look.

After Gao et al., "Knowledge Transfer from Interaction Learning", ICCV 2025 (arXiv 2509.18733), of which the abstract
is known to us; the formula is this project's and stands in the README.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lfi.objectives.counting import masked_mean


def interaction_loss(teacher: Tensor, log_student: Tensor, words: Tensor) -> Tensor:
    """`mean_{k,l} KL(T[k,l] || S[pi(k),l])`, the student's maps already in the order of the words.

    Args:
        teacher: teacher maps `[batch, layer, word, patch]`, non-negative, each summing to 1 over patches.
        log_student: log of the matched student maps, the same shape.
        words: bool `[batch, word]`, or `[batch, layer, word]` where layers were assigned one by one; False for
            padding and unmatched words; or how much each word counts.
    """
    divergence = F.kl_div(log_student, teacher, reduction="none").sum(-1)
    return masked_mean(divergence, words[:, None] if words.ndim == 2 else words)

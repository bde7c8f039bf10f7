"""Attention transfer of self-attention maps: copy where each of the teacher's tokens looks.

Li, Tian, Chen, Pathak & Chen, "On the Surprising Effectiveness of Attention Transfer for Vision Transformers",
NeurIPS 2024 (arXiv 2411.09702), attention distillation: cross-entropy between the rows of the teacher's and the
student's `softmax(q k^T / sqrt(d))`. Their code sums over layers, with weight 3; this is the mean over layers.
"""

from __future__ import annotations

from torch import Tensor

from lfi.errors import ConfigError


def attention_transfer_loss(teacher: Tensor, log_student: Tensor) -> Tensor:
    """`-mean_{image, layer, row} sum_p T[row, p] log S[row, p]`; least, the teacher's entropy, where both are equal.

    Args:
        teacher: attention `[batch, layer, row, patch]`, each row summing to 1. A row is a token that looks, of one
            head or of the mean of heads.
        log_student: log of the student's attention in the paired layers, the same shape.

    Raises:
        ConfigError: where layers, rows or patches do not pair.
    """
    if teacher.shape != log_student.shape:
        raise ConfigError(
            f"the teacher's attention is {tuple(teacher.shape)} and the student's {tuple(log_student.shape)}; "
            "[batch, layer, row, patch] of paired layers and rows on one grid was expected"
        )
    return -(teacher * log_student).sum(-1).mean()

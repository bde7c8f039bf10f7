"""Logit distillation: copy what the teacher answers, wrong classes included.

Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv 1503.02531), section 2.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def logit_kd(student: Tensor, teacher: Tensor, temperature: float = 2.0) -> Tensor:
    """Soft targets of one label per image: `T^2 KL(softmax(t/T) || softmax(s/T))`. Logits `[batch, class]`."""
    target, log_prediction = (teacher / temperature).softmax(-1), (student / temperature).log_softmax(-1)
    return F.kl_div(log_prediction, target, reduction="batchmean") * temperature**2


def multilabel_kd(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """The same for labels that are each present or not: binary cross-entropy with the teacher's soft presence.

    Args:
        student: logits `[batch, class]`.
        teacher: presence logits `[batch, class]`.
    """
    target = (teacher / temperature).sigmoid()
    return F.binary_cross_entropy_with_logits(student / temperature, target) * temperature**2

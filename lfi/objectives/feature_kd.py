"""Feature distillation: copy the teacher's image embedding.

Its direction, after FitNets (Romero et al. 2015, arXiv 1412.6550, eq. 3, there the squared distance): in the shared
space of a vision-language model lengths mean nothing.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def feature_kd(student: Tensor, teacher: Tensor) -> Tensor:
    """`mean (1 - cos(s, t))` between image embeddings in the teacher's space, `[batch, text_dim]`."""
    return (1 - F.cosine_similarity(student, teacher, dim=-1)).mean()

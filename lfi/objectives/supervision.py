"""Plain supervision: only the labels, no teacher.

Label smoothing after Szegedy et al. 2016 (arXiv 1512.00567), section 7.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.errors import ConfigError
from lfi.objectives.counting import masked_mean


def supervision(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy for one class per image, binary cross-entropy for classes that are each present or not.

    Args:
        logits: `[batch, class]`.
        labels: int64 `[batch]`, -1 where nobody knows the class; or floating `[batch, class]` in [0, 1].
        smoothing: share of the target spread evenly: over all classes, or over present and absent.

    Raises:
        ConfigError: for labels of any other type.
    """
    if labels.dtype == torch.int64:
        each = F.cross_entropy(logits, labels.clamp_min(0), label_smoothing=smoothing, reduction="none")
        return masked_mean(each, labels >= 0)
    if labels.is_floating_point():
        return F.binary_cross_entropy_with_logits(logits, labels * (1 - smoothing) + smoothing / 2)
    raise ConfigError(f"labels are {labels.dtype}; int64 classes or floating presences were expected")

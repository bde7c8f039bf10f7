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

    An image that several classes are right for counts once: the mean of their cross-entropies.

    Args:
        logits: `[batch, class]`.
        labels: int64 `[batch]` or `[batch, several]`, -1 where nobody knows a class; or floating `[batch, class]` in
            [0, 1].
        smoothing: share of the target spread evenly: over all classes, or over present and absent.

    Raises:
        ConfigError: for labels of any other type.
    """
    if labels.dtype == torch.int64:
        right = labels.reshape(len(labels), -1)
        known = right >= 0
        repeated = logits[..., None].expand(-1, -1, right.shape[1])
        each = F.cross_entropy(repeated, right.clamp_min(0), label_smoothing=smoothing, reduction="none")
        count = known.sum(1)
        return masked_mean((each * known).sum(1) / count.clamp_min(1), count > 0)
    if labels.is_floating_point():
        return F.binary_cross_entropy_with_logits(logits, labels * (1 - smoothing) + smoothing / 2)
    raise ConfigError(f"labels are {labels.dtype}; int64 classes or floating presences were expected")

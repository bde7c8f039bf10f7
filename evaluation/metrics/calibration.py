"""Expected calibration error: how far confidence is from accuracy. Guo et al. 2017 (arXiv 1706.04599).

Images are sorted into 15 bins by the probability of the class that is chosen; the error is the mean over images of the
distance between mean confidence and accuracy in their bin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from evaluation.metrics.metric import Metric


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> Tensor:
    """ECE with bins of equal width, closed above.

    Args:
        probabilities: `[n, class]`, each row summing to 1.
        labels: int64 `[n]`.

    Returns:
        float32 `[1]`: one value for all images, in [0, 1]; NaN without images.
    """
    if not len(labels):
        return torch.full((1,), float("nan"))
    confidence, chosen = probabilities.double().max(1)
    place = (torch.ceil(confidence * bins).long() - 1).clamp(0, bins - 1)
    gap = torch.zeros(bins, dtype=torch.float64).index_add_(0, place, confidence - (chosen == labels).double())
    return (gap.abs().sum() / len(labels)).float()[None]


METRIC = Metric("ECE", "classification", "probability", "lower", calibration_error)

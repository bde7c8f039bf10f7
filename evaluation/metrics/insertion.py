"""Insertion: how fast the score rises when the patches that a map names come into focus. Petsiuk et al. 2018
(arXiv 1806.07421).

The area under the score, so higher is better; it starts from a blurred image, as sharp edges of patches on grey would
be shapes of their own.
"""

from __future__ import annotations

from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from evaluation.metrics.metric import Metric
from evaluation.metrics.perturbation import Score, area, curve


def insertion(maps: Tensor, images: Tensor, score: Score, steps: int = 16) -> Tensor:
    """Area under the score while the blurred image comes into focus, the map's largest patches first.

    Args:
        maps: `[n, rows, columns]`.
        images: normalised, `[n, 3, height, width]`; blurred by a Gaussian of a twelfth of the longer side.
        score: see `perturbation.Score`.

    Returns:
        float32 `[n]` in the score's unit.
    """
    sigma = max(images.shape[-2:]) / 12
    kernel = min(2 * round(3 * sigma) + 1, 2 * min(images.shape[-2:]) - 1)
    return area(curve(maps, gaussian_blur(images, [kernel, kernel], [sigma, sigma]), images, score, steps))


METRIC = Metric("insertion", "faithfulness", "area under the score", "higher", insertion, (-float("inf"), float("inf")))

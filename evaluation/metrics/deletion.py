"""Deletion: how fast the score falls when the patches that a map names are greyed out. Petsiuk et al. 2018
(arXiv 1806.07421).

The area under the score, so lower is better. Compare with a shuffled map's area on the same model: scores of models
that break down early are low for any map.
"""

from __future__ import annotations

import torch
from torch import Tensor

from evaluation.metrics.metric import Metric
from evaluation.metrics.perturbation import Score, area, curve


def deletion(maps: Tensor, images: Tensor, score: Score, steps: int = 16) -> Tensor:
    """Area under the score while the image turns grey, the map's largest patches first.

    Args:
        maps: `[n, rows, columns]`.
        images: normalised, `[n, 3, height, width]`: 0 is the mean colour.
        score: see `perturbation.Score`.

    Returns:
        float32 `[n]` in the score's unit.
    """
    return area(curve(maps, images, torch.zeros_like(images), score, steps))


METRIC = Metric("deletion", "faithfulness", "area under the score", "lower", deletion, (-float("inf"), float("inf")))

"""Pointing game: does the map's peak lie in the mask? Zhang et al. 2018 (arXiv 1608.00507).

Pixel by pixel and without the usual tolerance of 15 pixels. Chance is the mask's area, which is how often a pixel drawn
at random hits. A uniform map is no such draw: enlarging makes some of its pixels a little higher than others, and of
equal ones the first counts, so its peak is one fixed pixel. Compare with the centre's hit rate too, since photographs
show their subject there.
"""

from __future__ import annotations

from torch import Tensor

from evaluation.metrics.grids import enlarge, resize, undefined
from evaluation.metrics.metric import Metric


def pointing_hit(maps: Tensor, masks: Tensor, smooth: bool = True) -> Tensor:
    """Whether the map's peak lies in the mask.

    Args:
        maps: `[n, rows, columns]`.
        masks: `[n, height, width]`.
        smooth: enlarge by `enlarge`; False interpolates bilinearly between the patches' centres.

    Returns:
        float32 `[n]` of 0 and 1, NaN for an empty mask.
    """
    size = (masks.shape[-2], masks.shape[-1])
    large = enlarge(maps, size) if smooth else resize(maps, size)
    peak = large.flatten(1).argmax(1)
    hit = masks.flatten(1).float().gather(1, peak[:, None])[:, 0]
    return undefined(hit, ~masks.flatten(1).any(1))


METRIC = Metric("pointing game", "localisation", "share of maps", "higher", pointing_hit)

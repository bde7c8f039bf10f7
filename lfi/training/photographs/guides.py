"""Where the tower itself looks for what it is sure of: LayerCAM, the guide of the decoder's attention.

Jiang et al. 2021, "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE TIP: a feature map
counts where its own gradient is positive. Of the last feature maps of strides 16 and 32, each normalised, added up.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.grids import poured
from lfi.teachers.names import Names
from lfi.training.photographs.bank import SIDE
from lfi.training.photographs.trunk import GRID, Stages

SHARPNESS = 1.5
MOST_GUIDES = 3
BATCH = 50


class Guides:
    """Explains a classifier's evidence for names, from the features of its fifth stage.

    Args:
        stages: the classifier.
        names: what its classes are called.
    """

    def __init__(self, stages: Stages, names: Names):
        self.stages = stages
        own = names.covers[:, :1000].copy()
        own[names.covers[:, 1000:].any(1)] = True  # beyond ImageNet: whatever the classifier sees there
        self.covers = torch.from_numpy(own)

    def explain(self, fifth: np.ndarray, labels: np.ndarray, regions: np.ndarray) -> tuple[Tensor, Tensor]:
        """Class probabilities `[n, 1000]`, and maps float32 `[n, guide, cell]`, each summing to 1, or 0 where none is.

        Args:
            fifth: float16 `[n, 14, 14, 120]`, as `Features` keeps it.
            labels, regions: as of `Part`, the first `MOST_GUIDES` of which are explained, each within its region.
        """
        seen = torch.from_numpy(fifth).float().permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        seen.requires_grad_()
        sixth = self.stages.model.blocks[5](seen)
        logits = self.stages.logits(self.stages.last(sixth)[1])
        inside = torch.from_numpy(visible(regions))
        maps = torch.zeros(len(seen), MOST_GUIDES, GRID * GRID)
        for guide in range(min(MOST_GUIDES, labels.shape[1])):
            named = torch.from_numpy(labels[:, guide])
            if not bool((named >= 0).any()):
                continue
            score = logits.masked_fill(~self.covers[named.clamp_min(0)], -torch.inf).logsumexp(1)
            gradients = torch.autograd.grad(score.sum(), (seen, sixth), retain_graph=True)
            found = torch.zeros(len(seen), GRID * GRID)
            for gradient, features in zip(gradients, (seen, sixth), strict=True):
                each = (gradient.relu() * features).sum(1, keepdim=True).relu().detach()
                each = F.interpolate(each, (GRID, GRID), mode="bilinear", align_corners=False).flatten(1)
                found += each / each.sum(1, keepdim=True).clamp_min(1e-9)
            found = found**SHARPNESS * inside[:, guide]
            maps[:, guide] = found / found.sum(1, keepdim=True).clamp_min(1e-12) * (named >= 0)[:, None]
        return logits.detach().softmax(1), maps

    def explain_all(self, fifth: np.ndarray, labels: np.ndarray, regions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same of any number of images, as float16 arrays."""
        found = [
            self.explain(*(each[start : start + BATCH] for each in (fifth, labels, regions)))
            for start in range(0, len(fifth), BATCH)
        ]
        chances, maps = zip(*found, strict=True)
        return torch.cat(chances).half().numpy(), torch.cat(maps).half().numpy()


def visible(regions: np.ndarray) -> np.ndarray:
    """Share of every cell that belongs to each region, float32 `[n, 4, cell]`; what lies on it is not part of it.

    Regions come in reading order, or from the lowest to the topmost: a later one covers an earlier one.
    """
    side = SIDE
    lines = np.arange(side)
    across = (lines >= regions[..., None, 0]) & (lines < regions[..., None, 2])
    down = (lines >= regions[..., None, 1]) & (lines < regions[..., None, 3])
    masks = down[..., :, None] & across[..., None, :]
    for upper in range(1, regions.shape[1]):
        masks[:, :upper] &= ~masks[:, upper : upper + 1]
    cells = torch.from_numpy(masks.reshape(-1, 1, side, side).astype(np.float32))
    shares = poured(cells, (GRID, GRID)) * (GRID / side) ** 2
    return shares.view(len(regions), regions.shape[1], -1).numpy()

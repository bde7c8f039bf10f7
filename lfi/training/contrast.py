"""What images and texts teach each other: symmetric contrast, and the class names among all names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.objectives.counting import gathered, global_count


def contrast(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    """Each image's caption among the batch's captions and the reverse, mean of both cross-entropies.

    InfoNCE as in CLIP (Radford et al. 2021, arXiv 2103.00020, figure 3). Every process tells its own rows from those
    of all processes, so that the mean over processes is the loss of the whole batch.

    Args:
        image, text: unit-norm `[n, dim]`, row by row a pair.
        scale: what cosines are multiplied by.
    """
    images, texts = gathered(image), gathered(text)
    first = torch.distributed.get_rank() * len(image) if len(images) > len(image) else 0
    own = torch.arange(first, first + len(image), device=image.device)
    return (F.cross_entropy(image @ texts.T * scale, own) + F.cross_entropy(text @ images.T * scale, own)) / 2


def class_names(logits: Tensor, named: Tensor, unsaid: Tensor) -> Tensor:
    """Cross-entropy of the classes that are there among all, mean over the images of the whole batch that name any.

    Args:
        logits: `[n, class]`.
        named: `[n, class]`, shares that sum to 1, or to 0 where nothing is known of an image.
        unsaid: bool `[n, class]`, classes that an image might show as well: neither right nor wrong.
    """
    chance = logits.masked_fill(unsaid, -1e4).log_softmax(-1)
    count = global_count(named.sum())
    return -(named * chance).sum() / torch.where(count > 0, count, 1)

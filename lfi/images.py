"""From pictures to the pixels a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lfi.upright import upright_rgb

MEAN, STD = 0.5, 0.25
"""Normalisation of every model that is trained here (one value for all channels)."""


def pixels(images: Sequence[Image.Image], size: tuple[int, int]) -> Tensor:
    """Images squashed to `size` (height, width), so that all of each stays visible, float32 `[batch, 3, *size]`.

    They are seen as everywhere else: upright, transparency on white (`lfi.upright`).
    """
    height, width = size
    arrays = [np.asarray(upright_rgb(image).resize((width, height), Image.Resampling.BICUBIC)) for image in images]
    return normalise(torch.from_numpy(np.stack(arrays)))


def normalise(images: Tensor) -> Tensor:
    """Uint8 `[batch, height, width, 3]` to float32 `[batch, 3, height, width]`."""
    return images.permute(0, 3, 1, 2).float().div_(255).sub_(MEAN).div_(STD)


def pictures(images: Tensor) -> list[Image.Image]:
    """Normalised `[batch, 3, height, width]` as pictures of 8 bits: what `normalise` was given, to the bit."""
    levels = ((images * STD + MEAN) * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(np.ascontiguousarray(each)) for each in levels]

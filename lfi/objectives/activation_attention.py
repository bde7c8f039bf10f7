"""Attention transfer of activations: copy where the teacher's features are strong.

Zagoruyko & Komodakis, "Paying More Attention to Attention", ICLR 2017 (arXiv 1612.03928): `F_sum^2` of section 3.1 and
eq. 2, `beta/2 sum_j || Q_S^j/||Q_S^j|| - Q_T^j/||Q_T^j|| ||_2`. As in the authors' code the distance is squared, which
is smooth at 0, and averaged over images and layers; unlike there it is summed over patches, so that the weight (which
is `beta/2`) does not depend on the grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.errors import ConfigError


def activation_map(tokens: Tensor) -> Tensor:
    """`sum_c A_c^2`: `[..., patch, dim]` to `[..., patch]`. Patch tokens alone, without CLS and registers."""
    return tokens.square().sum(-1)


def activation_attention_loss(student: Tensor | Sequence[Tensor], teacher: Tensor) -> Tensor:
    """`mean_{image, layer} || Q_S/||Q_S|| - Q_T/||Q_T|| ||_2^2`; between 0 and 2.

    Args:
        student: activation maps `[batch, layer, patch]`, or one `[batch, patch]` for each layer.
        teacher: activation maps `[batch, layer, patch]` of the paired layers, on the student's grid.

    Raises:
        ConfigError: where layers or patches do not pair.
    """
    maps = student if isinstance(student, Tensor) else torch.stack(list(student), dim=1)
    if maps.shape != teacher.shape:
        raise ConfigError(
            f"the student's activation maps are {tuple(maps.shape)} and the teacher's {tuple(teacher.shape)}; "
            "[batch, layer, patch] of paired layers on one grid was expected"
        )
    return (F.normalize(maps, dim=-1) - F.normalize(teacher, dim=-1)).square().sum(-1).mean()

"""What turns gradients into steps: AdamW, or Muon for matrices with AdamW for the rest."""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from timm.optim import Muon, muon

from lfi.devices import faster_in_bfloat16
from lfi.training.config import LoopConfig


class Float32Muon(Muon):
    """timm's Muon with its matrices multiplied in float32, three times as fast on a CPU that lacks bfloat16.

    timm multiplies them in bfloat16 everywhere and has no setting for it.
    """

    def step(self, closure: Any = None) -> Any:
        in_float32 = partial(muon.zeropower_via_newtonschulz, dtype=torch.float32)
        with patch.object(muon, "zeropower_via_newtonschulz", in_float32):
            return super().step(closure)


def optimizer(groups: list[dict[str, Any]], config: LoopConfig) -> torch.optim.Optimizer:
    """The optimiser that `config.optimizer` names, over groups with a weight decay each.

    Muon (Jordan et al. 2024) makes the update of a matrix orthogonal: all its directions move equally far, where
    AdamW follows the few that gradients agree on. Updates are scaled to the size of AdamW's (Liu et al. 2025, arXiv
    2502.16982), so learning rates are of the same kind. AdamW with Nesterov momentum moves vectors, very thin matrices
    and the groups that set `use_fallback`. Kernels of convolutions, flattened, and tables of embeddings are matrices.

    Args:
        groups: as `parameter_groups` makes them.
    """
    if config.optimizer == "muon":
        device = groups[0]["params"][0].device.type
        return (Muon if faster_in_bfloat16(device) else Float32Muon)(
            groups,
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            momentum=0.95,
            nesterov=True,
            adjust_lr_fn="match_rms_adamw",
        )
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)

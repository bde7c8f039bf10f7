"""What turns gradients into steps: AdamW, or Muon for matrices with AdamW for the rest."""

from __future__ import annotations

from typing import Any

import torch
from timm.optim import Muon

from lfi.training.config import LoopConfig


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
        return Muon(
            groups,
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            momentum=0.95,
            nesterov=True,
            adjust_lr_fn="match_rms_adamw",
        )
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)

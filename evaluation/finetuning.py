"""Fine-tuning: a model's backbone trained further under a new head, on one short schedule for all models.

The head begins as the linear probe of the frozen features and only then is everything trained (LP-FT, Kumar et al.
2022, arXiv 2202.10054): a random head would first spoil the features, and differently for features of different scale.
Blocks further down learn more slowly (layer-wise decay, Clark et al. 2020, arXiv 2003.10555).
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from evaluation.features import Backbone, Features
from lfi.data.augment import Views
from lfi.data.imageset import ImageSet
from lfi.errors import UnsupportedModelError

_BATCH = 250
_EMBEDDING = re.compile(
    r"patch_embed|pos_embed|cls_token|reg_token|positional_embedding|class_embedding|conv1|norm_pre|ln_pre"
)
_BLOCK = re.compile(r"(?:blocks|resblocks)\.(\d+)\.")


@dataclass(frozen=True)
class Schedule:
    """How far a model is trained.

    Attributes:
        learning_rate: of the head and the last block, after a warm-up of a tenth of the steps; a cosine to nothing.
        decay: a block's learning rate over that of the block above it.
        crop: smallest share of an image that a random crop keeps.
    """

    epochs: int = 5
    batch: int = 64
    learning_rate: float = 3e-4
    decay: float = 0.75
    weight_decay: float = 0.05
    crop: float = 0.6


class FineTuned(nn.Module):
    """A copy of a backbone under a head: float pixels 0 to 1 `[n, 3, height, width]` to logits `[n, class]`."""

    def __init__(self, backbone: Backbone, head: nn.Linear):
        super().__init__()
        self.module, self.head, self._of = copy.deepcopy(backbone.module), head, backbone.of

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self._of(self.module, pixels))


def finetuned(
    model: Features,
    head: nn.Linear,
    train: ImageSet,
    schedule: Schedule,
    seed: int,
    score: Callable[[FineTuned], float] | None = None,
) -> FineTuned:
    """A copy of the model, trained on these images.

    Args:
        head: what it begins with, `evaluation.probes.head_of` the linear probe of the frozen features.
        score: of the model after every epoch, on images that are not tested: the best epoch is kept, the last one
            without it.

    Raises:
        UnsupportedModelError: features without a backbone.
    """
    if model.backbone is None:
        raise UnsupportedModelError(f"{model.name} is not a module, so it cannot be trained further")
    device = next(model.backbone.module.parameters()).device
    torch.manual_seed(seed)
    tuned = FineTuned(model.backbone, copy.deepcopy(head)).to(device).requires_grad_(True)
    optimizer = torch.optim.AdamW(layer_groups(tuned, schedule), lr=schedule.learning_rate)
    rates = [group["lr"] for group in optimizer.param_groups]
    rng = np.random.default_rng((seed, 6))
    pixels, labels = torch.from_numpy(np.ascontiguousarray(train.images)), torch.from_numpy(train.labels)
    per_epoch = math.ceil(len(train) / schedule.batch)
    kept: tuple[float, dict[str, Tensor]] | None = None
    bar = tqdm(range(schedule.epochs * per_epoch), f"fine-tuning {model.name}", unit="step", leave=False, mininterval=2)
    for step in bar:
        if step % per_epoch == 0:
            order = rng.permutation(len(train))
            tuned.train()
        rows = order[step % per_epoch * schedule.batch :][: schedule.batch]
        views = Views.draw(len(rows), rng, schedule.crop)
        shown = views.images(pixels[rows].to(device).permute(0, 3, 1, 2).float() / 255)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * _share(step, len(bar))
        loss = F.cross_entropy(tuned(shown), labels[rows].to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(tuned.parameters(), 1.0)
        optimizer.step()
        if score is not None and (step + 1) % per_epoch == 0:
            reached = score(tuned.eval())
            if kept is None or reached > kept[0]:
                kept = reached, copy.deepcopy(tuned.state_dict())
    if kept is not None:
        tuned.load_state_dict(kept[1])
    return tuned.eval()


@torch.inference_mode()
def probabilities(tuned: FineTuned, images: np.ndarray) -> Tensor:
    """Of uint8 images `[n, size, size, 3]`, `[n, class]` on the CPU."""
    device = tuned.head.weight.device
    parts = []
    for start in range(0, len(images), _BATCH):
        batch = torch.from_numpy(np.array(images[start : start + _BATCH])).to(device)
        parts.append(tuned(batch.permute(0, 3, 1, 2).float() / 255).float().softmax(-1).cpu())
    return torch.cat(parts)


def layer_groups(tuned: FineTuned, schedule: Schedule) -> list[dict[str, Any]]:
    """The optimiser's groups: a learning rate by depth, weight decay for matrices alone.

    Depth is read from names as timm's and open_clip's transformers have them; a model without numbered blocks is
    trained at one rate.
    """
    places = {name: _BLOCK.search(name) for name, _ in tuned.named_parameters()}
    depth: dict[str, int] = {}
    for name, place in places.items():
        if place:
            tower = name[: place.start()]
            depth[tower] = max(depth.get(tower, 0), int(place[1]) + 1)
    found: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in tuned.named_parameters():
        place = places[name]
        if place:
            below = depth[name[: place.start()]] - 1 - int(place[1])
        else:
            below = max(depth.values(), default=0) if _EMBEDDING.search(name) else 0
        found.setdefault((below, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": schedule.learning_rate * schedule.decay**below,
            "weight_decay": schedule.weight_decay if matrices else 0.0,
        }
        for (below, matrices), parameters in found.items()
    ]


def _share(step: int, steps: int) -> float:
    """Of the learning rate: linear warm-up over a tenth of the steps, then a cosine to nothing."""
    warmup = max(1, steps // 10)
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2

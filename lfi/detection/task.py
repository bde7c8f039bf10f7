"""A detector as a task of the training loop, and the learning rates of its layers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN

from lfi.training.loop import parameter_groups

_LOSSES = {
    "loss_objectness": "objectness",
    "loss_rpn_box_reg": "proposals",
    "loss_classifier": "classes",
    "loss_box_reg": "boxes",
    "loss_mask": "masks",
}


class DetectionTask(nn.Module):
    """The five losses of Mask R-CNN, each of weight 1."""

    def __init__(self, detector: MaskRCNN):
        super().__init__()
        self.detector = detector

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """A batch as `InstanceViews` makes it, to named losses with their sum as `loss`."""
        images = list(batch["images"].float() / 255)
        targets = [
            {name: batch[name][row, :count] for name in ("boxes", "labels", "masks", "masked")}
            for row, count in enumerate(batch["count"].tolist())
        ]
        losses = {_LOSSES[name]: value for name, value in self.detector(images, targets).items()}
        return {"loss": sum(losses.values(), start=images[0].new_zeros(())), **losses}


def layer_groups(task: nn.Module, weight_decay: float, decay: float) -> list[dict[str, Any]]:
    """`parameter_groups` with a `scale` of the learning rate: layer-wise decay (Clark et al. 2020; Bao et al. 2021).

    Pyramid and heads, and the norm after the last block, have scale 1; block `b` of `d` (from 0) has `decay ** (d - b)`
    and the embedding of patches, with positions and tokens, `decay ** (d + 1)`.
    """
    backbone: Any = task.detector.backbone.backbone  # type: ignore[union-attr]
    depth = len(backbone.blocks)
    power = {id(parameter): depth + 1 for parameter in backbone.parameters()}
    power |= {id(parameter): 0 for parameter in backbone.norm.parameters()}
    for number, block in enumerate(backbone.blocks):
        power |= {id(parameter): depth - number for parameter in block.parameters()}
    groups = []
    for group in parameter_groups(task, weight_decay):
        by_power: dict[int, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            by_power.setdefault(power.get(id(parameter), 0), []).append(parameter)
        groups += [{**group, "params": by_power[each], "scale": decay**each} for each in sorted(by_power)]
    return groups

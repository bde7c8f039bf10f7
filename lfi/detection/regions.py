"""Mask R-CNN's heads where some objects have a box and no mask: these teach classes and boxes, and no mask."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads, maskrcnn_loss


class PartlyMaskedHeads(RoIHeads):
    """torchvision's heads; `masked` of a target, bool `[object]`, says which of its masks are known (without it all).

    With all of them known the losses are torchvision's own.
    """

    def has_mask(self) -> bool:
        """In training the loss of masks is added by `forward` here."""
        return super().has_mask() and not self.training

    def select_training_samples(self, proposals: Any, targets: Any) -> Any:
        """As torchvision's; kept for the masks, which are of the same proposals."""
        self._sampled = super().select_training_samples(proposals, targets)
        return self._sampled

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """As torchvision's."""
        result, losses = super().forward(features, proposals, image_shapes, targets)
        if self.training and targets is not None:
            losses["loss_mask"] = self._mask_loss(features, image_shapes, targets)
        return result, losses

    def _mask_loss(
        self, features: dict[str, Tensor], image_shapes: list[tuple[int, int]], targets: list[dict[str, Tensor]]
    ) -> Tensor:
        proposals, matched, labels, _ = self._sampled
        del self._sampled
        chosen = []
        for match, label, target in zip(matched, labels, targets, strict=True):
            positive = label > 0
            if "masked" in target and len(target["masked"]):
                positive = positive & target["masked"][match]
            chosen.append(torch.where(positive)[0])
        places = [boxes[rows] for boxes, rows in zip(proposals, chosen, strict=True)]
        logits = self.mask_predictor(self.mask_head(self.mask_roi_pool(features, places, image_shapes)))
        masks, kinds = ([target[name] for target in targets] for name in ("masks", "labels"))
        return maskrcnn_loss(
            logits, places, masks, kinds, [match[rows] for match, rows in zip(matched, chosen, strict=True)]
        )

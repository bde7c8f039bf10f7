"""Grad-CAM of every layer, by pytorch-grad-cam (Selvaraju et al. 2017, arXiv 1610.02391)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from lfi.students.reading import frozen
from lfi.students.vit import Student


class _EveryLayer(GradCAM):
    """The package's map of every layer as it is, where the package would scale each by its peak and average them."""

    def compute_cam_per_layer(self, input_tensor: Tensor, targets: list[Any], eigen_smooth: bool) -> list[np.ndarray]:
        kept = self.activations_and_grads
        return [
            self.get_cam_image(input_tensor, layer, targets, tokens.numpy(), gradients.numpy(), eigen_smooth)
            for layer, tokens, gradients in zip(self.target_layers, kept.activations, kept.gradients, strict=True)
        ]

    def aggregate_multi_layers(self, cam_per_target_layer: list[np.ndarray]) -> np.ndarray:
        return np.maximum(np.stack(cam_per_target_layer, 1), 0)


class _Scores(nn.Module):
    """A student as a classifier whose classes are words."""

    def __init__(self, student: Student, score: Callable[[Tensor], Tensor]):
        super().__init__()
        self.student, self.score = student, score

    def forward(self, images: Tensor) -> Tensor:
        return self.score(images)


def grad_cam(
    student: Student, layers: Sequence[nn.Module], images: Tensor, score: Callable[[Tensor], Tensor], words: int
) -> Tensor:
    """What these layers put out, weighted by the mean gradient of each word's score, `[batch, layer, word, patch]`.

    Args:
        layers: modules of the student whose output is `[batch, token, dim]`, prefix tokens first.
        images: `[batch, 3, height, width]`.
        score: of images, `[batch, word]`; runs the student.
        words: how many.
    """
    prefix, grid = student.backbone.num_prefix_tokens, student.grid

    def patches(tokens: Tensor) -> Tensor:
        return tokens[:, prefix:].transpose(1, 2).unflatten(2, grid)

    found = []
    with torch.enable_grad(), frozen(student), _EveryLayer(_Scores(student, score), list(layers), patches) as cam:
        for word in range(words):
            maps = cam(images.clone().requires_grad_(True), [ClassifierOutputTarget(word)] * len(images))
            found.append(torch.from_numpy(maps).flatten(2))
    return torch.stack(found, 2).to(images)

"""Relational distillation: copy how the images of a batch relate to each other, not where they lie.

Park, Kim, Lu & Cho, "Relational Knowledge Distillation", CVPR 2019 (arXiv 1904.05068), section 3.2. Means stand for
the paper's sums, over distinct images as there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.objectives.counting import gathered


def relational_kd(student: Tensor, teacher: Tensor, distance: float = 25.0, angle: float = 50.0) -> Tensor:
    """`distance * L_D + angle * L_A`, with the paper's weights for classification.

    Args:
        student: embeddings `[batch, d1]`.
        teacher: embeddings `[batch, d2]`.
    """
    loss = student.new_zeros(())
    if distance:
        loss = loss + distance * distance_loss(student, teacher)
    if angle:
        loss = loss + angle * angle_loss(student, teacher)
    return loss


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """`L_D = mean_{i != j} huber(psi_D(t_i, t_j), psi_D(s_i, s_j))`, `psi_D = ||x_i - x_j|| / mean ||x_i - x_j||`.

    0 for fewer than two images.
    """

    def relative(values: Tensor) -> Tensor:
        distances = F.pdist(gathered(values))
        return distances / (distances.sum() / max(len(distances), 1)).clamp_min(1e-8)

    losses = F.smooth_l1_loss(relative(student), relative(teacher), reduction="none")
    return losses.sum() / max(losses.numel(), 1)


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """`L_A = mean huber(psi_A(t_i, t_j, t_k), psi_A(s_i, s_j, s_k))` over distinct i, j, k; `psi_A` is the cosine at j.

    Time and memory grow with `share * batch^2` (each process takes its own images as j): in the hundreds of images
    it is nothing on a GPU and a second on a CPU. 0 for fewer than three images.
    """
    losses = F.smooth_l1_loss(_cosines(student), _cosines(teacher), reduction="none")
    vertices, images = losses.shape[:2]
    # what is 0 of itself, i = j or j = k, is left out of the count alone
    distinct = losses.sum() - losses.diagonal(dim1=1, dim2=2).sum()
    return distinct / max(vertices * (images - 1) * (images - 2), 1)


def _cosines(values: Tensor) -> Tensor:
    """Cosine of the angle at j between the directions to i and k: `[j, i, k]`; 0 where one has no length."""
    edges = gathered(values)[None] - values[:, None]
    length = edges.norm(dim=-1, keepdim=True)
    units = edges / length.masked_fill(length == 0, torch.inf)  # equal images: no direction, no gradient
    return units @ units.transpose(1, 2)

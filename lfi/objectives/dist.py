"""DIST: copy how the teacher ranks classes for an image, and images for a class, by correlation instead of value.

Huang, You, Wang, Qian & Xu, "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022 (arXiv 2205.10536),
section 4.2: `beta L_inter + gamma L_intra` with `d_p(u, v) = 1 - pearson(u, v)` on softened predictions.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lfi.objectives.counting import gathered


def pearson_distance(u: Tensor, v: Tensor, dim: int = -1) -> Tensor:
    """`1 - pearson(u, v)` along `dim`; unmoved by `a u + b` with `a > 0`. 1 where one of them is constant."""
    return 1 - F.cosine_similarity(u - u.mean(dim, keepdim=True), v - v.mean(dim, keepdim=True), dim=dim)


def dist(
    student: Tensor,
    teacher: Tensor,
    temperature: float = 1.0,
    inter: float = 1.0,
    intra: float = 1.0,
    multilabel: bool = False,
) -> Tensor:
    """`T^2 (inter mean_image d_p(s[i, :], t[i, :]) + intra mean_class d_p(s[:, c], t[:, c]))`.

    Args:
        student: logits `[batch, class]`.
        teacher: logits `[batch, class]`.
        temperature: `T`; 1 in the paper for ImageNet.
        inter: weight of the relation between the classes of an image, `beta` in the paper.
        intra: weight of the relation between the images of a class, `gamma` in the paper.
        multilabel: predictions are the presence of each class (sigmoid) instead of one class (softmax).
    """

    def predict(logits: Tensor) -> Tensor:
        return (logits / temperature).sigmoid() if multilabel else (logits / temperature).softmax(-1)

    ours, theirs = predict(student), predict(teacher)
    loss = student.new_zeros(())
    if inter:
        loss = loss + inter * pearson_distance(ours, theirs).mean()
    if intra:
        loss = loss + intra * pearson_distance(gathered(ours), gathered(theirs), dim=0).mean()
    return loss * temperature**2

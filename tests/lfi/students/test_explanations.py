"""Explanations of students that read the mean of their patches, for which no one token stands."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.students import Student, StudentConfig
from lfi.students.explanations import EXPLANATIONS, explain, explanations_of
from lfi.students.reading import self_attention

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3}
MEAN = SMALL | {"class_token": False, "global_pool": "avg"}


def student(overrides: dict[str, object] = MEAN, **config: object) -> Student:
    torch.manual_seed(0)
    options = {"queries": 0, "embed": True, **config}
    made = Student(StudentConfig(classes=5, text_dim=16, overrides=overrides, **options))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made.eval()


def words(count: int) -> Tensor:
    return F.normalize(torch.randn(count, 16, generator=torch.Generator().manual_seed(1)), dim=-1)


@pytest.mark.parametrize("registers", [0, 2])
@pytest.mark.parametrize("config", [{}, {"queries": 3}, {"queries": 3, "feedback": True}], ids=str)
def test_no_patch_is_special_where_their_mean_is_read(config, registers):
    """Without positions, an image whose patches are moved has a map whose cells are moved."""
    model = student(MEAN | {"reg_tokens": registers}, **config)
    torch.nn.init.zeros_(model.backbone.pos_embed)
    torch.manual_seed(1)
    images = torch.randn(2, 3, 32, 32)
    moved = images.roll((8, 16), (2, 3))
    for explanation in explanations_of(model):
        found, other = (
            explain(model, explanation, each, ["a", "b"], words(2), heads=False, model="m@1").weights
            for each in (images, moved)
        )
        assert torch.allclose(found.roll((1, 2), (3, 4)), other, atol=1e-4), explanation
        assert not torch.allclose(found, other, atol=1e-3), explanation


def test_all_explanations_are_offered_and_attention_is_the_mean_of_what_patches_attend_to():
    model, images = student(MEAN | {"reg_tokens": 2}), torch.randn(2, 3, 32, 32)
    assert explanations_of(model) == EXPLANATIONS
    with torch.no_grad(), self_attention(model) as attention:
        model(images)
        layers = [layer.mean(1) for layer in attention()]
    followed, rows = torch.eye(18).expand(2, -1, -1), {"self-attention": [], "rollout": []}
    for layer in layers:
        followed = (layer + torch.eye(18)) / 2 @ followed
        rows["self-attention"].append(layer[:, 2:].mean(1)[:, 2:])
        rows["rollout"].append(followed[:, 2:].mean(1)[:, 2:])
    for explanation, expected in rows.items():
        shares = [each / each.sum(-1, keepdim=True) for each in expected]
        found = explain(model, explanation, images, ["a"], words(1), heads=False, model="m@1").weights
        assert torch.allclose(found[:, :, 0].flatten(2), torch.stack(shares, 1), atol=1e-5)


def test_a_class_token_is_read_alone():
    model, images = student(SMALL), torch.randn(1, 3, 32, 32)
    with torch.no_grad(), self_attention(model) as attention:
        model(images)
        row = attention()[-1].mean(1)[:, 0, 1:]
    found = explain(model, "self-attention", images, ["a"], words(1), heads=False, model="m@1").weights
    assert torch.allclose(found[:, -1, 0].flatten(1), row / row.sum(-1, keepdim=True), atol=1e-5)

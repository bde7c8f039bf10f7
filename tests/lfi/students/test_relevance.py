"""Gradient relevance by hand is autograd's, for any number of images and words."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.students import Student, StudentConfig
from lfi.students.explanations import explain, gradient_maps
from lfi.students.relevance import Trace, relevance, trace, traceable

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 4, "num_heads": 3}


def student(**overrides: object) -> Student:
    torch.manual_seed(0)
    made = Student(StudentConfig(classes=5, queries=0, text_dim=16, embed=True, overrides=SMALL | overrides))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made.eval()


def words(count: int) -> Tensor:
    return F.normalize(torch.randn(count, 16, generator=torch.Generator().manual_seed(1)), dim=-1)


@pytest.mark.parametrize(
    "overrides",
    [{}, {"init_values": 0.5}, {"reg_tokens": 2}, {"depth": 1}, {"depth": 2, "qkv_bias": False}],
    ids=["plain", "layer scale", "registers", "one block", "no bias"],
)
@pytest.mark.parametrize("heads", [False, True])
def test_it_is_what_autograd_finds(overrides, heads, monkeypatch):
    model, images, names = student(**overrides), torch.randn(3, 3, 32, 32), ("a", "b")
    with monkeypatch.context() as patch:
        patch.setattr("lfi.students.explanations.traceable", lambda model: False)
        expected = explain(model, "gradient", images, names, words(2), heads=heads, model="m@1")
    by_default = explain(model, "gradient", images, names, words(2), heads=heads, model="m@1")
    found = gradient_maps(
        relevance(model, trace(model, images), words(2).expand(3, -1, -1)), model, names, heads=heads, model="m@1"
    )
    assert (found.queries, found.layers, found.kind) == (expected.queries, expected.layers, expected.kind)
    torch.testing.assert_close(found.weights, expected.weights, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.outside, expected.outside, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(by_default.weights, found.weights)


def test_images_of_several_traces_make_one_batch():
    model, images = student(), torch.randn(3, 3, 32, 32)
    whole = trace(model, images)
    other = trace(model, images[2:])
    mixed = Trace.of([(whole, 1), (other, 0), (whole, 0)])
    torch.testing.assert_close(
        relevance(model, mixed, words(1).expand(3, 1, -1)),
        relevance(model, whole, words(1).expand(3, 1, -1))[[1, 2, 0]],
    )
    assert Trace.of([(whole, 0), (whole, 1), (whole, 2)]) is whole
    assert len(other) == 1
    assert whole.bytes == 3 * other.bytes


@pytest.mark.parametrize("overrides", [{"qk_norm": True}, {"class_token": False, "global_pool": "avg"}])
def test_other_architectures_are_left_to_autograd(overrides):
    assert traceable(student())
    assert not traceable(student(**overrides))

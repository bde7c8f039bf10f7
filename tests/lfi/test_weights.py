"""Weights are found however a checkpoint wraps them."""

import pytest
import torch
from timm import create_model

from lfi.detection.backbones import load_backbone
from lfi.errors import CheckpointError
from lfi.weights import read_weights, state_of

WRAPPED = [
    lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3},
    lambda state: {f"_orig_mod.module.{name}": value for name, value in state.items()},
    lambda state: {f"module._orig_mod.module.{name}": value for name, value in state.items()},
    lambda state: {"state_dict": {"state_dict": {"model": state}}},
    lambda state: {"model": {f"state_dict._orig_mod.{name}": value for name, value in state.items()}},
    lambda state: {name.replace("blocks.", "blocks._orig_mod.", 1): value for name, value in state.items()},
]


@pytest.mark.parametrize("wrap", WRAPPED)
def test_prefixes_and_wrappings_are_taken_away_in_any_mix(wrap, tmp_path):
    state = {"blocks.0.weight": torch.ones(2), "head.bias": torch.zeros(1)}
    torch.save(wrap(state), tmp_path / "a.pt")
    found = read_weights(tmp_path / "a.pt")
    assert list(found) == list(state)
    assert torch.equal(found["blocks.0.weight"], torch.ones(2))


def test_a_backbone_reads_them_as_a_teacher_does(tmp_path):
    state = create_model("test_vit", num_classes=0).state_dict()
    torch.save({"state_dict": {f"module._orig_mod.{name}": value for name, value in state.items()}}, tmp_path / "a.pt")
    backbone, _, _ = load_backbone(f"timm:test_vit:{tmp_path / 'a.pt'}", "", None)
    assert all(torch.equal(value, state[name]) for name, value in backbone.state_dict().items())
    torch.save({"cls_token": torch.zeros(1)}, tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match=r"b\.pt does not fit test_vit"):
        load_backbone(f"timm:test_vit:{tmp_path / 'b.pt'}", "", None)


def test_two_tensors_of_one_name_are_refused():
    with pytest.raises(CheckpointError, match=r"holds a twice: as a and as module\.a"):
        state_of({"a": torch.ones(1), "module.a": torch.ones(1)}, "x.pt")

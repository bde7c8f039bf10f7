"""A teacher has the activation and the colours that its weights were trained with, wherever they come from."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import PIL.Image
import pytest
import torch
from teacher_models import COLOURS, CONFIGS, as_safetensors, one_line, sharp
from torch import nn

from lfi.errors import (
    CheckpointError,
)
from lfi.peers import load_peer
from lfi.teachers import BaseTeacher, load_teacher
from lfi.teachers.loading import save_named

QUICK = {"hf_hub": "some/tiny/", "quick_gelu": True, **COLOURS}
PLAIN = {"hf_hub": "some/other/", "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5]}


def is_the_quick_one(teacher: BaseTeacher, model: nn.Module) -> bool:
    """Whether it has the activation of the model, and the colours of `QUICK`."""
    pixels = teacher.preprocess([PIL.Image.new("RGB", (40, 40), "teal")])
    with torch.no_grad():
        expected = model.encode_image(pixels, normalize=True)
    normalised = (torch.tensor([0, 128, 128]) / 255 - torch.tensor([0.5, 0.4, 0.3])) / torch.tensor([0.2, 0.3, 0.4])
    return torch.allclose(teacher.embed_images(pixels), expected, atol=1e-5) and torch.allclose(
        pixels[0, :, 0, 0], normalised, atol=1e-5
    )


def test_a_tag_brings_the_activation_its_weights_were_trained_with(
    no_network: None, tmp_path: Path, architectures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = sharp(CONFIGS["clip"] | {"quick_gelu": True})
    repository = tmp_path / "hub" / "models--some--tiny"
    snapshot = repository / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(snapshot.name)
    as_safetensors(model, snapshot / "open_clip_model")
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny_clip", {"openai": QUICK})
    assert is_the_quick_one(load_teacher("tiny_clip", "openai"), model)


def test_a_file_was_trained_as_all_weights_of_its_architecture_were(
    tmp_path: Path, architectures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = sharp(CONFIGS["clip"] | {"quick_gelu": True})
    file = as_safetensors(model, tmp_path / "weights")
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny_clip", {"openai": QUICK, "metaclip": QUICK})
    assert is_the_quick_one(load_teacher("tiny_clip", file), model)
    save_named("tiny_clip", file, tmp_path / "saved")
    assert is_the_quick_one(load_teacher(tmp_path / "saved"), model)
    assert is_the_quick_one(load_peer(f"open_clip:tiny_clip:{file}").clip, model)


def test_where_weights_of_an_architecture_differ_a_file_needs_its_tag(
    tmp_path: Path, architectures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = sharp(CONFIGS["clip"] | {"quick_gelu": True})
    file = as_safetensors(model, tmp_path / "weights")
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny_clip", {"openai": QUICK, "more": QUICK, "laion": PLAIN})
    refusal = ("tiny_clip differ in activation or colours, which no file says; pass one of ",)
    options = "openai:FILE (QuickGELU, mean 0.50), laion:FILE (GELU, mean 0.10)"
    with one_line(CheckpointError, *refusal, options):
        load_teacher("tiny_clip", file)
    with one_line(CheckpointError, *refusal, options):
        load_peer(f"open_clip:tiny_clip:{file}")
    assert is_the_quick_one(load_teacher("tiny_clip", f"openai:{file}"), model)
    assert is_the_quick_one(load_peer(f"open_clip:tiny_clip:openai:{file}").clip, model)
    assert not is_the_quick_one(load_teacher("tiny_clip", f"laion:{file}"), model)
    with one_line(CheckpointError, "there is no checkpoint gone.pt"):
        load_teacher("tiny_clip", "openai:gone.pt")


def test_a_tag_that_says_nothing_of_the_activation_leaves_the_architectures(
    tmp_path: Path, architectures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As open_clip's roberta-ViT-B-32."""
    config = CONFIGS["clip"] | {"quick_gelu": True}
    (tmp_path / "architectures" / "tiny_quick.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "architectures")
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny_quick", {"laion": {"hf_hub": "a/b/", **COLOURS}})
    model = sharp(config)
    assert is_the_quick_one(load_teacher("tiny_quick", as_safetensors(model, tmp_path / "weights")), model)

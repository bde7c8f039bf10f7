"""Teachers of every kind, tiny."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from teacher_models import CONFIGS, CONTEXT, sharp
from torch import Tensor

from lfi.teachers import ClipTeacher, CoCaTeacher


@pytest.fixture(scope="session")
def tokenizer() -> SimpleTokenizer:
    return SimpleTokenizer(context_length=CONTEXT)


@pytest.fixture(params=["pooled", "direct"])
def coca(request: pytest.FixtureRequest, tokenizer: SimpleTokenizer) -> CoCaTeacher:
    """A CoCa teacher with an attentional pooler, and one without."""
    return CoCaTeacher(sharp(CONFIGS[request.param]), tokenizer, name=request.param)


@pytest.fixture(params=["clip", "custom"])
def clip(request: pytest.FixtureRequest, tokenizer: SimpleTokenizer) -> ClipTeacher:
    return ClipTeacher(sharp(CONFIGS[request.param]), tokenizer, name=request.param)


@pytest.fixture(params=["pooled", "direct", "clip", "custom"])
def teacher(request: pytest.FixtureRequest, tokenizer: SimpleTokenizer) -> CoCaTeacher | ClipTeacher:
    """One teacher of every kind."""
    kind = CoCaTeacher if "multimodal_cfg" in CONFIGS[request.param] else ClipTeacher
    return kind(sharp(CONFIGS[request.param]), tokenizer, name=request.param)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def architectures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny configurations, registered with open_clip as `tiny_...` for the length of a test."""
    folder = tmp_path / "architectures"
    folder.mkdir()
    for name, config in CONFIGS.items():
        (folder / f"tiny_{name}.json").write_text(json.dumps(config))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", [*open_clip.factory._MODEL_CONFIG_PATHS])
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    open_clip.add_model_config(folder)


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty hub cache, and a hub on a port where nobody listens."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

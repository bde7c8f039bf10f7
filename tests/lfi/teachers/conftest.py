"""Teachers of every kind, tiny."""

from __future__ import annotations

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

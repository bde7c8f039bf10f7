"""A whole trio, untrained and tiny: real models, real files, maps that differ between words and places."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lfi.comparison import MODELS
from lfi.students import Student, StudentConfig
from lfi.teachers import save_teacher
from lfi.teachers.loading import build

COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "ring", "moon", "diamond", "arrow")
VOCABULARY = ("small", "large", "striped", "dotted", *COLOURS, *SHAPES, "photo", "painting", "cartoon", "sketch")
SPOKEN = (*VOCABULARY, "a", "of", "left", "right", "no", "yes")

_CONTEXT, _DIM = 24, 32
_TEXT = {"context_length": _CONTEXT, "vocab_size": len(SPOKEN) + 3, "width": _DIM, "heads": 4}
TEACHER = {
    "embed_dim": _DIM,
    "vision_cfg": {
        "image_size": 32,
        "patch_size": 8,
        "width": _DIM,
        "layers": 2,
        "head_width": 8,
        "output_tokens": True,
    },
    "text_cfg": {**_TEXT, "layers": 1, "embed_cls": True, "output_tokens": True},
    "multimodal_cfg": {**_TEXT, "layers": 2},
    "custom_text": True,
}
_VIT = {"img_size": 48, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3}


_MEASURED = {"threshold": 0.5, "false_alarms": 0.1, "misses": 0.1, "auc": 0.9, "words": 100}
PRESENCE = {
    "teacher": {"weights": [6.0, 0.5], "bias": -1.0, **_MEASURED},
    "lfi": {"weights": [0.0], "bias": -3.476, **_MEASURED},
    "baseline": {"weights": [0.0], "bias": 2.0, **_MEASURED},
}
"""For a trio whose LFI student finds nothing anywhere (p = .03), whose baseline finds everything (p = .88), and whose
teacher tells words apart."""


def write_tiny_trio(folder: Path, presence: Mapping[str, Any] | None = None) -> Path:
    """Write a trio that `Trio.load` reads into `folder`, and return it.

    Args:
        presence: how its models were calibrated, if they were.
    """
    save_teacher(
        folder / "teacher",
        decided(build(TEACHER, "tiny"), seed=0),
        TEACHER,
        mean=[0.5] * 3,
        std=[0.25] * 3,
        card={"name": "tiny-teacher", "vocabulary": SPOKEN, "default_layers": [0]},
    )
    queries = StudentConfig(classes=5, queries=4, text_dim=_DIM, overrides=_VIT)
    plain = StudentConfig(classes=5, queries=0, text_dim=_DIM, embed=True, overrides=_VIT)
    for seed, (part, config) in enumerate({"lfi": queries, "baseline": plain}.items(), start=1):
        decided(Student(config), seed).save(folder / part / "student.safetensors")
    card = _card(folder.name) | ({"presence": presence} if presence else {})
    (folder / "card.json").write_text(json.dumps(card, indent=2))
    return folder


def decided(model: nn.Module, seed: int) -> Any:
    """Random weights large enough that attention is far from even and words differ."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(noise * parameter.shape[-1] ** -0.5 * 2)
            else:
                parameter.copy_(0.2 * noise + name.endswith("weight"))
    return model.eval()


def _card(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "explanation": "gradient",
        "vocabulary": VOCABULARY,
        "phrases": [*COLOURS, *SHAPES],
        "default_layer": {"teacher": 0, "lfi": 2, "baseline": 2},
        "models": {
            model: {
                "title": f"Tiny {model}",
                "kind": "test",
                "summary": "Random weights, for tests.",
                "data": "nothing",
                "steps": 0,
                "seed": seed,
                "figures": {},
                "limits": ["It has learned nothing."],
                "parameters": 0,
            }
            for seed, model in enumerate(MODELS)
        },
    }

"""Peers, untrained and tiny, in the files in which they come; and the tiny trio with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import save_for_hf

from lfi.peers import load_peer
from lfi.teachers import save_teacher
from lfi.teachers.loading import build

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 1}
VISION = {"image_size": 40, "patch_size": 8, "width": 32, "layers": 3, "head_width": 8}
SMALL = {"img_size": 40, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3}


def clip_folder(folder: Path, quick_gelu: bool = False, **vision: Any) -> Path:
    """A CLIP as open_clip writes it."""
    config = {
        "embed_dim": 16,
        "vision_cfg": {**VISION, **vision},
        "text_cfg": TEXT,
        **({"quick_gelu": True} if quick_gelu else {}),
    }
    torch.manual_seed(1)
    model = build(config, "tiny-clip")
    for name, weights in model.named_parameters():
        if weights.ndim > 1 and "token_embedding" not in name:
            weights.data.mul_(3)
    save_teacher(folder, model, config, mean=[0.4] * 3, std=[0.3] * 3, card={"name": "tiny-clip"})
    return folder


def timm_folder(folder: Path, **options: Any) -> Path:
    """A vision transformer as timm writes it; of ImageNet's classes."""
    torch.manual_seed(2)
    model = timm.create_model("vit_tiny_patch16_224", **{**SMALL, **options})
    for weights in model.parameters():
        if weights.ndim > 1:
            weights.data.mul_(3)
    folder.mkdir(parents=True, exist_ok=True)
    save_for_hf(model, str(folder), safe_serialization=True)
    return folder


def peered_trio(folder: Path, trio: Path) -> Path:
    """A copy of a trio's folder with a `clip` and a `vit` beside its models."""
    shutil.copytree(trio, folder)
    load_peer(str(clip_folder(folder.parent / "sources" / "clip"))).write(folder / "peers" / "clip")
    load_peer(str(timm_folder(folder.parent / "sources" / "vit"))).write(folder / "peers" / "vit")
    shutil.rmtree(folder.parent / "sources")
    card = json.loads((folder / "card.json").read_text())
    card |= {"name": folder.name, "peers": {"clip": {}, "vit": {"title": "A ViT", "explanation": "rollout"}}}
    (folder / "card.json").write_text(json.dumps(card))
    return folder

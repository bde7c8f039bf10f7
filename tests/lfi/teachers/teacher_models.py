"""Tiny open_clip models with weights that make attention worth reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from lfi.errors import LFIError
from lfi.teachers.loading import build

COLOURS: dict[str, Any] = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
CONTEXT = 16
TEXT = {"context_length": CONTEXT, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 2}
COCA_TEXT = TEXT | {"embed_cls": True, "output_tokens": True}
VISION = {"image_size": 32, "patch_size": 8, "width": 48, "head_width": 12, "layers": 2}
DECODER = {"context_length": CONTEXT, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 3}
CONFIGS: dict[str, dict[str, Any]] = {
    "pooled": {  # as coca_ViT-B-32: the pooler's keys are wider than its queries
        "embed_dim": 32,
        "vision_cfg": VISION
        | {"attentional_pool": True, "attn_pooler_queries": 9, "attn_pooler_heads": 4, "output_tokens": True},
        "text_cfg": COCA_TEXT,
        "multimodal_cfg": DECODER,
        "custom_text": True,
    },
    "direct": {  # as coca_base: the decoder attends to the patches
        "embed_dim": 24,
        "vision_cfg": VISION | {"width": 32, "head_width": 8, "output_tokens": True},
        "text_cfg": COCA_TEXT,
        "multimodal_cfg": DECODER,
        "custom_text": True,
    },
    "clip": {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT},
    "custom": {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT, "custom_text": True},
}
"""Model configurations of every kind that is read, by a short name."""


def sharp(config: dict[str, Any], seed: int = 0) -> nn.Module:
    """A model with large queries and keys: weights near 1, heads that disagree, logits that are not 0."""
    model = build(config, "tiny").eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1:
                parameter.copy_(0.3 * noise + name.endswith("weight"))  # norms scale by about 1
            elif parameter.ndim > 1:
                parameter.copy_(noise * 32**-0.5)
        for module in model.modules():
            if isinstance(module, nn.MultiheadAttention):
                if module._qkv_same_embed_dim:
                    module.in_proj_weight[: 2 * module.embed_dim] *= 3
                else:
                    module.q_proj_weight *= 3
                    module.k_proj_weight *= 3
    return model


@contextmanager
def native_weights(attentions: list[nn.MultiheadAttention]) -> Iterator[Callable[[], list[Tensor]]]:
    """The weights as torch tells them, asked again with `need_weights=True`: `[batch, head, row, key]`."""
    calls: dict[int, tuple[Any, ...]] = {}

    def remember(index: int, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls[index] = (args, {key: value for key, value in kwargs.items() if key != "need_weights"})

    handles = [
        module.register_forward_pre_hook(partial(remember, index), with_kwargs=True)
        for index, module in enumerate(attentions)
    ]

    def ask() -> list[Tensor]:
        with torch.no_grad():
            return [
                deepcopy(module)(*calls[index][0], **calls[index][1], need_weights=True, average_attn_weights=False)[1]
                for index, module in enumerate(attentions)
            ]

    try:
        yield ask
    finally:
        for handle in handles:
            handle.remove()


def hooks(model: nn.Module) -> int:
    """Number of hooks on all modules of a model."""
    return sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.modules())


def one_line(error: type[LFIError], *parts: str) -> Any:
    """Expect this error, in one line that holds the parts in this order."""
    pattern = ".*".join(part.translate({ord(sign): f"\\{sign}" for sign in r".?*+()[]{}|^$"}) for part in parts)
    return pytest.raises(error, match=rf"\A[^\n]*{pattern}[^\n]*\Z")


def as_safetensors(model: nn.Module, path: Path) -> Path:
    path = path.with_suffix(".safetensors")
    safetensors.torch.save_file(model.state_dict(), path)
    return path

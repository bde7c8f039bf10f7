"""Attention of timm's transformers that are no plain ViT: with rotary positions, or of a pooling query.

timm's blocks (`Attention`, `EvaAttention` of EVA and DINOv3, `AttentionRope`) normalise and rotate queries and keys,
then either call a fused kernel or form the attention and send it through `attn_drop`. There it is read, after the
rotation and whatever else happened to queries and keys; the fused kernel is off meanwhile. The pass is made for that
alone: no other output of the model is used from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from timm.layers import AttentionPoolLatent
from torch import Tensor, nn

from lfi.errors import UnsupportedModelError

Reading = Literal["class token", "pooling query"]


def readable(model: Any) -> Reading | None:
    """Whose attention of a timm model can be read; None where nobody's can (windows, convolutions, no such token)."""
    if isinstance(getattr(model, "attn_pool", None), AttentionPoolLatent):
        return "pooling query"
    attentions = _attentions(model)
    has_class = getattr(model, "has_class_token", getattr(model, "cls_token", None) is not None)
    if not attentions or not has_class or not getattr(model, "num_prefix_tokens", 0):
        return None
    return "class token" if all(_forms(each) for each in attentions) else None


@torch.no_grad()
def class_rows(model: Any, images: Tensor, *, rollout: bool = False) -> Tensor:
    """What the class token attends to, mean over heads, `[batch, layer, token]`, prefix tokens first.

    Args:
        images: `[batch, 3, height, width]`.
        rollout: followed through all layers up to each one (Abnar & Zuidema 2020, arXiv 2005.00928).
    """
    with formed(model) as layers:
        model.forward_features(images)
    rows, total = [], None
    for layer in layers:
        step = layer.float().mean(1)
        if rollout:
            step = (step + torch.eye(step.shape[-1], device=step.device)) / 2
            total = step if total is None else step @ total
        rows.append((step if total is None else total)[:, 0])
    return torch.stack(rows, 1)


@contextmanager
def formed(model: Any) -> Iterator[list[Tensor]]:
    """Attention after softmax of every block while the block runs, `[batch, head, token, token]`, on the graph."""
    attentions = _attentions(model)
    found: list[Tensor] = []
    fused = [each.fused_attn for each in attentions]
    handles = [
        each.attn_drop.register_forward_hook(lambda module, inputs, output: found.append(output)) for each in attentions
    ]
    for each in attentions:
        each.fused_attn = False
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
        for each, state in zip(attentions, fused, strict=True):
            each.fused_attn = state


@torch.no_grad()
def pooled_rows(model: Any, images: Tensor) -> Tensor:
    """What the pooling query attends to, mean over heads, `[batch, 1, token]`; the model's own pass is not touched.

    Some pools see the prefix tokens as well (timm's EVA: always), and then those come first.
    """
    pool = model.attn_pool
    heard: dict[str, Tensor] = {}
    handles = [
        norm.register_forward_hook(lambda module, inputs, output, name=name: heard.update({name: output}))
        for name, norm in (("q", pool.q_norm), ("k", pool.k_norm))
    ]
    try:
        model.forward_head(model.forward_features(images))
    finally:
        for handle in handles:
            handle.remove()
    scores = heard["q"].float() @ heard["k"].float().transpose(-2, -1)
    return (pool.scale * scores).softmax(-1).mean((1, 2))[:, None]


def prefix_of(model: Any, rows: Tensor, reading: Reading) -> int:
    """How many of the tokens of `class_rows` or `pooled_rows` are not patches.

    Raises:
        UnsupportedModelError: the others are not the patches either, such as where channels attend to channels (XCiT).
    """
    prefix, grid = rows.shape[-1] - math.prod(model.patch_embed.grid_size), tuple(model.patch_embed.grid_size)
    own = model.num_prefix_tokens
    if prefix not in ((own,) if reading == "class token" else (own, 0)):
        raise UnsupportedModelError(f"attention to {rows.shape[-1]} tokens is none to {own} and {grid} patches")
    return prefix


def _attentions(model: Any) -> list[Any]:
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, nn.ModuleList | nn.Sequential):
        return []
    return [getattr(block, "attn", None) for block in blocks]


def _forms(attention: Any) -> bool:
    """Whether a block's attention over all tokens goes through `attn_drop` where it is not fused."""
    return isinstance(getattr(attention, "attn_drop", None), nn.Module) and hasattr(attention, "fused_attn")

"""Reading a vision transformer's self-attention while it runs: all of it, or the rows that are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from lfi.students.vit import Student


@contextmanager
def self_attention(student: Student, blocks: Sequence[int] | None = None) -> Iterator[Callable[[], list[Tensor]]]:
    """Inside the block, self-attention after softmax, `[batch, head, token, token]` for each block, on the graph.

    The fused kernel, which never forms the attention, is off meanwhile in the blocks that are read.

    Args:
        blocks: which, counted from 0; all when None.
    """
    found: list[Tensor] = []
    every: list[Any] = [block.attn for block in student.backbone.blocks]
    layers = every if blocks is None else [every[index] for index in blocks]
    handles = [
        layer.attn_drop.register_forward_hook(lambda module, inputs, output: found.append(output)) for layer in layers
    ]
    fused = [layer.fused_attn for layer in layers]
    for layer in layers:
        layer.fused_attn = False
    try:
        yield lambda: found
    finally:
        for handle in handles:
            handle.remove()
        for layer, state in zip(layers, fused, strict=True):
            layer.fused_attn = state


@contextmanager
def attention_rows(
    backbone: VisionTransformer, rows: Sequence[int] = (0,), blocks: Sequence[int] | None = None
) -> Iterator[Callable[[], list[Tensor]]]:
    """Inside the block, what some tokens attend to, `[batch, head, row, token]` for each block, on the graph.

    The model keeps its fused kernel: only the wanted rows are worked out beside it, from the queries and keys that it
    computes anyway, so all other maps never exist.

    Args:
        rows: tokens that look, such as 0 for the class token.
        blocks: which, counted from 0; all when None.
    """
    found: list[Tensor] = []
    every: list[Any] = [block.attn for block in backbone.blocks]
    layers = every if blocks is None else [every[index] for index in blocks]
    looking, handles = list(rows), []
    for layer in layers:
        queries: list[Tensor] = []

        def take(module: Any, inputs: Any, output: Tensor, queries: list[Tensor] = queries) -> None:
            queries[:] = [output[:, :, looking]]

        def score(
            module: Any, inputs: Any, output: Tensor, queries: list[Tensor] = queries, scale: float = layer.scale
        ) -> None:
            found.append((scale * queries.pop() @ output.transpose(-2, -1)).softmax(-1))

        handles += [layer.q_norm.register_forward_hook(take), layer.k_norm.register_forward_hook(score)]
    try:
        yield lambda: found
    finally:
        for handle in handles:
            handle.remove()


class _Enough(Exception):
    """Everything that was wanted of a pass is there."""


@torch.no_grad()
def rows_of(backbone: VisionTransformer, images: Tensor, rows: Sequence[int] = (0,)) -> list[Tensor]:
    """What some tokens of images attend to, `[batch, head, row, token]` for each block: `attention_rows` of a pass that
    ends with the last block's keys, since nothing behind them is read.

    Args:
        images: `[batch, 3, height, width]`.
        rows: tokens that look, such as 0 for the class token.
    """
    last: Any = backbone.blocks[-1]

    def stop(*_: Any) -> None:
        raise _Enough

    with attention_rows(backbone, rows) as attention:
        handle = last.attn.k_norm.register_forward_hook(stop)
        try:
            backbone.forward_features(images)
        except _Enough:
            pass
        finally:
            handle.remove()
        return attention()

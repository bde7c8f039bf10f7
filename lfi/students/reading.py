"""Reading a vision transformer's self-attention while it runs: all of it, or the rows that are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

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
def frozen(model: nn.Module) -> Iterator[None]:
    """Inside the block no weight has a gradient, which explanations would otherwise pay for and never read."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


@contextmanager
def attention_rows(
    backbone: VisionTransformer, rows: Sequence[int] = (0,), blocks: Sequence[int] | None = None
) -> Iterator[Callable[[], list[Tensor]]]:
    """Inside the block, what some tokens attend to, `[batch, head, row, token]` for each block, on the graph.

    The model keeps its fused kernel: only the wanted rows are computed next to it, from the queries and keys that it
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
    """What the last block's attention reads, `[batch, token, dim]`: nothing behind it is wanted."""

    def __init__(self, tokens: Tensor):
        self.tokens = tokens


@torch.no_grad()
def rows_of(backbone: VisionTransformer, images: Tensor, rows: Sequence[int] = (0,)) -> list[Tensor]:
    """What some tokens of images attend to, `[batch, head, row, token]` for each block: `attention_rows` of a pass that
    ends in the last block, where only these rows' queries and the keys are computed.

    Args:
        images: `[batch, 3, height, width]`.
        rows: tokens that look, such as 0 for the class token.
    """
    depth, last = len(backbone.blocks), backbone.blocks[-1]
    attention: Any = last.attn

    def stop(module: Any, inputs: tuple[Tensor, ...]) -> None:
        raise _Enough(inputs[0])

    with attention_rows(backbone, rows, range(depth - 1)) as found:
        handle = attention.register_forward_pre_hook(stop)
        try:
            backbone.forward_features(images)
        except _Enough as enough:
            tokens = enough.tokens
        finally:
            handle.remove()
        layers = found()
    (to_q, to_k, _), bias = attention.qkv.weight.chunk(3), attention.qkv.bias
    of_q, of_k, _ = (None, None, None) if bias is None else bias.chunk(3)
    heads = (attention.num_heads, -1)
    q = attention.q_norm(F.linear(tokens[:, list(rows)], to_q, of_q).unflatten(-1, heads).transpose(1, 2))
    k = attention.k_norm(F.linear(tokens, to_k, of_k).unflatten(-1, heads).transpose(1, 2))
    return [*layers, (attention.scale * q @ k.transpose(-2, -1)).softmax(-1)]

"""Reading a student's self-attention while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

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

"""Passive taps: reading attention while a model runs, without changing a bit of what it computes.

open_clip and torch never hand out attention weights on the fast path, and asking for them
(`need_weights=True`) moves the logits. So a forward *pre*-hook looks at the query and key an
`nn.MultiheadAttention` is about to use and repeats only the part that is wanted: the selected rows and heads,
projected and softmaxed in float32 (bfloat16 scores are off by up to .1), averaged over heads before the hook
returns. The module itself never notices. Finding a module and hooking it are two things: functions here take
modules that were found elsewhere.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lfi.errors import UnsupportedModelError

_ARGUMENTS = ("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask")


class Readings:
    """What a `tap` heard: one tensor per attention, in the order in which the attentions were given."""

    def __init__(self, count: int):
        self._heard: list[Tensor | None] = [None] * count

    def __len__(self) -> int:
        return len(self._heard)

    def __getitem__(self, index: int) -> Tensor:
        """The weights of one attention.

        Raises:
            RuntimeError: if it did not run while it was tapped; an empty answer would look like no attention.
        """
        heard = self._heard[index]
        if heard is None:
            raise RuntimeError(f"attention {index} of {len(self)} did not run while it was tapped")
        return heard

    def _hear(self, index: int, weights: Tensor) -> None:
        self._heard[index] = weights

    def stack(self) -> Tensor:
        """All of them, layers on axis 1: `[batch, layer, row, key]`, or `[batch, layer, head, row, key]`."""
        return torch.stack([self[index] for index in range(len(self))], 1)


@contextmanager
def tap(
    attentions: Sequence[nn.MultiheadAttention],
    *,
    rows: Tensor | None = None,
    heads: Sequence[int] | None = None,
    average: bool = True,
) -> Iterator[Readings]:
    """Read the weights of these attentions for as long as the block lasts; leave nothing behind.

    Only calls from the thread that opened the tap are read, so that several threads may share a model.

    Args:
        rows: int64 `[row]` or `[batch, row]`, the query positions wanted; all when None.
        heads: the heads wanted; all when None.
        average: give the mean over those heads, `[batch, row, key]`, instead of `[batch, head, row, key]`.

    Raises:
        UnsupportedModelError: for an attention that adds keys of its own (`bias_k`, `add_zero_attn`).
    """
    for attention in attentions:
        if attention.bias_k is not None or attention.add_zero_attn:
            raise UnsupportedModelError("an attention with bias_k or add_zero_attn cannot be read: it adds keys")
    readings = Readings(len(attentions))

    def read(index: int, attention: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = dict(zip(_ARGUMENTS, args, strict=False)) | kwargs
        weights = attention_weights(
            attention,
            given["query"],
            given["key"],
            rows=rows,
            heads=heads,
            attn_mask=given.get("attn_mask"),
            key_padding_mask=given.get("key_padding_mask"),
        )
        readings._hear(index, weights.mean(1) if average else weights)

    with _listening(attentions, read):
        yield readings


@contextmanager
def inputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the first argument of each call of `module`, as it is, while the block lasts."""
    inputs: list[Tensor] = []
    with _listening([module], lambda index, module, args, kwargs: inputs.append(args[0])):
        yield inputs


@contextmanager
def outputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what each call of `module` returns while the block lasts; only from the thread that opened it."""
    outputs: list[Tensor] = []
    owner = threading.get_ident()

    def hear(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        if threading.get_ident() == owner:
            outputs.append(output)

    handle = module.register_forward_hook(hear)
    try:
        yield outputs
    finally:
        handle.remove()


@contextmanager
def _listening(
    modules: Sequence[nn.Module], hear: Callable[[int, nn.Module, tuple[Any, ...], dict[str, Any]], None]
) -> Iterator[None]:
    owner = threading.get_ident()

    def hook(index: int, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> None:
        # torch leaves kwargs out for another thread that meets the hook while it is being added or removed
        if threading.get_ident() == owner:
            hear(index, module, args, kwargs or {})

    handles = []
    try:
        for index, module in enumerate(modules):
            handles.append(module.register_forward_pre_hook(partial(hook, index), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def attention_weights(
    attention: nn.MultiheadAttention,
    query: Tensor,
    key: Tensor,
    *,
    rows: Tensor | None = None,
    heads: Sequence[int] | None = None,
    attn_mask: Tensor | None = None,
    key_padding_mask: Tensor | None = None,
) -> Tensor:
    """The weights `softmax(q k^T / sqrt(d))` that `attention` gives, float32 `[batch, head, row, key]`.

    Args:
        query: `[batch, position, width]`, as the attention receives it (`[position, batch, width]` where the
            attention is not `batch_first`); key likewise.
        rows: int64 `[row]` or `[batch, row]`, the query positions wanted; all when None.
        heads: the heads wanted; all when None.
        attn_mask: as for `nn.MultiheadAttention`: boolean (True = hidden) or additive, 2- or 3-dimensional.
        key_padding_mask: likewise, `[batch, key]`.
    """
    if not attention.batch_first:
        query, key = query.transpose(0, 1), key.transpose(0, 1)
    batch, positions, keys = *query.shape[:2], key.shape[1]
    if rows is not None:
        rows = rows.to(query.device).expand(batch, -1)
        query = query.gather(1, rows[..., None].expand(-1, -1, query.shape[-1]))
    with torch.autocast(query.device.type, enabled=False):
        q = project(attention, query, 0, heads)
        k = project(attention, key, 1, heads)
        scores = q @ k.transpose(-2, -1) / math.sqrt(attention.head_dim)
        if attn_mask is not None:
            mask = attn_mask
            if mask.ndim == 3:
                mask = mask.view(batch, attention.num_heads, positions, keys)
                mask = mask if heads is None else mask[:, list(heads)]
            else:
                mask = mask.expand(batch, 1, positions, keys)
            if rows is not None:
                mask = mask.gather(2, rows[:, None, :, None].expand(-1, mask.shape[1], -1, keys))
            scores = _hide(scores, mask)
        if key_padding_mask is not None:
            scores = _hide(scores, key_padding_mask[:, None, None, :])
        return scores.softmax(-1)


def values(attention: nn.MultiheadAttention, inputs: Tensor) -> Tensor:
    """`out_proj(v)`, `[batch, position, width]`: what each position hands on when it alone is attended to."""
    weight, bias = _projection(attention, 2)
    return attention.out_proj(F.linear(inputs, weight, bias))


def _hide(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(mask, -torch.inf) if mask.dtype == torch.bool else scores + mask.float()


def project(attention: nn.MultiheadAttention, inputs: Tensor, part: int, heads: Sequence[int] | None = None) -> Tensor:
    """Queries (part 0), keys (1) or values (2) of an attention in float32, outside of autocast.

    Args:
        inputs: `[batch, position, width]`.
        heads: the heads wanted; all when None.

    Returns:
        `[batch, head, position, head_dim]`.
    """
    weight, bias = _projection(attention, part)
    weight, bias = weight.float(), None if bias is None else bias.float()
    if heads is not None:
        shape = (attention.num_heads, attention.head_dim)
        weight = weight.unflatten(0, shape)[list(heads)].flatten(0, 1)
        bias = None if bias is None else bias.unflatten(0, shape)[list(heads)].flatten()
    return F.linear(inputs.float(), weight, bias).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)


def _projection(attention: nn.MultiheadAttention, part: int) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of the query (0), key (1) or value (2) projection."""
    if attention._qkv_same_embed_dim:
        weight = attention.in_proj_weight.chunk(3)[part]
    else:  # as in CoCa's pooler, whose keys have the image tower's width
        weight = (attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight)[part]
    bias = attention.in_proj_bias
    return weight, None if bias is None else bias.chunk(3)[part]

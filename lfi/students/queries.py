"""Interaction Queries: learnable tokens that persist through a transformer and keep pointing at "their" region."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class InteractionQueries(nn.Module):
    """A few queries and the one cross-attention block they share in all tapped layers.

    In every tapped layer `q <- q + attend(norm(q), norm(patches))`: sharing the block keeps the overhead at about four
    matrices of `dim x dim` and makes a query mean the same in every layer. The queries read the patches and write
    nothing back, so the backbone computes what it would without them; supervision of their attention reaches it
    through keys and values.

    Key and value matrices are applied to the few queries instead of to all patches, which is the same by associativity
    (`q (W x) = (q W) x`) and costs `2 * heads * queries * dim` operations a patch instead of `2 * dim^2`.

    Args:
        dim: width of the backbone.
        queries: number of queries.
        heads: attention heads; must divide `dim`.
    """

    def __init__(self, dim: int, queries: int = 8, heads: int = 4):
        super().__init__()
        if dim % heads:
            raise ValueError(f"{heads} heads do not divide a width of {dim}")
        self.heads = heads
        self.start = nn.Parameter(torch.empty(queries, dim))
        self.norm_query = nn.LayerNorm(dim)
        self.norm_patches = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.start, std=0.5)
        for linear in (self.query, self.key_value, self.out):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)

    def initial(self, batch: int) -> Tensor:
        """The queries before any layer, `[batch, query, dim]`."""
        return self.start.expand(batch, -1, -1)

    def forward(self, queries: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """One layer.

        Args:
            queries: `[batch, query, dim]`.
            patches: patch tokens of the layer, without CLS or registers, `[batch, patch, dim]`.

        Returns:
            The queries after the layer, and what they attended to, per head: float32 scores before softmax
            `[batch, head, query, patch]`.
        """
        batch, count, dim = queries.shape
        heads, width = self.heads, dim // self.heads
        keys, values = self.key_value.weight.view(2, heads, width, dim)
        key_bias, value_bias = self.key_value.bias.view(2, heads, 1, width)
        normed = self.norm_patches(patches)
        q = self.query(self.norm_query(queries)).view(batch * count, heads, width).transpose(0, 1) * width**-0.5
        asking = self._per_image(q @ keys, batch) @ normed.transpose(-1, -2)
        offset = self._per_image((q * key_bias).sum(-1, keepdim=True), batch)
        scores = (asking.float() + offset.float()).view(batch, heads, count, -1)
        read = scores.softmax(-1).to(normed.dtype).flatten(1, 2) @ normed
        read = read.view(batch, heads, count, dim).transpose(0, 1).reshape(heads, batch * count, dim)
        mixed = (read @ values.transpose(-1, -2) + value_bias).transpose(0, 1).reshape(batch, count, dim)
        return queries + self.out(mixed), scores

    def _per_image(self, rows: Tensor, batch: int) -> Tensor:
        """`[head, batch * query, n]` as `[batch, head * query, n]`."""
        return rows.view(self.heads, batch, -1, rows.shape[-1]).transpose(0, 1).flatten(1, 2)


class Feedback(nn.Module):
    """Patches read the queries: `patches + tanh(gate) * attend(norm(patches), norm(queries))`; the gate begins closed.

    For the ablation alone: with it, the backbone no longer computes what it would without queries.

    Args:
        dim: width of the backbone.
        heads: attention heads; must divide `dim`.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm_patches = nn.LayerNorm(dim)
        self.norm_queries = nn.LayerNorm(dim)
        self.attend = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, patches: Tensor, queries: Tensor) -> Tensor:
        """Patches `[batch, patch, dim]` that have read the queries `[batch, query, dim]`."""
        known = self.norm_queries(queries)
        read, _ = self.attend(self.norm_patches(patches), known, known, need_weights=False)
        return patches + self.gate.tanh() * read

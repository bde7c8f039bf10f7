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
            raise ValueError(f"a width of {dim} cannot be divided among {heads} heads")
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

        There are far fewer queries than patches, so keys and values are never formed: `q (W p) = (q W) p`, and
        `sum_p a (W p) = W (sum_p a p)`. A key's bias would move all scores of a query alike, which softmax undoes; it
        is not read. For a ViT-Ti/16 at 224 px this is a fifth of the multiplications.

        Args:
            queries: `[batch, query, dim]`.
            patches: patch tokens of the layer, without CLS or registers, `[batch, patch, dim]`.

        Returns:
            The queries after the layer, and what they attended to, per head: float32 `[batch, query, head, patch]`,
            summing to 1 over patches.
        """
        batch, count, dim = queries.shape
        heads, rows, width = self.heads, batch * count, dim // self.heads
        key, value = self.key_value.weight.view(2, heads, width, dim).unbind()
        q = self.query(self.norm_query(queries)) * width**-0.5
        asked = torch.bmm(q.view(rows, heads, width).transpose(0, 1), key)
        asked = asked.transpose(0, 1).reshape(batch, count * heads, dim)
        seen = self.norm_patches(patches).to(asked.dtype)
        weights = torch.bmm(asked, seen.transpose(1, 2)).float().softmax(-1)
        read = torch.bmm(weights.to(seen.dtype), seen).view(rows, heads, dim)
        mixed = torch.bmm(read.transpose(0, 1), value.transpose(1, 2)).transpose(0, 1).reshape(batch, count, dim)
        mixed = mixed + self.key_value.bias[dim:].to(mixed.dtype)
        return queries + self.out(mixed), weights.view(batch, count, heads, -1)


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

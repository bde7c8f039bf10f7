"""InteractionMaps: where each query (a word, or an Interaction Query) looks, in every layer.

The one value that teachers, students, explanations, metrics, rendering and the API exchange. It holds raw
weights on the model's own grid; normalising for display belongs to `lfi.rendering`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lfi.grids import regridded

KINDS = (
    "cross-attention",
    "dense-similarity",
    "interaction-query",
    "self-attention",
    "rollout",
    "gradient",
    "grad-cam",
    "legrad",
    "layer-cam",
)
PADDING = ""
"""Name of a query that only fills a shorter caption's row; its map is uniform and all its mass is outside."""

_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class InteractionMaps:
    """Attention of queries over image patches.

    Attributes:
        weights: float32 `[batch, layer, query, height, width]`, non-negative, each map sums to 1 over the grid.
        outside: float32 `[batch, layer, query]` in [0, 1]: the mass that fell on tokens that are not patches
            (CLS, registers) before the map was renormalised.
        queries: for every image the names of its queries (`[batch][query]`): words, or `query 3`.
        layers: names of the layers, first to last.
        kind: one of `KINDS`.
        model: name and fingerprint of the model that looked, `name@fingerprint`.

    Raises:
        ValueError: where a shape, a sum or a value breaks the above.
    """

    weights: Tensor
    outside: Tensor
    queries: tuple[tuple[str, ...], ...]
    layers: tuple[str, ...]
    kind: str
    model: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; one of {', '.join(KINDS)} was expected")
        if self.weights.ndim != 5:
            raise ValueError(
                f"weights have shape {tuple(self.weights.shape)}; [batch, layer, query, height, width] was expected"
            )
        if self.weights.dtype != torch.float32 or self.outside.dtype != torch.float32:
            raise ValueError(f"weights are {self.weights.dtype}, outside {self.outside.dtype}; float32 was expected")
        batch, layers, queries = self.weights.shape[:3]
        if self.outside.shape != (batch, layers, queries):
            raise ValueError(f"outside has shape {tuple(self.outside.shape)}; {(batch, layers, queries)} was expected")
        if len(self.layers) != layers:
            raise ValueError(f"{len(self.layers)} layer names for {layers} layers")
        if len(self.queries) != batch or any(len(names) != queries for names in self.queries):
            raise ValueError(f"queries must name {queries} queries for each of {batch} images")
        if self.weights.numel():
            self._check_values()

    def _check_values(self) -> None:
        """Checks the extremes only: they are NaN if any value is."""
        sums = self.weights.sum((-2, -1))
        least, most = _extremes(self.weights)
        low, high = _extremes(sums)
        fewest, fullest = _extremes(self.outside)
        if not all(map(math.isfinite, (least, most, fewest, fullest))):
            raise ValueError("maps hold NaN or infinity")
        if least < 0:
            raise ValueError("maps hold negative weights")
        if low < 1 - _TOLERANCE or high > 1 + _TOLERANCE:
            raise ValueError(f"maps must sum to 1 over the grid; sums run from {low:.4f} to {high:.4f}")
        if fewest < -_TOLERANCE or fullest > 1 + _TOLERANCE:
            raise ValueError("outside must lie in [0, 1]")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the patch grid."""
        return self.weights.shape[-2], self.weights.shape[-1]

    def __len__(self) -> int:
        return self.weights.shape[0]

    @classmethod
    def from_scores(
        cls,
        weights: Tensor,
        *,
        grid: tuple[int, int],
        queries: Sequence[Sequence[str]],
        layers: Sequence[str],
        kind: str,
        model: str,
        prefix: int = 0,
    ) -> InteractionMaps:
        """Maps from attention over `prefix` leading tokens and `height * width` patches.

        Args:
            weights: non-negative `[batch, layer, query, prefix + height * width]`; need not sum to 1. A row
                without any mass on patches becomes uniform, with all its mass outside.
            prefix: number of leading tokens that are not patches; their share of the row is `outside`.
        """
        weights = weights.detach().float()
        total = weights.sum(-1)
        patches = weights[..., prefix:]
        inside = patches.sum(-1)
        tiny = torch.finfo(torch.float32).tiny
        empty = inside <= tiny
        uniform = torch.full_like(patches, 1 / patches.shape[-1])
        maps = torch.where(empty[..., None], uniform, patches / inside.clamp_min(tiny)[..., None])
        outside = torch.where(empty, torch.ones_like(inside), 1 - inside / total.clamp_min(tiny)).clamp(0, 1)
        return cls(
            weights=maps.unflatten(-1, grid),
            outside=outside,
            queries=tuple(tuple(names) for names in queries),
            layers=tuple(layers),
            kind=kind,
            model=model,
        )

    def cpu(self) -> InteractionMaps:
        """The maps in main memory."""
        if self.weights.device.type == "cpu":
            return self
        return replace(self, weights=self.weights.cpu(), outside=self.outside.cpu())

    def image(self, index: int) -> InteractionMaps:
        """The maps of one image, as a batch of one."""
        pick = slice(index, index + 1) if index >= 0 else slice(index, index + 1 or None)
        return replace(self, weights=self.weights[pick], outside=self.outside[pick], queries=self.queries[pick])

    def layer(self, index: int) -> InteractionMaps:
        """The maps of one layer, layer axis kept."""
        index = range(len(self.layers))[index]
        pick = slice(index, index + 1)
        return replace(self, weights=self.weights[:, pick], outside=self.outside[:, pick], layers=self.layers[pick])

    def select(self, layers: Sequence[int] | None = None, queries: Sequence[int] | None = None) -> InteractionMaps:
        """A copy with only these layers and queries, in the given order."""
        layers = range(len(self.layers)) if layers is None else layers
        queries = range(self.weights.shape[2]) if queries is None else queries
        rows, columns = (torch.tensor(list(each), dtype=torch.int64) for each in (layers, queries))
        return replace(
            self,
            weights=self.weights[:, rows][:, :, columns],
            outside=self.outside[:, rows][:, :, columns],
            queries=tuple(tuple(names[q] for q in queries) for names in self.queries),
            layers=tuple(self.layers[layer] for layer in layers),
        )

    def resized(self, grid: tuple[int, int]) -> InteractionMaps:
        """On another grid, summing to 1 again: by shared area where it is coarser, bilinear where it is finer."""
        if grid == self.grid:
            return self
        flat = regridded(self.weights.flatten(0, 1), grid)
        flat = flat / flat.sum((-2, -1), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        return replace(self, weights=flat.unflatten(0, self.weights.shape[:2]))

    def flipped(self) -> InteractionMaps:
        """The maps of the horizontally mirrored image."""
        return replace(self, weights=self.weights.flip(-1))


def _extremes(values: Tensor) -> tuple[float, float]:
    least, most = values.aminmax()
    return float(least), float(most)

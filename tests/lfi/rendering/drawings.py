"""What several tests of rendering draw."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lfi.maps import InteractionMaps


@dataclass(frozen=True)
class Comparison:
    """The part of a comparison that a figure reads."""

    maps: dict[str, InteractionMaps]
    default_layer: dict[str, int]
    said: tuple[tuple[str, str, str], ...] = ()

    def absences(self) -> tuple[tuple[str, str, str], ...]:
        return self.said


def spot(grid: int, peak: float, words=("star",), layers: int = 2, model: str = "tiny@0123456789ab"):
    """Maps with a spot in the upper left that gets stronger from layer to layer."""
    row, column = torch.meshgrid(torch.arange(grid) / grid, torch.arange(grid) / grid, indexing="ij")
    bump = torch.exp(-((row - 0.25) ** 2 + (column - 0.25) ** 2) / 0.02)
    scores = torch.stack([0.2 + peak * (layer + 1) / layers * bump for layer in range(layers)])
    return InteractionMaps.from_scores(
        scores[None, :, None].expand(1, layers, len(words), grid, grid).flatten(-2),
        grid=(grid, grid),
        queries=[words],
        layers=[f"blocks.{layer}" for layer in range(layers)],
        kind="cross-attention",
        model=model,
    )

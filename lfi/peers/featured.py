"""A peer of any make that timm has features of: explained by gradients, and by attention where that can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lfi.grids import regridded
from lfi.maps import InteractionMaps
from lfi.peers.attention import Reading, class_rows, pooled_prefix, pooled_rows, readable
from lfi.peers.features import GRADIENTS, Layer, cams, common_grid, layers_of
from lfi.peers.peer import Peer

CANNOT_BE_READ = "its attention cannot be read, so gradients of a word's score explain it"


@dataclass(frozen=True, eq=False)
class FeaturePeer(Peer):
    """A timm model, or a CLIP whose image tower is one.

    Attributes:
        trunk: the timm model; `module` runs it.
        tapped: its layers.
        reading: whose attention can be read.
    """

    trunk: Any = None
    tapped: Sequence[Layer] = field(init=False)
    reading: Reading | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tapped", layers_of(self.trunk, str(self.about["title"])))
        object.__setattr__(self, "reading", readable(self.trunk))

    @property
    def explanations(self) -> tuple[str, ...]:
        found = ["dense-similarity"] if self.clip is not None else []
        if self.reading is not None:
            found += ["self-attention", "rollout"] if self.reading == "class token" else ["self-attention"]
        return (*found, *(GRADIENTS if self.scores_words else ()))

    def project(self, images: Tensor) -> Tensor:
        found = self.module(images)
        return found if self.clip is None else F.normalize(found, dim=-1)

    def _outputs(self) -> int:
        return self.trunk.num_classes

    def _layers(self, explanation: str) -> tuple[str, ...]:
        if explanation in GRADIENTS:
            return tuple(layer.name for layer in self.tapped)
        if self.reading == "pooling query":
            return ("attention pool",)
        return tuple(f"block {number}" for number in range(1, len(self.trunk.blocks) + 1))

    def _explain(
        self, explanation: str, images: Tensor, words: Sequence[str], embeddings: Tensor, heads: bool, model: str
    ) -> InteractionMaps:
        prefix, grid = 0, common_grid(self.image_size)
        if explanation in GRADIENTS:
            found = cams(self.trunk, self.tapped, images, lambda own: self.project(own) @ embeddings.T, explanation)
            weights = torch.stack([regridded(each, grid).flatten(2) for each in found], 1)
        else:
            grid = tuple(self.trunk.patch_embed.grid_size)
            if self.reading == "pooling query":
                rows, prefix = pooled_rows(self.trunk, images), pooled_prefix(self.trunk)
            else:
                rows, prefix = (
                    class_rows(self.trunk, images, rollout=explanation == "rollout"),
                    self.trunk.num_prefix_tokens,
                )
            weights = rows[:, :, None].expand(-1, -1, len(words), -1)
        return InteractionMaps.from_scores(
            weights,
            grid=grid,
            queries=[list(words)] * len(images),
            layers=self._layers(explanation),
            kind=explanation,
            model=model,
            prefix=prefix,
        )


def said(trunk: nn.Module) -> str:
    """What can be read of a model, for its card."""
    reading = readable(trunk)
    return f"the attention of its {reading} is read" if reading else CANNOT_BE_READ

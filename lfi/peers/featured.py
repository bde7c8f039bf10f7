"""A peer of any make that timm has features of: explained by gradients, and by attention where that can be read.

timm does not promise that a model's features are where it says, nor that attention is over patches. So a peer is asked
for every kind of map once, about an empty image, and offers those that it gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.errors import UnsupportedModelError
from lfi.grids import regridded
from lfi.maps import InteractionMaps
from lfi.peers.attention import Reading, class_rows, pooled_rows, prefix_of, readable
from lfi.peers.features import GRADIENTS, Layer, cams, common_grid, layers_of
from lfi.peers.peer import Peer
from lfi.weights import first_line

_CANNOT_BE_READ = "its attention cannot be read"


@dataclass(frozen=True, eq=False)
class FeaturePeer(Peer):
    """A timm model, or a CLIP whose image tower is one.

    Attributes:
        trunk: the timm model; `module` runs it.
        reading: whose attention can be read.
        tapped: its layers; none where their gradients cannot be read.

    Raises:
        UnsupportedModelError: nothing of it can be shown.
    """

    trunk: Any = None
    reading: Reading | None = field(init=False)
    tapped: Sequence[Layer] = field(init=False)

    def __post_init__(self) -> None:
        name = str(self.about["title"])
        object.__setattr__(self, "reading", readable(self.trunk))
        object.__setattr__(self, "tapped", ())
        if self.reading is not None and self._fault("self-attention"):  # what `rollout` reads, too
            object.__setattr__(self, "reading", None)
        fault = f"{name} names no classes"
        if self.scores_words:
            try:
                object.__setattr__(self, "tapped", layers_of(self.trunk, name))
                fault = self._fault("layer-cam")  # reads what `grad-cam` reads
            except (AttributeError, UnsupportedModelError) as error:
                fault = first_line(error)
            if fault:
                object.__setattr__(self, "tapped", ())
                fault = f"gradients of {name} cannot be read ({fault})"
        if not self.explanations:
            raise UnsupportedModelError(f"{fault}, and {_CANNOT_BE_READ}: there is nothing to show")

    @property
    def said(self) -> str:
        """What can be read of it, for its card."""
        if self.reading is not None:
            return f"the attention of its {self.reading} is read"
        return _CANNOT_BE_READ + (", so gradients of a word's score explain it" if self.tapped else "")

    @property
    def explanations(self) -> tuple[str, ...]:
        found = ["dense-similarity"] if self.clip is not None else []
        if self.reading is not None:
            found += ["self-attention", "rollout"] if self.reading == "class token" else ["self-attention"]
        return (*found, *(GRADIENTS if self.tapped else ()))

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
            assert self.reading is not None
            grid = tuple(self.trunk.patch_embed.grid_size)
            if self.reading == "pooling query":
                rows = pooled_rows(self.trunk, images)
            else:
                rows = class_rows(self.trunk, images, rollout=explanation == "rollout")
            prefix = prefix_of(self.trunk, rows, self.reading)
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

    def _fault(self, explanation: str) -> str:
        """Why this explanation fails for an empty image; nothing where it does not."""
        images = torch.zeros(1, 3, *self.image_size, device=self.device)
        width = self.clip.embed_dim if self.clip is not None else self._outputs()
        try:
            self._explain(explanation, images, ["word"], torch.zeros(1, width, device=self.device), False, "peer")
        except Exception as error:  # whatever timm's models raise where something is not as it is said to be
            return first_line(error)
        return ""

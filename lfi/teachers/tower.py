"""An image tower that is not a vision transformer: any timm backbone, its feature maps of several strides as tokens.

Locked-image tuning (Zhai et al. 2022, "LiT", arXiv 2111.07991): the backbone comes pretrained and stays as it is; what
is trained is the projection of its features to tokens, which a decoder attends to, and of its pooled features to the
space of texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lfi.errors import CheckpointError, UnsupportedModelError


class TimmTower(nn.Module):
    """The `visual` of a CoCa over a timm backbone.

    Every token stands for a cell of the grid and reads the backbone's feature maps there: those of `indices`, and the
    last one, all interpolated to the grid.

    Args:
        backbone: a timm model with `forward_intermediates`.
        indices: which of its feature maps are read, as timm counts them.
        image_size: side of the square input in pixels.
        grid: rows and columns of tokens.
        width: of a token; embed_dim: of the joint image-text space.

    Raises:
        UnsupportedModelError: timm has no such backbone, or cannot give its feature maps.
        CheckpointError: the grid or the indices do not suit it.
    """

    attn_pool = None
    final_ln_after_pool = False
    output_tokens = True

    def __init__(self, backbone: str, indices: Sequence[int], image_size: int, grid: int, width: int, embed_dim: int):
        super().__init__()
        if not timm.is_model(backbone):
            raise UnsupportedModelError(f"timm has no backbone {backbone!r}")
        self.trunk: Any = timm.create_model(backbone, pretrained=False, num_classes=0)
        if not hasattr(self.trunk, "forward_intermediates"):
            raise UnsupportedModelError(f"timm cannot give the feature maps of {backbone}")
        self.indices, self.image_size, self.grid_size = tuple(indices), (image_size, image_size), (grid, grid)
        self.output_dim = embed_dim
        try:
            with torch.no_grad():
                last, maps = self._features(torch.zeros(1, 3, image_size, image_size), self.trunk.eval())
        except (AssertionError, IndexError, ValueError, RuntimeError, TypeError) as error:
            raise CheckpointError(f"{backbone} has no feature maps {list(indices)}: {error}") from error
        channels = [int(each.shape[1]) for each in (*maps, last)]
        self.read = nn.ModuleList(nn.Linear(count, width, bias=False) for count in channels)
        self.bias = nn.Parameter(torch.zeros(width))
        self.position = nn.Parameter(torch.zeros(grid * grid, width))
        self.mix = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.latent = nn.Linear(channels[-1], embed_dim, bias=False)
        self.proj = nn.Parameter(torch.randn(width, embed_dim) * width**-0.5)
        self.trunk.to(memory_format=torch.channels_last)  # twice as fast on a CPU
        for parameter in self.trunk.parameters():
            parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> TimmTower:
        """The backbone never trains: its statistics stay as they are."""
        super().train(mode)
        self.trunk.eval()
        return self

    def _features(self, images: Tensor, trunk: Any) -> tuple[Tensor, list[Tensor]]:
        """The last feature map and those of `indices`, `[batch, channel, height, width]` each."""
        last, maps = trunk.forward_intermediates(images, indices=list(self.indices))
        if last.ndim == 3:  # a vision transformer: tokens, the prefix first
            last = last[:, trunk.num_prefix_tokens :].transpose(1, 2).unflatten(2, maps[-1].shape[-2:])
        elif last.shape[1] != trunk.num_features and last.shape[-1] == trunk.num_features:  # channels last
            last = last.permute(0, 3, 1, 2)
        return last, maps

    def features(self, images: Tensor) -> list[Tensor]:
        """Feature maps that tokens are made of, `[batch, channel, height, width]` each; the last one last."""
        last, maps = self._features(images.contiguous(memory_format=torch.channels_last), self.trunk)
        return [*maps, last]

    def tokens(self, features: Sequence[Tensor]) -> Tensor:
        """Tokens `[batch, row * column, width]` of feature maps."""
        found = self.bias + self.position
        for read, each in zip(self.read, features, strict=True):
            # the projection first, for it commutes with interpolation and small maps have few cells
            seen = read(F.layer_norm(each.permute(0, 2, 3, 1), each.shape[1:2])).permute(0, 3, 1, 2)
            if tuple(seen.shape[-2:]) != self.grid_size:
                seen = F.interpolate(seen, self.grid_size, mode="bilinear", align_corners=False)
            found = found + seen.flatten(2).transpose(1, 2)
        return found + self.mix(found)

    def pooled(self, features: Sequence[Tensor]) -> Tensor:
        """The image in the space of texts `[batch, embed_dim]`, not normalised."""
        return self.latent(features[-1].mean((2, 3)))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Latents `[batch, embed_dim]`, not normalised, and tokens `[batch, row * column, width]`."""
        features = self.features(images)
        return self.pooled(features), self.tokens(features)

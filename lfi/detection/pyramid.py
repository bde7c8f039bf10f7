"""A plain vision transformer as a detection backbone: the simple feature pyramid of ViTDet.

Li et al., "Exploring Plain Vision Transformer Backbones for Object Detection", ECCV 2022 (arXiv 2203.16527): all levels
are made from the last map alone, by (de)convolutions; windowed attention in most blocks keeps large images affordable.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d, resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from lfi.errors import ConfigError

LEVELS = ("quarter", "half", "one", "two", "four")
"""Strides of the levels, in patches; the last is the one before, every second value."""


class SimplePyramid(nn.Module):
    """Five maps of strides patch/4, patch/2, patch, 2 patch and 4 patch.

    Args:
        backbone: square patches of a size that 4 divides; runs at any image size that its patches divide.
        width: channels of every level.
        window: side in patches of the windows in which most blocks attend; 0 for global attention everywhere. Four
            blocks, evenly spread and the last among them, stay global, and they alone see class and register tokens.

    Raises:
        ConfigError: for patches that 4 does not divide or that are not square, or a negative window.
    """

    def __init__(self, backbone: VisionTransformer, width: int = 256, window: int = 0):
        super().__init__()
        patch = tuple(backbone.patch_embed.patch_size)
        if patch[0] != patch[1] or patch[0] % 4:
            raise ConfigError(f"patches are {patch[0]} x {patch[1]}; square ones of a multiple of 4 px were expected")
        if window < 0:
            raise ConfigError(f"the window is {window}; 0 (none) or a number of patches was expected")
        self.backbone, self.window, self.out_channels = backbone, window, width
        depth, dim = len(backbone.blocks), backbone.embed_dim
        self.whole = {round((part + 1) * depth / 4) - 1 for part in range(4)}
        self.strides = tuple(int(patch[0] * times) for times in (0.25, 0.5, 1, 2, 4))
        half = dim // 2
        scales: list[list[nn.Module]] = [
            [
                nn.ConvTranspose2d(dim, half, 2, 2),
                LayerNorm2d(half),
                nn.GELU(),
                nn.ConvTranspose2d(half, dim // 4, 2, 2),
            ],
            [nn.ConvTranspose2d(dim, half, 2, 2)],
            [],
            [nn.MaxPool2d(2, 2)],
        ]
        self.levels = nn.ModuleList(
            nn.Sequential(
                *scale,
                nn.Conv2d(channels, width, 1, bias=False),
                LayerNorm2d(width),
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                LayerNorm2d(width),
            )
            for scale, channels in zip(scales, (dim // 4, half, dim, dim), strict=True)
        )

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Images `[batch, 3, height, width]` to a map `[batch, width, height / stride, width / stride]` per level."""
        last = self.last_map(images)
        maps = [level(last) for level in self.levels]
        return OrderedDict(zip(LEVELS, [*maps, F.max_pool2d(maps[-1], 1, 2)], strict=True))

    def last_map(self, images: Tensor) -> Tensor:
        """The last block's patch tokens as a map `[batch, dim, rows, columns]`."""
        backbone: Any = self.backbone
        side = backbone.patch_embed.patch_size[0]
        rows, columns = images.shape[-2] // side, images.shape[-1] // side
        tokens = backbone.patch_embed.proj(images).flatten(2).transpose(1, 2)
        tokens = backbone.norm_pre(self._placed(backbone.patch_embed.norm(tokens), (rows, columns)))
        prefix = backbone.num_prefix_tokens
        for number, block in enumerate(backbone.blocks):
            if not self.window or number in self.whole:
                tokens = block(tokens)
            else:
                patches = self._in_windows(block, tokens[:, prefix:], (rows, columns))
                tokens = torch.cat([tokens[:, :prefix], patches], 1)
        return backbone.norm(tokens)[:, prefix:].transpose(1, 2).unflatten(2, (rows, columns))

    def _placed(self, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """Patch tokens with positions resampled to this grid, behind class and register tokens."""
        backbone: Any = self.backbone
        bare = backbone.no_embed_class
        if backbone.pos_embed is not None:
            positions = resample_abs_pos_embed(
                backbone.pos_embed,
                grid,
                tuple(backbone.patch_embed.grid_size),
                num_prefix_tokens=0 if bare else backbone.num_prefix_tokens,
            )
            ahead = 0 if bare else backbone.num_prefix_tokens
            patches = patches + positions[:, ahead:]
        front = [token for token in (backbone.cls_token, backbone.reg_token) if token is not None]
        if not front:
            return patches
        tokens = torch.cat(front, 1)
        if backbone.pos_embed is not None and not bare:
            tokens = tokens + positions[:, : tokens.shape[1]]
        return torch.cat([tokens.expand(len(patches), -1, -1), patches], 1)

    def _in_windows(self, block: nn.Module, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """A block run on square windows; the grid is padded with zeros to whole ones, which are cut off again."""
        side, (rows, columns) = self.window, grid
        down, right = -rows % side, -columns % side
        padded = F.pad(patches.unflatten(1, grid), (0, 0, 0, right, 0, down))
        high, wide = (rows + down) // side, (columns + right) // side
        windows = padded.unflatten(2, (wide, side)).unflatten(1, (high, side)).transpose(2, 3)
        done = block(windows.flatten(0, 2).flatten(1, 2))
        done = done.unflatten(1, (side, side)).unflatten(0, (len(patches), high, wide)).transpose(2, 3)
        return done.flatten(3, 4).flatten(1, 2)[:, :rows, :columns].flatten(1, 2)

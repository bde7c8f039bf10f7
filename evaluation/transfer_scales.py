"""How large `lfi benchmark transfer` is: students, shares of labels, epochs, weights."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class TransferScale:
    """How large the benchmark is.

    Attributes:
        student: side of the images that students see, width, depth and heads of the backbone.
        fractions: shares of TinyImageNet's labels.
        epochs: of TinyImageNet, PACS and scenes.
        optimizer: see `LoopConfig`.
        weights: of losses, in place of those in `lfi/methods.py`.
        unlabelled: whether images without labels are learnt from, too, by what the teacher says of them; else a share
            of the labels means that share of the images.
        used: share of TinyImageNet's training images that anything is learnt from.
        judged: test images on which the teacher itself is measured; all of them if 0.
        patch: side of a patch in pixels.
        wide: width of a backbone that has as many parameters, with DIST + feature KD and this project's teacher for
            photographs, as LFI has with eight queries and the naming head.
    """

    name: str
    student: tuple[int, int, int, int]
    fractions: tuple[float, ...]
    epochs: tuple[int, int, int]
    batch_size: int
    learning_rate: float = 1e-3
    optimizer: str = "adamw"
    weights: dict[str, float] = field(default_factory=dict)
    unlabelled: bool = False
    used: float = 1.0
    judged: int = 0
    patch: int = 8
    wide: int = 105

    def shares(self, labels: float) -> tuple[float, float]:
        """Which share of TinyImageNet's training images is used, and of which share of those the labels are."""
        return (self.used, labels / self.used) if self.unlabelled else (labels, 1.0)

    @property
    def overrides(self) -> dict[str, int]:
        size, width, depth, heads = self.student
        return {"img_size": size, "patch_size": self.patch, "embed_dim": width, "depth": depth, "num_heads": heads}

    def __str__(self) -> str:
        size, width, depth, _ = self.student
        return (
            f"{self.name}: students of {depth} blocks, width {width}, {size} px; "
            f"{'/'.join(map(str, self.epochs))} epochs of TinyImageNet/PACS/scenes in batches of {self.batch_size}"
            + (f", {self.optimizer} at {self.learning_rate:g}" if self.optimizer != "adamw" else "")
            + (f"; {self.used:.0%} of TinyImageNet's images, most of them without labels" if self.unlabelled else "")
        )


_WEIGHTS = {"interaction": 0.2, "relation": 0.03, "naming": 0.5, "patch_words": 0.5, "dist": 3.0, "feature_kd": 3.0}
"""LFI's are those of the students for photographs that ship; the other two, the same for all methods, lie between what
`lfi benchmark tune` found for the result-oriented student (2.8 and 6.6) and for LFI (5.9 and .9)."""
SCALES = {
    "tiny": TransferScale("tiny", (48, 24, 2, 2), (0.2,), (1, 1, 1), 32, wide=32),
    "small": TransferScale("small", (48, 96, 4, 3), (0.1,), (5, 5, 5), 32),
    "photographs": TransferScale(
        "photographs",
        (48, 96, 4, 3),
        (0.1, 0.01, 0.5),
        (4, 15, 5),
        64,
        3e-3,
        "muon",
        weights=_WEIGHTS,
        unlabelled=True,
        used=0.5,
        judged=500,
    ),
    "medium": TransferScale(
        "medium", (112, 384, 12, 6), (1.0,), (30, 60, 60), 512, weights=_WEIGHTS, patch=16, wide=390
    ),
    "full": TransferScale("full", (64, 192, 12, 3), (0.1, 1.0), (100, 60, 60), 256, wide=198),
}

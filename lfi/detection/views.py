"""What a detector is shown in a step: images scaled, cropped and mirrored, along with their boxes and masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import masks_to_boxes
from torchvision.transforms.v2 import functional as F

from lfi.data.instances import Example, Instances
from lfi.images import MEAN
from lfi.training.distributed import check_shares


class InstanceViews:
    """Batches that are a function of the step: order and views are drawn from `(seed, epoch, image)`.

    Args:
        rows: which of the instances; all without it.
        side: of what is shown, in pixels.
        flip: share of the images that are mirrored.
        jitter: smallest and largest factor of scale.
    """

    def __init__(
        self,
        instances: Instances,
        side: int,
        batch_size: int,
        seed: int = 0,
        *,
        flip: float = 0.5,
        jitter: tuple[float, float] = (1.0, 1.0),
        rows: Sequence[int] | np.ndarray | None = None,
    ):
        self.instances, self.side, self.seed, self.flip, self.jitter = instances, side, seed, flip, jitter
        self.rows = np.arange(len(instances)) if rows is None else np.asarray(rows)
        self.batch_size = min(batch_size, len(self.rows))

    @property
    def steps_per_epoch(self) -> int:
        return len(self.rows) // self.batch_size

    def batch(self, step: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
        """One step's images, or every `world`-th of them.

        Returns:
            `images` uint8 `[n, 3, side, side]`; `count` int64 `[n]`, the number of objects; of these `boxes` float32
            `[n, most, 4]`, `labels` int64 `[n, most]`, `masks` uint8 `[n, most, side, side]`, 0 or 1, and `masked` bool
            `[n, most]`, whether the mask is known.
        """
        epoch, position = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.seed, 21, epoch)).permutation(self.rows)
        chosen = order[position * self.batch_size : (position + 1) * self.batch_size].tolist()
        check_shares(len(chosen), world)
        return collate([self.view(row, epoch) for row in chosen[rank::world]])

    def view(self, row: int, epoch: int) -> dict[str, Tensor]:
        """One image as it is shown in an epoch."""
        rng = np.random.default_rng((self.seed, 22, epoch, row))
        return view(self.instances[row], self.side, rng, self.flip, self.jitter)


def view(
    example: Example, side: int, rng: np.random.Generator, flip: float, jitter: tuple[float, float]
) -> dict[str, Tensor]:
    """A square view: the longer side becomes `side` px times a drawn factor; the rest is cut, or padded with grey.

    Objects that are cut off are left out; the boxes of those that are cut enclose what is left of their masks.
    """
    height, width = example.image.shape[:2]
    scale = side / max(height, width) * rng.uniform(*jitter)
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    top, left = (int(rng.integers(0, max(0, length - side) + 1)) for length in size)
    seen = [min(side, length) for length in size]
    mirrored = rng.random() < flip

    def moved(part: Tensor, fill: int = 0) -> Tensor:
        if size != [height, width]:
            part = F.resize(part, size, antialias=True)
        if seen != size:
            part = F.crop(part, top, left, *seen)
        if mirrored:
            part = F.horizontal_flip(part)
        return F.pad(part, [0, 0, side - seen[1], side - seen[0]], fill=fill)

    boxes: Tensor = tv_tensors.BoundingBoxes(example.boxes, format="XYXY", canvas_size=(height, width))  # type: ignore[call-overload]
    masks = moved(tv_tensors.Mask(torch.from_numpy(example.masks).byte())).as_subclass(Tensor)
    boxes = moved(boxes).as_subclass(Tensor)
    masked = torch.from_numpy(example.masked)
    kept = ((boxes[:, 2:] - boxes[:, :2]) >= 1).all(1) & (masks.flatten(1).bool().any(1) | ~masked)
    masks, boxes, masked = masks[kept], boxes[kept], masked[kept]
    if seen != size and masked.any():
        boxes[masked] = (masks_to_boxes(masks[masked]) + torch.tensor([0, 0, 1, 1])).to(boxes)
    return {
        "images": moved(tv_tensors.Image(torch.from_numpy(example.image).permute(2, 0, 1)), round(255 * MEAN)),
        "boxes": boxes.float(),
        "labels": torch.from_numpy(example.labels)[kept],
        "masks": masks,
        "masked": masked,
    }


def collate(views: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Views stacked; objects padded to the largest number."""
    counts = [len(each["labels"]) for each in views]
    found = {"images": torch.stack([each["images"].as_subclass(Tensor) for each in views])}
    for name in ("boxes", "labels", "masks", "masked"):
        first = views[0][name]
        stacked = first.new_zeros((len(views), max(counts), *first.shape[1:]))
        for row, (each, count) in enumerate(zip(views, counts, strict=True)):
            stacked[row, :count] = each[name]
        found[name] = stacked
    return found | {"count": torch.tensor(counts)}

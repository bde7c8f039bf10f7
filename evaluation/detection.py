"""COCO's twelve numbers for boxes and for masks, by faster-coco-eval (equal to pycocotools, several times as fast).

Definitions: https://cocodataset.org/#detection-eval. AP is the mean over ten IoU thresholds from .5 to .95 and over
classes; small, medium and large are areas under 32^2, under 96^2 and above, in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.core import mask as run_lengths
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from lfi.errors import DataError

NUMBERS = (
    "AP",
    "AP at IoU .50",
    "AP at IoU .75",
    "AP, small",
    "AP, medium",
    "AP, large",
    "AR, 1 detection",
    "AR, 10 detections",
    "AR, 100 detections",
    "AR, small",
    "AR, medium",
    "AR, large",
)
"""In COCO's order."""

Kind = Literal["bbox", "segm"]


def coco_numbers(annotations: Path, detections: Sequence[dict[str, Any]], kind: Kind) -> dict[str, float]:
    """The twelve numbers, in [0, 1]; NaN where no object has the size.

    Args:
        annotations: ground truth in COCO's instances format.
        detections: in COCO's results format: `image_id`, `category_id`, `score`, and `bbox` (left, top, width, height)
            or `segmentation` (run lengths).

    Raises:
        DataError: ground truth that cannot be read, or a detection of an image that it does not have.
    """
    truth = read_truth(annotations)
    known = set(truth.getImgIds())
    strangers = {detection["image_id"] for detection in detections} - known
    if strangers:
        raise DataError(f"{annotations} has no image {min(strangers)}, which was detected on")
    if not detections:  # COCO's reader takes no empty list
        present = {annotation["area"] for annotation in truth.anns.values() if not annotation.get("iscrowd")}
        sizes = (present, present, present, *(_of_size(present, size) for size in range(3)))
        return dict(zip(NUMBERS, [0.0 if size else float("nan") for size in (*sizes, *sizes)], strict=True))
    evaluation = COCOeval_faster(truth, truth.loadRes(list(detections)), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return {name: float(v) if v >= 0 else float("nan") for name, v in zip(NUMBERS, evaluation.stats[:12], strict=True)}


def _of_size(areas: set[float], size: int) -> set[float]:
    low, high = ((0, 32**2), (32**2, 96**2), (96**2, float("inf")))[size]
    return {area for area in areas if low <= area <= high}


def read_truth(annotations: Path) -> COCO:
    """Ground truth in COCO's format.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return COCO(str(annotations))
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise DataError(f"{annotations} cannot be read as COCO's instances: {error}") from error


@torch.inference_mode()
def detect(detector: nn.Module, images: Path, annotations: Path, batch: int = 8) -> list[dict[str, Any]]:
    """Boxes and masks of every image of a set, in COCO's results format; labels are category ids.

    Args:
        detector: torchvision's, in eval mode; its classes are the categories in the order of their ids, from 1.

    Raises:
        DataError: ground truth or an image that cannot be read.
    """
    truth = read_truth(annotations)
    categories = sorted(truth.getCatIds())
    entries = sorted(truth.imgs.values(), key=lambda entry: entry["id"])
    device, found = next(detector.parameters()).device, []
    for start in tqdm(range(0, len(entries), batch), desc="detecting", unit="batch", dynamic_ncols=True):
        shown = entries[start : start + batch]
        pixels = [torch.from_numpy(np.array(_picture(images / entry["file_name"]))) for entry in shown]
        answers = detector([each.permute(2, 0, 1).to(device).float() / 255 for each in pixels])
        for entry, answer in zip(shown, answers, strict=True):
            found += _results(entry["id"], answer, categories)
    return found


def _picture(path: Path) -> Image.Image:
    """As annotated: not turned by what its EXIF says."""
    try:
        return Image.open(path).convert("RGB")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _results(image: int, answer: dict[str, Tensor], categories: Sequence[int]) -> list[dict[str, Any]]:
    found = []
    answer = {name: value.cpu() for name, value in answer.items()}
    for row, (left, top, right, bottom) in enumerate(answer["boxes"].tolist()):
        mask = (answer["masks"][row, 0] >= 0.5).numpy().astype(np.uint8)
        encoded = run_lengths.encode(np.asfortranarray(mask))
        found.append(
            {
                "image_id": image,
                "category_id": categories[int(answer["labels"][row]) - 1],
                "score": float(answer["scores"][row]),
                "bbox": [left, top, right - left, bottom - top],
                "segmentation": {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")},
            }
        )
    return found

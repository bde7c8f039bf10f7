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
from torch import Tensor, nn
from tqdm import tqdm

from lfi.data.instances import picture, read_truth
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

Categories = Sequence[tuple[int, str]]
"""Id and name of each."""
Kind = Literal["bbox", "segm"]
MAIN: dict[str, Kind] = {"box mAP": "bbox", "mask AP": "segm"}
"""What the AP of each kind is called."""


def coco_numbers(annotations: Path, detections: Sequence[dict[str, Any]], kind: Kind) -> dict[str, float]:
    """The twelve numbers, in [0, 1]; NaN where no object has the size.

    Args:
        annotations: ground truth in COCO's instances format.
        detections: in COCO's results format: `image_id`, `category_id`, `score`, and `bbox` (left, top, width, height)
            or `segmentation` (run lengths).

    Raises:
        DataError: ground truth that cannot be read, or a detection of an image that it does not have.
    """
    return numbers_of(read_truth(annotations, masks=kind == "segm"), detections, kind)


def numbers_of(truth: COCO, detections: Sequence[dict[str, Any]], kind: Kind) -> dict[str, float]:
    """`coco_numbers` with a ground truth that was read already."""
    strangers = {detection["image_id"] for detection in detections} - set(truth.getImgIds())
    if strangers:
        name = truth.annotation_file if isinstance(truth.annotation_file, str) else "the ground truth"
        raise DataError(f"{name} has no image {min(strangers)}, but there are detections on it")
    if not detections:  # COCO's reader takes no empty list
        present = {annotation["area"] for annotation in truth.anns.values() if not annotation.get("iscrowd")}
        sizes = (present, present, present, *(_of_size(present, size) for size in range(3)))
        return dict(zip(NUMBERS, [0.0 if size else float("nan") for size in (*sizes, *sizes)], strict=True))
    if kind == "segm":  # beside a box, COCO's reader takes the box's area for the mask's
        detections = [{name: value for name, value in each.items() if name != "bbox"} for each in detections]
    evaluation = COCOeval_faster(truth, truth.loadRes(list(detections)), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return {name: float(v) if v >= 0 else float("nan") for name, v in zip(NUMBERS, evaluation.stats[:12], strict=True)}


def _of_size(areas: set[float], size: int) -> set[float]:
    low, high = ((0, 32**2), (32**2, 96**2), (96**2, float("inf")))[size]
    return {area for area in areas if low <= area <= high}


def check_categories(truth: COCO, known: Categories, whose: str) -> None:
    """Refuse ground truth with categories that a detector does not know; it may lack some of those that it knows.

    Args:
        whose: what the message calls those that it knows.

    Raises:
        DataError: it names the first.
    """
    for number in sorted(truth.getCatIds()):
        name = truth.cats[number]["name"]
        if (number, name) not in known:
            raise DataError(
                f"{truth.annotation_file} has other categories than {whose}: {number}, {name!r}, is not among these"
            )


def average_precision(detector: nn.Module, images: Path, truth: COCO, categories: Categories) -> dict[str, float]:
    """COCO's main numbers in percent: `box mAP`, and `mask AP` where every object has a mask. See `detect`."""
    found = detect(detector, images, truth, categories)
    masked = all("segmentation" in each for each in truth.anns.values() if not each["iscrowd"])
    kinds = {name: kind for name, kind in MAIN.items() if masked or kind == "bbox"}
    return {name: 100 * numbers_of(truth, found, kind)["AP"] for name, kind in kinds.items()}


@torch.inference_mode()
def detect(
    detector: nn.Module, images: Path, truth: COCO, categories: Categories, batch: int = 8
) -> list[dict[str, Any]]:
    """Boxes and masks of every image of a set, in COCO's results format; labels are category ids.

    Args:
        detector: torchvision's, in eval mode.
        categories: id and name of those that it was trained on; its label 1 is the first.

    Raises:
        DataError: an image that cannot be read.
    """
    entries = sorted(truth.imgs.values(), key=lambda entry: entry["id"])
    device, found = next(detector.parameters()).device, []
    for start in tqdm(range(0, len(entries), batch), desc="detecting", unit="batch", dynamic_ncols=True, leave=False):
        shown = entries[start : start + batch]
        pixels = [torch.from_numpy(np.array(picture(images / entry["file_name"]))) for entry in shown]
        answers = detector([each.permute(2, 0, 1).to(device).float() / 255 for each in pixels])
        for entry, answer in zip(shown, answers, strict=True):
            found += _results(entry["id"], answer, categories)
    return found


def _results(image: int, answer: dict[str, Tensor], categories: Categories) -> list[dict[str, Any]]:
    found = []
    answer = {name: value.cpu() for name, value in answer.items()}
    for row, (left, top, right, bottom) in enumerate(answer["boxes"].tolist()):
        mask = (answer["masks"][row, 0] >= 0.5).numpy().astype(np.uint8)
        encoded = run_lengths.encode(np.asfortranarray(mask))
        found.append(
            {
                "image_id": image,
                "category_id": categories[int(answer["labels"][row]) - 1][0],
                "score": float(answer["scores"][row]),
                "bbox": [left, top, right - left, bottom - top],
                "segmentation": {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")},
            }
        )
    return found

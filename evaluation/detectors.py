"""`lfi evaluate detection`: COCO's twelve numbers of trained detectors, with intervals over images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import COCO
from torchvision.models.detection import MaskRCNN
from tqdm import tqdm

from evaluation.detection import NUMBERS, Kind, check_categories, detect, numbers_of
from evaluation.results import Figure, Results
from lfi.data.instances import read_truth
from lfi.detection import DetectorCard

KINDS: dict[str, Kind] = {"boxes": "bbox", "masks": "segm"}


def evaluate_detectors(
    detectors: dict[str, tuple[MaskRCNN, DetectorCard]],
    images: Path,
    annotations: Path,
    results: Results,
    draws: int = 100,
    seed: int = 0,
) -> None:
    """Fill `results` with figures called `boxes, MODEL: AP` and so on, in percent.

    Args:
        detectors: by the name that they have in the table.
        draws: of images with replacement, for 95 % intervals (see `reach`); 0 for none. All models see the same draws.

    Raises:
        DataError: data that cannot be read, or has categories that a detector was not trained on.
    """
    truth = read_truth(annotations, images, masks=True)
    for name, (_, card) in detectors.items():
        check_categories(truth, card.categories, f"{name} was trained on")
    results.n["images"] = len(truth.imgs)
    results.n["objects"] = sum(1 for each in truth.anns.values() if not each.get("iscrowd"))
    for name, (detector, card) in detectors.items():
        found = detect(detector, images, truth, card.categories)
        for title, kind in KINDS.items():
            values = numbers_of(truth, found, kind)
            half = reach(truth, found, kind, draws, seed)
            for number in NUMBERS:
                value = 100 * values[number]
                low, high = (float(np.clip(value + way * half[number], 0, 100)) for way in (-1, 1))
                results.figures[f"{title}, {name}: {number}"] = Figure(value, low, high, "%")


def reach(truth: COCO, detections: Sequence[dict[str, Any]], kind: Kind, draws: int, seed: int) -> dict[str, float]:
    """Half of a 95 % interval of every number, in percent: 1.96 standard deviations over images drawn with replacement.

    Not quantiles: where classes are rare, the AP of a draw is too high on average (its classes are fewer, and what was
    drawn twice is found twice), so that they may not even hold the value. NaN from fewer than two draws, and where a
    number is not defined.
    """
    by_image: dict[int, list[dict[str, Any]]] = {}
    for detection in detections:
        by_image.setdefault(detection["image_id"], []).append(detection)
    rng, numbers, values = np.random.default_rng(seed), sorted(truth.imgs), []
    for _ in tqdm(range(draws), desc=f"interval of {kind}", unit="draw", dynamic_ncols=True, leave=False):
        drawn = [numbers[row] for row in rng.integers(len(numbers), size=len(numbers))]
        values.append(list(numbers_of(redrawn(truth, drawn), copied(by_image, drawn), kind).values()))
    found = {}
    for name, column in zip(NUMBERS, np.array(values).reshape(-1, len(NUMBERS)).T, strict=True):
        defined = 100 * column[~np.isnan(column)]
        found[name] = 1.96 * float(defined.std(ddof=1)) if len(defined) > 1 else float("nan")
    return found


def redrawn(truth: COCO, drawn: Sequence[int]) -> COCO:
    """Ground truth of these images, numbered from 1; one that was drawn twice is there twice."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(drawn, start=1):
        images.append({**truth.imgs[image], "id": number})
        for each in truth.imgToAnns[image]:
            annotations.append({**each, "id": len(annotations) + 1, "image_id": number})
    return COCO({"images": images, "annotations": annotations, "categories": list(truth.cats.values())})


def copied(by_image: dict[int, list[dict[str, Any]]], drawn: Sequence[int]) -> list[dict[str, Any]]:
    """The detections of these images, in the same way."""
    return [
        {**each, "image_id": number} for number, image in enumerate(drawn, start=1) for each in by_image.get(image, [])
    ]


def plot(results: Results, path: Path) -> None:
    """AP of boxes and of masks, a row a model, with intervals."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = [key.removeprefix("boxes, ").removesuffix(": AP") for key in results.figures if key.startswith("boxes, ")]
    names = [name for name in names if f"boxes, {name}: AP" in results.figures]
    figure, axes = plt.subplots(1, 2, figsize=(8, 1.2 + 0.45 * len(names)), layout="constrained", sharey=True)
    for axis, kind in zip(axes, KINDS, strict=True):
        for row, name in enumerate(names):
            found = results.figures[f"{kind}, {name}: AP"]
            axis.plot(found.value, row, "o", color="#0072b2")
            if not np.isnan(found.low):
                axis.plot((found.low, found.high), (row, row), "-", color="#0072b2")
        axis.set_yticks(range(len(names)), names)
        axis.set_xlabel(f"AP of {kind}, IoU .50 to .95, %")
        axis.margins(y=0.3)
        axis.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    figure.suptitle("95 % interval over images", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)

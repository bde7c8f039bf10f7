"""`lfi evaluate gaze`: do models look where people look? Maps against fixations, between floor and ceiling.

People looked freely, so a model's map of an image is the mean of its maps of the words that the image is asked for.
Floors: the model's map of another image, and where people look in all other images, whatever they show. Ceiling: half
of an image's observers, as a predictor of the other half. All is measured on the image squashed to a square, as models
see it, and from maps on one grid, on which a divergence depends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur
from tqdm import tqdm

from evaluation.maps import figure, quiet
from evaluation.metrics import of_category
from evaluation.metrics.grids import resize
from evaluation.results import Results
from lfi.answerers import TeacherAnswerer, ask
from lfi.data.gaze import Gaze
from lfi.errors import DataError, reason
from lfi.maps import InteractionMaps
from lfi.teachers.base import BaseTeacher
from lfi.trio import Trio

SIDE = 128
"""Pixels of the square on which fixations are counted."""
GRID = 32
"""Patches of all maps that are compared; of OSIE, a patch is about a degree of the visual field."""

Looker = Callable[[Image.Image, Sequence[str]], dict[str, Tensor]]
"""Maps `[rows, columns]` of an image for words, averaged, by the name of what looked."""


@dataclass(frozen=True, eq=False)
class ViewedImage:
    """An image that people looked at, and the words that models are asked about."""

    path: Path
    gaze: Gaze
    words: tuple[str, ...]


def trio_looks(trio: Trio, models: Sequence[str]) -> Looker:
    """Some of a trio's answers (`lfi.trio.Trio.layers`), each at its default layer."""

    def look(image: Image.Image, words: Sequence[str]) -> dict[str, Tensor]:
        found = trio.compare(image, words, models=models)
        return {model: _mean(maps.layer(found.default_layer[model])) for model, maps in found.maps.items()}

    return look


def teacher_looks(teacher: BaseTeacher, name: str) -> Looker:
    """An open_clip model's maps of words at its default layers, averaged."""

    answerer = TeacherAnswerer(teacher, name)

    def look(image: Image.Image, words: Sequence[str]) -> dict[str, Tensor]:
        (maps,) = ask(answerer, [image], [words])
        return {name: _mean(maps.select(layers=teacher.default_layers))}

    return look


def evaluate_gaze(seen: Sequence[ViewedImage], look: Looker, results: Results) -> None:
    """Every metric of gaze for every model, floor and ceiling; intervals over images.

    Raises:
        DataError: fewer than two images, an image that cannot be read, or one with fewer than two observers.
    """
    if len(seen) < 2:
        raise DataError(f"gaze is known for only {len(seen)} of the images; the floors need at least two")
    counts: list[np.ndarray] = []
    halves: list[list[np.ndarray]] = []
    maps: dict[str, list[Tensor]] = {}
    for each in tqdm(seen, desc="gaze", unit="image", dynamic_ncols=True):
        if len(each.gaze.observers) < 2:
            raise DataError(f"{each.gaze.image} was seen by {len(each.gaze.observers)}; at least two were expected")
        image = _picture(each.path)
        shape = (image.height, image.width)
        counts.append(each.gaze.counts(shape, SIDE))
        halves.append([each.gaze.counts(shape, SIDE, range(part, len(each.gaze.observers), 2)) for part in (0, 1)])
        for name, own in look(image, each.words).items():
            maps.setdefault(name, []).append(own)
    fixations = torch.from_numpy(np.stack(counts))
    parts = torch.from_numpy(np.stack(halves))
    drawn = smoothed(fixations)
    others = drawn.sum(0) - drawn
    results.n |= {
        "images": len(seen),
        "observers": max(len(each.gaze.observers) for each in seen),
        "fixations": int(fixations.sum()),
    }
    columns: dict[str, Tensor] = {}
    for name, found in maps.items():
        columns[name] = resize(torch.stack(found), (GRID, GRID))
    for name in maps:
        columns[f"{name}, another image's"] = columns[name].roll(1, 0)
    columns["where people look in other images"] = others
    for name, predicted in columns.items():
        for metric in of_category("gaze"):
            values = quiet(metric, unit_mass(predicted), fixations)
            results.figures[f"{name}: {metric.name}"] = figure(values, np.arange(len(seen)), metric.unit)
    for metric in of_category("gaze"):
        both = [quiet(metric, unit_mass(smoothed(parts[:, part])), parts[:, 1 - part]) for part in (0, 1)]
        values = torch.stack(both).mean(0)
        results.figures[f"half of the observers: {metric.name}"] = figure(values, np.arange(len(seen)), metric.unit)


def smoothed(counts: Tensor) -> Tensor:
    """Fixations `[n, SIDE, SIDE]` as maps `[n, GRID, GRID]`, spread by a Gaussian of one patch."""
    each = counts.float().unflatten(-1, (GRID, -1)).sum(-1).unflatten(-2, (GRID, -1)).sum(-2)
    return gaussian_blur(each[:, None], [7, 7], [1.0, 1.0])[:, 0]


def unit_mass(maps: Tensor) -> Tensor:
    """Maps `[n, rows, columns]` that sum to 1; an empty one is even."""
    total = maps.sum((1, 2), keepdim=True)
    return torch.where(total > 0, maps / total.clamp_min(1e-12), 1 / (maps.shape[1] * maps.shape[2]))


def find_images(
    gaze: Sequence[Gaze], folder: Path, words: Mapping[str, Sequence[str]] | Sequence[str]
) -> list[ViewedImage]:
    """The images that people looked at, with their files and words.

    Args:
        words: for all images, or by the name of an image's file; images that it does not name are left out.

    Raises:
        DataError: an image without its file.
    """
    seen = []
    for each in gaze:
        own = words.get(each.image, ()) if isinstance(words, Mapping) else words
        path = folder / each.image
        if own and not path.is_file():
            raise DataError(f"{each.image} has fixations, but is not in {folder}")
        if own:
            seen.append(ViewedImage(path, each, tuple(own)))
    return seen


def _mean(maps: InteractionMaps) -> Tensor:
    """Over words and layers, of one image."""
    return maps.weights[0].mean((0, 1)).cpu()


def _picture(path: Path) -> Image.Image:
    try:
        return Image.open(path).convert("RGB")
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error

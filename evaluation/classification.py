"""`lfi evaluate classification`: models side by side on one set of images, frozen and fine-tuned."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from evaluation.features import Features, by_name, texts_for
from evaluation.finetuning import Schedule, finetuned, probabilities
from evaluation.metrics import of_category
from evaluation.probes import fitted_probe, head_of, nearest_neighbours, probed
from evaluation.results import Results, over_clusters, over_seeds
from lfi.data.imageset import ImageSet
from lfi.data.prompts import fill
from lfi.errors import DataError
from lfi.teachers.base import BaseTeacher

SCALE = 100.0
"""Of cosines before the softmax, where CLIP's own scale ends up; calibration depends on it, accuracy does not."""


def evaluate_classification(
    models: Sequence[Features],
    train: ImageSet,
    test: ImageSet,
    results: Results,
    teacher: BaseTeacher | None = None,
    prompt: str = "{}",
    schedule: Schedule | None = None,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Linear probe and nearest neighbours of every model; zero-shot of those that have a text space.

    Args:
        models: those of one name are one method trained with several seeds.
        teacher: names the classes for students that learnt its text space; models with a text tower do so themselves.
        schedule: also train every model further on all training images; its last weights are tested.

    Returns:
        The linear probes' probabilities by name, `[n, class]`, of the first model of each.

    Raises:
        DataError: images without single labels.
        ConfigError: a student that learnt the text space of another teacher.
    """
    for images in (train, test):
        if images.multilabel or not len(images) or (images.labels < 0).any():
            raise DataError("classification needs images with one label each")
    count, labels = len(test.classes), torch.from_numpy(test.labels)
    names = [fill(prompt, each) for each in test.classes]
    texts = _texts(models, names, teacher) if teacher is not None else {}
    results.n |= {"training images": len(train), "test images": len(test), "classes": count}
    probes: dict[str, Tensor] = {}
    for name, seeds in by_name(models).items():
        found: dict[str, list[Tensor]] = {}
        for number, model in enumerate(seeds):
            seen, shown = model.all(train.images), model.all(test.images)
            probe = fitted_probe(seen, train.labels)
            found.setdefault("linear probe", []).append(probed(probe, shown, count))
            found.setdefault("k-NN", []).append(nearest_neighbours(seen, train.labels, shown, count))
            if id(model) in texts:
                found.setdefault("zero-shot", []).append((SCALE * model.all(test.images, texts[id(model)])).softmax(1))
            if schedule is not None:
                tuned = finetuned(model, head_of(probe, count), train, schedule, seed + number)
                found.setdefault("fine-tuned", []).append(probabilities(tuned, test.images))
        for way, answers in found.items():
            add(results, name, way, answers, labels)
        probes[name] = found["linear probe"][0]
    return probes


def _texts(models: Sequence[Features], names: Sequence[str], teacher: BaseTeacher) -> dict[int, Tensor]:
    """The classes' names in the text space of every model that has one, by `id`; tells which have none."""
    silent = dict.fromkeys(each.name for each in models if each.likeness is None)
    if silent:
        tqdm.write(f"no zero-shot figures of {', '.join(silent)}, for want of a text space", file=sys.stderr)
    return {id(each): texts_for(each, names, teacher) for each in models if each.likeness is not None}


def add(results: Results, model: str, way: str, answers: Sequence[Tensor], labels: Tensor) -> None:
    """Every metric of classification.

    Args:
        answers: probabilities `[n, class]`, one for every seed. Of several, intervals are over seeds; of one, over
            images, where there is a value for each.
    """
    for metric in of_category("classification"):
        name, means = f"{model}: {way}, {metric.name}", []
        for probabilities_ in answers:
            values = metric.values(probabilities_, labels)
            known = values[~torch.isnan(values)].numpy().astype(float)
            means.append(float(known.mean()) if len(known) else float("nan"))
        if len(answers) == 1 and len(known) == len(labels) > 1:
            results.figures[name] = over_clusters(known, np.arange(len(known)), metric.unit)
        else:
            results.figures[name] = over_seeds(means, metric.unit)


def plot_confusion(probabilities: dict[str, Tensor], test: ImageSet, path: Path) -> None:
    """What linear probes take for what, one panel a model; rows are the right classes and sum to 1."""
    from matplotlib.figure import Figure as Drawing
    from sklearn.metrics import confusion_matrix

    from lfi.rendering.fonts import families

    count = len(test.classes)
    drawing = Drawing(figsize=(5.2 * len(probabilities) + 0.6, 5), layout="constrained")
    panels = drawing.subplots(1, len(probabilities), squeeze=False)[0]
    for axes, (name, found) in zip(panels, probabilities.items(), strict=True):
        matrix = confusion_matrix(test.labels, found.argmax(1).numpy(), labels=range(count), normalize="true")
        image = axes.imshow(matrix, vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("taken for")
        if count <= 20:
            letters = {"fontsize": 8, "family": families(" ".join(test.classes))}
            axes.set_xticks(range(count), test.classes, rotation=90, **letters)
            axes.set_yticks(range(count), test.classes, **letters)
    panels[0].set_ylabel("is")
    drawing.colorbar(image, ax=panels, label="share of the class's images", shrink=0.8)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=120)
